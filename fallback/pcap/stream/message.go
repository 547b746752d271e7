package stream

import (
	"encoding/binary"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A partial is an incomplete message: one octet of its length, or its length and the
// octets received so far.
type partial struct {
	hasFirst bool // only the first octet of the length was received
	first    byte
	length   int     // 0 if unknown
	body     *buffer // nil if empty
	at       transform.Time
}

// received returns the number of octets received.
func (m *partial) received() int {
	if m.body == nil {
		return 0
	}
	return len(m.body.data)
}

// feed reads data, which begin at next, and delivers the messages that they complete. start
// means that a segment begins with data.
func (t *Table) feed(h *half, data []byte, start bool, at transform.Time, sink Sink) {
	h.next += uint32(len(data))
	n := min(h.skip, len(data))
	h.skip -= n
	data = data[n:]
	if len(data) == 0 {
		return
	}
	if h.sync == unsynced {
		if !start || !plausible(data, h.response) {
			t.stats.DroppedBytes += uint64(len(data))
			return
		}
		t.stats.Resynced++
		h.sync = tentative
	}
	if h.message.hasFirst || h.message.length > 0 {
		data = t.continuePartial(h, data, at, sink)
	}
	for len(data) >= 2 {
		length := int(binary.BigEndian.Uint16(data))
		if length == 0 {
			t.stats.ZeroLengths++
			data = data[2:]
			continue
		}
		if length < dnswire.HeaderLen {
			t.badLength(h, data, sink)
			return
		}
		if len(data) < 2+length {
			break
		}
		data = t.deliver(h, data[2:2+length], data[2+length:], at, sink)
	}
	if len(data) > 0 {
		t.beginPartial(h, data, at, sink)
	}
}

// beginPartial begins a message that data do not complete.
func (t *Table) beginPartial(h *half, data []byte, at transform.Time, sink Sink) {
	m := &h.message
	m.at = at
	if len(data) == 1 {
		m.hasFirst, m.first = true, data[0]
		return
	}
	m.length = int(binary.BigEndian.Uint16(data))
	t.add(h, data[2:], sink)
}

// continuePartial adds data to the incomplete message and returns the octets after it.
func (t *Table) continuePartial(h *half, data []byte, at transform.Time, sink Sink) []byte {
	m := &h.message
	m.at = max(m.at, at)
	if m.hasFirst {
		m.hasFirst, m.length = false, int(m.first)<<8|int(data[0])
		if m.length == 0 {
			t.stats.ZeroLengths++
			return data[1:]
		}
		if m.length < dnswire.HeaderLen {
			m.length = 0
			t.badLength(h, data, sink)
			return nil
		}
		data = data[1:]
	}
	need := m.length - m.received()
	if m.received() == 0 && need <= len(data) {
		m.length = 0
		return t.deliver(h, data[:need], data[need:], m.at, sink)
	}
	n := min(need, len(data))
	if !t.add(h, data[:n], sink) {
		if h.sync == unsynced {
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

// add copies p to the incomplete message. If there is no room, the message is broken, p
// counts as read, and add returns false.
func (t *Table) add(h *half, p []byte, sink Sink) bool {
	m := &h.message
	n := m.received() + len(p)
	if n == 0 {
		return true
	}
	if m.body == nil || n > cap(m.body.data) {
		class := classFor(n)
		if !t.makeRoom(h, class, sink) {
			t.abandon(h, sink)
			h.skip = max(0, h.skip-len(p))
			return false
		}
		b := t.newPiece(nil, class, nil)
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

// deliver passes a message to the sink and returns rest, the octets after it. In a tentative
// stream it checks the message first. If the check fails, deliver drops the message and rest,
// and the stream is unsynchronised.
func (t *Table) deliver(h *half, wire, rest []byte, at transform.Time, sink Sink) []byte {
	if h.sync == tentative {
		following := rest
		if len(rest) == 0 && h.pieces != nil && h.pieces.seq == h.next {
			following = h.pieces.data
		}
		if !isComplete(wire) || !mayBegin(following, h.response) {
			t.stats.Rejected++
			t.stats.DroppedBytes += uint64(len(wire) + len(rest))
			h.sync = unsynced
			return nil
		}
		h.sync = synced
	}
	t.stats.Messages++
	sink.Message(&h.conn.flow, h.response, wire, at)
	return rest
}

// badLength breaks a message with an invalid length and drops data. The stream is then
// unsynchronised, because the start of the next message is unknown.
func (t *Table) badLength(h *half, data []byte, sink Sink) {
	t.stats.DroppedBytes += uint64(len(data))
	h.sync = unsynced
	t.broken(sink)
}

// gap skips n octets that never came, and breaks the message that they belong to. If a
// synchronised stream lacks octets of only one message, whose length is known, the next message
// begins after the rest of it. Else the stream is unsynchronised.
func (t *Table) gap(h *half, n int, sink Sink) {
	t.stats.Gaps++
	t.stats.LostBytes += uint64(n)
	h.next += uint32(n)
	switch {
	case h.skip >= n:
		h.skip -= n
	case h.sync != unsynced && h.message.length > 0:
		t.abandon(h, sink)
		if h.sync != synced || h.skip < n {
			h.skip, h.sync = 0, unsynced
		} else {
			h.skip -= n
		}
	case h.sync != unsynced:
		h.message.hasFirst = false
		h.skip, h.sync = 0, unsynced
		t.broken(sink)
	}
}

// abandon breaks the incomplete message. In a synchronised stream feed skips the rest of it.
func (t *Table) abandon(h *half, sink Sink) {
	m := &h.message
	if h.sync == tentative {
		h.sync = unsynced
	} else {
		h.skip = m.length - m.received()
	}
	if m.body != nil {
		t.pool.put(m.body)
	}
	*m = partial{}
	t.broken(sink)
}

// broken counts a lost message and reports it to the sink.
func (t *Table) broken(sink Sink) {
	t.stats.Broken++
	sink.Broken()
}
