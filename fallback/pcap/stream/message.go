package stream

import (
	"encoding/binary"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A partial is a message that is not whole yet: an octet of its length, or its
// length and as much of it as has come.
type partial struct {
	halved bool // of the length there is the first octet only
	first  byte
	length int     // 0 when not known
	body   *buffer // nil while empty
	at     transform.Time
}

func (m *partial) have() int {
	if m.body == nil {
		return 0
	}
	return len(m.body.data)
}

// feed takes the octets that are next; start says that a segment begins with them.
func (t *Table) feed(h *half, data []byte, start bool, at transform.Time, sink Sink) {
	h.next += uint32(len(data))
	n := min(h.skip, len(data))
	h.skip -= n
	data = data[n:]
	if len(data) == 0 {
		return
	}
	if h.step == lost {
		if !start || !plausible(data, h.response) {
			t.stats.DroppedBytes += uint64(len(data))
			return
		}
		t.stats.Resynced++
		h.step = trial
	}
	if h.message.halved || h.message.length > 0 {
		data = t.resume(h, data, at, sink)
	}
	for len(data) >= 2 {
		length := int(binary.BigEndian.Uint16(data))
		if length < dnswire.HeaderLen {
			t.lie(h, data, sink)
			return
		}
		if len(data) < 2+length {
			break
		}
		data = t.deliver(h, data[2:2+length], data[2+length:], at, sink)
	}
	if len(data) > 0 {
		t.hold(h, data, at, sink)
	}
}

// hold begins a message that data, which do not hold it whole, begin.
func (t *Table) hold(h *half, data []byte, at transform.Time, sink Sink) {
	m := &h.message
	m.at = at
	if len(data) == 1 {
		m.halved, m.first = true, data[0]
		return
	}
	m.length = int(binary.BigEndian.Uint16(data))
	t.add(h, data[2:], sink)
}

// resume goes on with the message under way and returns what is behind it.
func (t *Table) resume(h *half, data []byte, at transform.Time, sink Sink) []byte {
	m := &h.message
	m.at = max(m.at, at)
	if m.halved {
		m.halved, m.length = false, int(m.first)<<8|int(data[0])
		if m.length < dnswire.HeaderLen {
			m.length = 0
			t.lie(h, data, sink)
			return nil
		}
		data = data[1:]
	}
	need := m.length - m.have()
	if m.have() == 0 && need <= len(data) {
		m.length = 0
		return t.deliver(h, data[:need], data[need:], m.at, sink)
	}
	n := min(need, len(data))
	if !t.add(h, data[:n], sink) {
		if h.step == lost {
			return nil
		}
		return data[n:]
	}
	data = data[n:]
	if n < need {
		return nil
	}
	b := m.body
	m.length, m.body = 0, nil
	data = t.deliver(h, b.data, data, m.at, sink)
	t.pool.put(b)
	return data
}

// add copies p to the message under way. When there is no room, that is broken, and
// add returns false, p having been read.
func (t *Table) add(h *half, p []byte, sink Sink) bool {
	m := &h.message
	n := m.have() + len(p)
	if n == 0 {
		return true
	}
	if m.body == nil || n > cap(m.body.data) {
		class := classFor(n)
		if !t.room(h, class, sink) {
			t.abandon(h, sink)
			h.skip = max(0, h.skip-len(p))
			return false
		}
		b := t.piece(nil, class, nil)
		if m.body != nil {
			b.data = append(b.data, m.body.data...)
			t.stats.CopiedBytes += uint64(len(b.data))
			t.pool.put(m.body)
		}
		m.body = b
	}
	m.body.data = append(m.body.data, p...)
	t.stats.CopiedBytes += uint64(len(p))
	return true
}

// deliver hands out a message and returns the rest behind it. One on trial must
// prove itself first; if it does not, there is no rest.
func (t *Table) deliver(h *half, wire, rest []byte, at transform.Time, sink Sink) []byte {
	if h.step == trial {
		behind := rest
		if len(rest) == 0 && h.pieces != nil && h.pieces.seq == h.next {
			behind = h.pieces.data
		}
		if !whole(wire) || !followed(behind, h.response) {
			t.stats.Doubted++
			t.stats.DroppedBytes += uint64(len(wire) + len(rest))
			h.step = lost
			return nil
		}
		h.step = inStep
	}
	t.stats.Messages++
	sink.Message(&h.conn.flow, h.response, wire, at)
	return rest
}

// lie takes a length that cannot be. Where the next message begins is not known.
func (t *Table) lie(h *half, data []byte, sink Sink) {
	t.stats.DroppedBytes += uint64(len(data))
	h.step = lost
	t.broken(sink)
}

// gap goes on behind n octets that never came, which took a message. If all of them
// were of the message under way, the next one begins where that would have ended.
func (t *Table) gap(h *half, n int, sink Sink) {
	t.stats.Gaps++
	t.stats.LostBytes += uint64(n)
	h.next += uint32(n)
	switch {
	case h.skip >= n:
		h.skip -= n
	case h.step != lost && h.message.length > 0:
		t.abandon(h, sink)
		if h.step != inStep || h.skip < n {
			h.skip, h.step = 0, lost
		} else {
			h.skip -= n
		}
	case h.step != lost:
		h.message.halved = false
		h.skip, h.step = 0, lost
		t.broken(sink)
	}
}

// abandon breaks the message under way, the rest of which is then skipped.
func (t *Table) abandon(h *half, sink Sink) {
	m := &h.message
	if h.step == trial {
		h.step = lost
	} else {
		h.skip = m.length - m.have()
	}
	if m.body != nil {
		t.pool.put(m.body)
	}
	*m = partial{}
	t.broken(sink)
}

func (t *Table) broken(sink Sink) {
	t.stats.Broken++
	sink.Broken()
}
