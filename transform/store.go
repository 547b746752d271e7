package transform

import "slices"

const (
	segmentBits = 6
	segmentSize = 1 << segmentBits
	noFree      = segmentSize // end of a segment's free list
)

// A store is the memory of a table: values that do not move, in segments that are allocated
// and released as their number changes. One empty segment is kept and filled last, so that a
// table whose size varies around a multiple of segmentSize does not allocate at every query.
// A value has a part of type L, by which lists are walked: these parts lie side by side, so that
// a walk reads little memory.
type store[L, T any] struct {
	segments  []*segment[L, T] // nil: released
	available []int32          // segments with a free element, an empty one first
}

type segment[L, T any] struct {
	links  [segmentSize]L
	values [segmentSize]T
	next   [segmentSize]uint8 // free list
	free   uint8              // first free element
	live   int
}

func (s *store[L, T]) at(i int32) *T {
	return &s.segments[i>>segmentBits].values[i&(segmentSize-1)]
}

func (s *store[L, T]) link(i int32) *L {
	return &s.segments[i>>segmentBits].links[i&(segmentSize-1)]
}

// allocate returns a free element, in a new segment if there is none.
func (s *store[L, T]) allocate() int32 {
	if len(s.available) == 0 {
		s.grow()
	}
	n := s.available[len(s.available)-1]
	g := s.segments[n]
	i := g.free
	g.free = g.next[i]
	g.live++
	if g.free == noFree {
		s.available = s.available[:len(s.available)-1]
	}
	return n<<segmentBits | int32(i)
}

func (s *store[L, T]) grow() {
	g := new(segment[L, T])
	for i := range g.next {
		g.next[i] = uint8(i) + 1
	}
	n := slices.Index(s.segments, nil)
	if n < 0 {
		n = len(s.segments)
		s.segments = append(s.segments, nil)
	}
	s.segments[n] = g
	s.available = append(s.available, int32(n))
}

func (s *store[L, T]) release(i int32) {
	n := i >> segmentBits
	g := s.segments[n]
	if g.free == noFree {
		s.available = append(s.available, n)
	}
	e := uint8(i & (segmentSize - 1))
	g.next[e], g.free = g.free, e
	if g.live--; g.live == 0 {
		s.emptied(n)
	}
}

// emptied releases segment n, which is empty, unless no other segment is empty.
func (s *store[L, T]) emptied(n int32) {
	at, last := slices.Index(s.available, n), len(s.available)-1
	if at == 0 || s.segments[s.available[0]].live > 0 {
		s.available[0], s.available[at] = s.available[at], s.available[0]
		return
	}
	s.segments[n] = nil
	s.available[at] = s.available[last]
	s.available = s.available[:last]
}
