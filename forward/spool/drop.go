package spool

import (
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// limit drops the oldest segments, so that n more bytes are within the limits.
func (s *store) limit(n int64) {
	dropped := false
	for s.fileBytes()+n > s.limits.bytes && s.dropOldest(forward.SpoolFull, func(*segment) bool { return true }) {
		dropped = true
	}
	now := s.clock.now()
	expired := func(g *segment) bool { return s.limits.age > 0 && now-g.Last > s.limits.age }
	for s.dropOldest(forward.SpoolExpired, expired) {
		dropped = true
	}
	if dropped {
		s.noteIndex()
	}
}

// fileBytes returns the size of all segments.
func (s *store) fileBytes() (n int64) {
	for i := range s.index.Segments {
		n += s.index.Segments[i].Bytes
	}
	return n
}

// dropOldest drops the oldest segment if it is due. A segment that is being sent stays, and
// the next one is the oldest.
func (s *store) dropOldest(why forward.Loss, due func(*segment) bool) bool {
	i := 0
	if !s.empty() && s.index.Segments[0].Number == s.pinned {
		i = 1
	}
	if i >= len(s.index.Segments) || !due(&s.index.Segments[i]) {
		return false
	}
	s.giveUp(i, why)
	s.remove(i)
	return true
}

// giveUp counts what is left of segment i as lost, and marks it as dropped before the
// container that follows.
func (s *store) giveUp(i int, why forward.Loss) {
	g := s.index.Segments[i]
	v := s.index.left(i)
	d := forward.Dropped{Units: v.Units, Bytes: uint64(v.Bytes)}
	s.index.Marks = slices.DeleteFunc(s.index.Marks, func(m mark) bool {
		if m.Segment == g.Number {
			addDropped(&d, m.Dropped)
		}
		return m.Segment == g.Number
	})
	if i+1 < len(s.index.Segments) {
		s.index.mark(s.index.Segments[i+1].Number, 0, d)
	} else {
		addDropped(&s.index.Carry, d)
	}
	s.lose(v.Records, why)
}

// damagedSuffix is added to the name of a file that is set aside.
const damagedSuffix = ".damaged"

// setAsideOldest sets the oldest segment aside, because it cannot be read.
func (s *store) setAsideOldest(err error) {
	left := s.index.left(0)
	s.unpin()
	s.giveUp(0, forward.SpoolDamaged)
	path := s.forget(0)
	s.noteIndex()
	s.asideFile(path, path+damagedSuffix)
	s.log.Error("a file of the spool cannot be read, and is set aside; the ledger counts its records as lost",
		"file", path+damagedSuffix, "records", left.Records, "error", err)
}

// asideFile renames a file that is set aside.
func (s *store) asideFile(path, aside string) {
	s.setAside++
	if err := s.disk.rename(path, aside); err != nil {
		s.log.Error("a file of the spool cannot be set aside", "file", path, "error", err)
	}
}
