package spool

import (
	"io"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

const (
	// loadSize is the size in bytes at which a load is full.
	loadSize = 4 << 20

	// maxBatches bounds the memory of a load: a container after others that were dropped begins
	// a batch, even if the batch before it is nearly empty.
	maxBatches = loadSize / forward.BatchSize
)

// phase is the state of a load.
type phase uint8

const (
	idle   phase = iota // there is nothing to send
	direct              // Send waits for the acknowledgement; the units are not in the store
	stored              // the units are the oldest of the store
)

// A load is what the shipper sends next: a copy of batches or of a part of the store. Its
// memory is used again.
type load struct {
	phase   phase
	batches []*forward.Batch
	free    []*forward.Batch
	batch   int  // the first that is not sent whole
	unit    int  // in that batch, the first that is not acknowledged
	sending bool // the inner transport uses the batches

	result forward.Result // direct: what Send has not returned
}

// done reports whether all units were acknowledged.
func (l *load) done() bool { return l.batch == len(l.batches) }

// rest returns the units that are not acknowledged.
func (l *load) rest() (bs []*forward.Batch, from int) { return l.batches[l.batch:], l.unit }

// clear empties l.
func (l *load) clear() {
	l.free = append(l.free, l.batches...)
	l.batches, l.batch, l.unit, l.phase = l.batches[:0], 0, 0, idle
}

// next appends an empty batch.
func (l *load) next() *forward.Batch {
	var b *forward.Batch
	if n := len(l.free); n > 0 {
		b, l.free = l.free[n-1], l.free[:n-1]
		*b = forward.Batch{Buf: b.Buf[:0], Units: b.Units[:0]}
	} else {
		b = &forward.Batch{Buf: make([]byte, 0, forward.BatchSize)}
	}
	l.batches = append(l.batches, b)
	return b
}

// copy copies units of bs, from unit number from of the first batch on: whole batches, up to
// loadSize bytes. before was given up before them.
func (l *load) copy(bs []*forward.Batch, from int, before forward.Dropped) {
	size := 0
	for i, b := range bs {
		units := b.Buf[b.Start(from):]
		if size += len(units); i > 0 && size > loadSize {
			return
		}
		c := l.next()
		c.ID, c.First, c.Time, c.Dropped = b.ID, b.First+uint32(from), b.Time, before
		if from == 0 {
			addDropped(&c.Dropped, b.Dropped)
		}
		start := b.Start(from)
		c.Buf = append(c.Buf, units...)
		for _, u := range b.Units[from:] {
			c.Units = append(c.Units, forward.Unit{End: u.End - start, Records: u.Records})
		}
		from, before = 0, forward.Dropped{}
	}
}

// read reads containers of a stretch, up to loadSize bytes and maxBatches batches. It ends before the first that is
// damaged, as far as the checksums of its payloads show it. The error is that of the disk.
func (l *load) read(d disk, s stretch) error {
	f, err := d.read(s.path, s.start)
	if err != nil {
		return err
	}
	defer f.Close()
	in := nmsg.NewContainers(io.LimitReader(f, s.end-s.start))
	var b *forward.Batch
	for at := s.start; at-s.start < loadSize; {
		container, records, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		dropped := s.droppedBefore(at)
		if b == nil || dropped != (forward.Dropped{}) || len(b.Buf)+len(container) > cap(b.Buf) {
			if len(l.batches) == maxBatches {
				return nil
			}
			b = l.next()
			b.Dropped = dropped
		}
		b.Buf = append(b.Buf, container...)
		b.Units = append(b.Units, forward.Unit{End: len(b.Buf), Records: records})
		at += int64(len(container))
	}
	return nil
}

func (s *stretch) droppedBefore(offset int64) forward.Dropped {
	if i := slices.IndexFunc(s.marks, func(m mark) bool { return m.Offset == offset }); i >= 0 {
		return s.marks[i].Dropped
	}
	return forward.Dropped{}
}

// advance moves past units that are acknowledged or lost, and returns their volume.
func (l *load) advance(units int) (v volume) {
	for ; units > 0 && !l.done(); units-- {
		b := l.batches[l.batch]
		v.add(volume{int64(b.Units[l.unit].End - b.Start(l.unit)), 1, uint64(b.Units[l.unit].Records)})
		if l.unit++; l.unit == len(b.Units) {
			l.batch, l.unit = l.batch+1, 0
		}
	}
	return v
}
