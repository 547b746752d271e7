package kafka

import "container/list"

const (
	maxWriters = 1024 // that are remembered of a partition
	maxRecent  = 64   // containers that are remembered of a writer
)

// writers remembers the latest containers of a partition by their writer, which its sequence id
// names, to recognise copies: a producer that starts again may send what it had sent. The writer
// that was not seen for the longest time is forgotten first. The zero value is ready. It needs about
// 1 KiB for each writer.
type writers struct {
	byID  map[uint64]*list.Element
	order list.List // of *writer, the latest first
}

type writer struct {
	id     uint64
	recent []place // of containers; at the limit it is a ring
	oldest int     // index in the ring
}

// A place is the number of a container and the offset of its message.
type place struct {
	number uint32
	offset int64
}

// isRepeat reports whether the container with a sequence number is a copy: one with this number
// was read at a lower offset. A member that reads again from its latest commit meets the same
// offsets again, which are not copies.
func (w *writers) isRepeat(id uint64, number uint32, offset int64) bool {
	x := w.writer(id)
	for i := range x.recent {
		p := &x.recent[i]
		if p.number == number {
			repeated := p.offset < offset
			p.offset = min(p.offset, offset)
			return repeated
		}
	}
	if len(x.recent) < maxRecent {
		x.recent = append(x.recent, place{number, offset})
		return false
	}
	x.recent[x.oldest] = place{number, offset}
	x.oldest = (x.oldest + 1) % maxRecent
	return false
}

// writer returns the writer of that id, which becomes the latest.
func (w *writers) writer(id uint64) *writer {
	if e, ok := w.byID[id]; ok {
		w.order.MoveToFront(e)
		return e.Value.(*writer)
	}
	if w.byID == nil {
		w.byID = map[uint64]*list.Element{}
	}
	if len(w.byID) == maxWriters {
		oldest := w.order.Remove(w.order.Back()).(*writer)
		delete(w.byID, oldest.id)
	}
	x := &writer{id: id}
	w.byID[id] = w.order.PushFront(x)
	return x
}
