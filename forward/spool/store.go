package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

const (
	indexName     = "index"
	segmentSuffix = ".nmsg"
	segmentDigits = 20

	// A limit drops whole segments, the oldest first. Therefore a segment contains at most
	// this part of what the limits allow.
	segmentsPerLimit = 8
	longestSegment   = 64 << 20
)

// limits bound a spool.
type limits struct {
	bytes int64
	age   time.Duration // 0: no limit
}

// A store is a spool's folder. The transport's mutex guards it.
type store struct {
	dir      string
	disk     disk
	log      *slog.Logger
	clock    clock
	limits   limits
	finisher *finisher
	lose     func(records uint64, why forward.Loss) // counts records that the store gives up

	index    index
	current  segmentFile // the last segment, to append to; nil: none is open
	pinned   uint64      // number of the segment whose containers are being sent; 0: none
	unnoted  bool        // the index file is older than index
	failing  bool        // the index cannot be written, and this was logged
	setAside uint64      // files that were set aside
}

func (s *store) empty() bool { return len(s.index.Segments) == 0 }

func (s *store) path(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%0*d%s", segmentDigits, number, segmentSuffix))
}

// last returns the last segment.
func (s *store) last() *segment { return &s.index.Segments[len(s.index.Segments)-1] }

// append appends the units of bs, from unit number from of the first batch on, all or none:
// after an error none is in the store.
func (s *store) append(bs []*forward.Batch, from int) (volume, error) {
	v := volumeOf(bs, from)
	s.limit(v.Bytes)
	if err := s.makeRoom(v.Bytes); err != nil {
		return volume{}, err
	}
	marks, carry := slices.Clone(s.index.Marks), s.index.Carry
	err := s.noteDropped(bs, from)
	if err == nil {
		err = s.write(bs, from)
	}
	if err != nil {
		s.index.Marks, s.index.Carry = marks, carry
		s.discardEmpty()
		return volume{}, err
	}
	g := s.last()
	g.add(v)
	g.Last = s.clock.now()
	return v, nil
}

// makeRoom makes the last segment one that n bytes can be appended to.
func (s *store) makeRoom(n int64) error {
	if s.current != nil {
		if g := s.last(); g.Bytes+n <= s.segmentBytes() && !s.tooLong(g) && !s.finisher.isBroken() {
			return nil
		}
		s.finish()
	}
	return s.begin()
}

// finish ends the last segment.
func (s *store) finish() {
	s.finisher.finish(s.current)
	s.current = nil
}

func (s *store) segmentBytes() int64 {
	return min(s.limits.bytes/segmentsPerLimit, longestSegment)
}

// tooLong reports whether more containers would make ages in a segment too different.
func (s *store) tooLong(g *segment) bool {
	return s.limits.age > 0 && s.clock.now()-g.First > s.limits.age/segmentsPerLimit
}

// begin begins a segment. The index knows it first: a file that it does not know was removed
// from it.
func (s *store) begin() error {
	now := s.clock.now()
	number := s.index.Next
	s.index.Next++
	s.index.Segments = append(s.index.Segments, segment{Number: number, First: now, Last: now})
	err := s.writeIndex()
	if err == nil {
		s.current, err = s.disk.create(s.path(number))
	}
	if err != nil {
		s.current = nil
		s.index.Segments = s.index.Segments[:len(s.index.Segments)-1]
		return fmt.Errorf("creating a file of the spool: %w", err)
	}
	return nil
}

// noteDropped marks what was given up before these units, in the index file too.
func (s *store) noteDropped(bs []*forward.Batch, from int) error {
	g := s.last()
	offset := g.Bytes
	d := s.index.Carry
	s.index.Carry = forward.Dropped{}
	marked := d != forward.Dropped{}
	for _, b := range bs {
		if from == 0 {
			addDropped(&d, b.Dropped)
			marked = marked || b.Dropped != forward.Dropped{}
		}
		s.index.mark(g.Number, offset, d)
		d = forward.Dropped{}
		offset += int64(len(b.Buf) - b.Start(from))
		from = 0
	}
	if !marked {
		return nil
	}
	return s.writeIndex()
}

// takeCarry returns what was given up before the next container, which is sent from memory.
func (s *store) takeCarry() forward.Dropped {
	d := s.index.Carry
	if d != (forward.Dropped{}) {
		s.index.Carry = forward.Dropped{}
		s.unnoted = true
	}
	return d
}

// updateIndex writes the index if its file is older: the peer got the Carry, or the disk failed.
func (s *store) updateIndex() {
	if s.unnoted {
		s.noteIndex()
	}
}

// write writes units. After an error it removes what it wrote; if that fails, the segment ends,
// because only its last bytes may be others than those that the index knows.
func (s *store) write(bs []*forward.Batch, from int) error {
	for _, b := range bs {
		n, err := s.current.Write(b.Buf[b.Start(from):])
		s.finisher.wrote(s.current, n)
		if err != nil {
			if s.current.Truncate(s.last().Bytes) != nil {
				s.finish()
			}
			return fmt.Errorf("writing to the spool: %w", err)
		}
		from = 0
	}
	return nil
}

// discardEmpty removes the last segment if nothing could be written to it.
func (s *store) discardEmpty() {
	if s.last().Bytes == 0 {
		s.remove(len(s.index.Segments) - 1)
	}
}

// acknowledge notes that the oldest containers were acknowledged. They belong to one
// segment. The segment is removed when the index file knows that it is not needed.
func (s *store) acknowledge(v volume) {
	s.index.Acked.add(v)
	g := &s.index.Segments[0]
	acked, path := s.index.Acked.Bytes, ""
	s.index.Marks = slices.DeleteFunc(s.index.Marks, func(m mark) bool { return m.Segment == g.Number && m.Offset < acked })
	if acked == g.Bytes {
		path = s.forget(0)
	}
	s.noteIndex()
	if path != "" {
		s.unlink(path)
	}
}

// forget removes segment i from the index, and returns the path of its file.
func (s *store) forget(i int) string {
	if i == len(s.index.Segments)-1 && s.current != nil {
		s.finisher.discard(s.current)
		s.current = nil
	}
	if i == 0 {
		s.index.Acked = volume{}
	}
	path := s.path(s.index.Segments[i].Number)
	s.index.Segments = slices.Delete(s.index.Segments, i, i+1)
	return path
}

func (s *store) remove(i int) { s.unlink(s.forget(i)) }

func (s *store) unlink(path string) {
	if err := s.disk.remove(path); err != nil {
		s.log.Warn("a file of the spool cannot be removed; the next start tries it again", "file", path, "error", err)
	}
}

// A stretch is the part of the oldest segment that is not acknowledged.
type stretch struct {
	path       string
	start, end int64
	marks      []mark // in it
}

// pin returns the stretch to send, which stays until unpin.
func (s *store) pin() stretch {
	g := &s.index.Segments[0]
	s.pinned = g.Number
	t := stretch{path: s.path(g.Number), start: s.index.Acked.Bytes, end: g.Bytes}
	for _, m := range s.index.Marks {
		if m.Segment == g.Number {
			t.marks = append(t.marks, m)
		}
	}
	return t
}

func (s *store) unpin() { s.pinned = 0 }

// noteIndex writes the index. After an error it goes on: a crash would repeat what was
// acknowledged since.
func (s *store) noteIndex() {
	err := s.writeIndex()
	if err != nil && !s.failing {
		s.log.Error("the index of the spool cannot be written; a restart now would repeat records", "error", err)
	}
	s.failing = err != nil
}

func (s *store) writeIndex() error {
	s.unnoted = true
	s.index.Written = s.clock.moment()
	b, err := s.index.encode()
	if err == nil {
		err = s.disk.replace(filepath.Join(s.dir, indexName), b)
	}
	if err != nil {
		return fmt.Errorf("writing the index of the spool: %w", err)
	}
	s.unnoted = false
	s.finisher.wrote(nil, len(b))
	return nil
}

// close closes the open segment, and syncs all.
func (s *store) close() error {
	var errs []error
	if s.current != nil {
		s.finish()
	}
	if !s.empty() || s.unnoted {
		errs = append(errs, s.writeIndex())
	}
	return errors.Join(append(errs, s.finisher.end())...)
}

// state returns the state of the spool, without the condition of the disk.
func (s *store) state() forward.SpoolState {
	state := forward.SpoolState{Bytes: uint64(s.index.total().Bytes), MaxBytes: uint64(s.limits.bytes), Damaged: s.setAside}
	if !s.empty() {
		state.Oldest = time.Now().Add(s.index.Segments[0].First - s.clock.now())
	}
	return state
}

// volumeOf returns the volume of the units of bs, from unit number from of the first batch on.
func volumeOf(bs []*forward.Batch, from int) (v volume) {
	for _, b := range bs {
		for i := from; i < len(b.Units); i++ {
			v.add(volume{int64(b.Units[i].End - b.Start(i)), 1, uint64(b.Units[i].Records)})
		}
		from = 0
	}
	return v
}
