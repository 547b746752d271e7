package transform

import "slices"

const (
	segmentBits = 6
	segmentSize = 1 << segmentBits
	noPlace     = segmentSize // end of a segment's free list
)

// A store is the memory of a table: values that stay where they are, in segments
// that come and go with their number. One empty segment is kept and filled last,
// so that a table at the brink does not allocate at every query.
type store[T any] struct {
	segments []*segment[T] // nil where one was given back
	roomy    []int32       // segments with a free place; an empty one stands first
}

type segment[T any] struct {
	values [segmentSize]T
	next   [segmentSize]uint8 // free list
	free   uint8              // first free place
	live   int
}

func (s *store[T]) at(i int32) *T {
	return &s.segments[i>>segmentBits].values[i&(segmentSize-1)]
}

// allocate returns a free place, in a new segment if there is none.
func (s *store[T]) allocate() int32 {
	if len(s.roomy) == 0 {
		s.grow()
	}
	n := s.roomy[len(s.roomy)-1]
	g := s.segments[n]
	i := g.free
	g.free = g.next[i]
	g.live++
	if g.free == noPlace {
		s.roomy = s.roomy[:len(s.roomy)-1]
	}
	return n<<segmentBits | int32(i)
}

func (s *store[T]) grow() {
	g := new(segment[T])
	for i := range g.next {
		g.next[i] = uint8(i) + 1
	}
	n := slices.Index(s.segments, nil)
	if n < 0 {
		n = len(s.segments)
		s.segments = append(s.segments, nil)
	}
	s.segments[n] = g
	s.roomy = append(s.roomy, int32(n))
}

// release gives a place back.
func (s *store[T]) release(i int32) {
	n := i >> segmentBits
	g := s.segments[n]
	if g.free == noPlace {
		s.roomy = append(s.roomy, n)
	}
	place := uint8(i & (segmentSize - 1))
	g.next[place], g.free = g.free, place
	if g.live--; g.live == 0 {
		s.emptied(n)
	}
}

// emptied gives an empty segment back, unless it is the only one.
func (s *store[T]) emptied(n int32) {
	at, last := slices.Index(s.roomy, n), len(s.roomy)-1
	if at == 0 || s.segments[s.roomy[0]].live > 0 {
		s.roomy[0], s.roomy[at] = s.roomy[at], s.roomy[0]
		return
	}
	s.segments[n] = nil
	s.roomy[at] = s.roomy[last]
	s.roomy = s.roomy[:last]
}
