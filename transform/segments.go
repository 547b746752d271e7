package transform

// The memory of a table: segments of queries, and slots for long names.

// allocate returns a free place, in a new segment if there is none.
func (t *table) allocate() int32 {
	if len(t.roomy) == 0 {
		t.addSegment()
	}
	n := t.roomy[len(t.roomy)-1]
	s := t.segments[n]
	i := s.free
	s.free = s.queries[i].next
	s.live++
	if s.free == noIndex {
		t.roomy = t.roomy[:len(t.roomy)-1]
	}
	return n<<segmentBits | i
}

func (t *table) addSegment() {
	s := new(segment)
	for i := range s.queries {
		s.queries[i].next = int32(i) + 1
	}
	s.queries[segmentSize-1].next = noIndex
	for n, old := range t.segments {
		if old == nil {
			t.segments[n] = s
			t.roomy = append(t.roomy, int32(n))
			return
		}
	}
	t.roomy = append(t.roomy, int32(len(t.segments)))
	t.segments = append(t.segments, s)
}

// release gives a place back. An empty segment is kept as long as it is the only
// one with room, so that a table at the brink does not allocate at every query.
func (t *table) release(i int32) {
	n := i >> segmentBits
	s := t.segments[n]
	if s.free == noIndex {
		t.roomy = append(t.roomy, n)
	}
	place := i & (segmentSize - 1)
	s.queries[place].next, s.free = s.free, place
	s.live--
	if s.live > 0 || len(t.roomy) == 1 {
		return
	}
	t.segments[n] = nil
	for j, r := range t.roomy {
		if r == n {
			t.roomy[j] = t.roomy[len(t.roomy)-1]
			t.roomy = t.roomy[:len(t.roomy)-1]
			break
		}
	}
	if t.live == 0 {
		t.slots, t.freeSlots = nil, nil
	}
}

func (t *table) allocateSlot() int32 {
	if n := len(t.freeSlots); n > 0 {
		i := t.freeSlots[n-1]
		t.freeSlots = t.freeSlots[:n-1]
		return i
	}
	t.slots = append(t.slots, make([]byte, textSlot))
	return int32(len(t.slots) - 1)
}
