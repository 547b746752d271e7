package stream

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// window is the largest distance of a segment from the next octet of its stream, in octets.
const window = 1 << 20

// A syncState is how much is known about the boundaries of messages.
type syncState uint8

const (
	unsynced  syncState = iota // nothing: a message must begin at the start of a segment
	tentative                  // a message was recognised and is not complete
	synced                     // known since the SYN, or since a complete message
)

// A half is one direction of a connection.
type half struct {
	conn     *conn
	response bool

	hasNext bool   // next is known
	hasISN  bool   // a SYN was captured, and isn is known
	fin     bool   // a FIN was captured, and the stream ends at finAt
	ended   bool   // no more data are taken
	next    uint32 // sequence number of the next octet
	isn     uint32
	finAt   uint32

	sync    syncState
	message partial
	skip    int // octets of a broken message that are still to come

	pieces *buffer // segments out of order, sorted by sequence number, after next, not overlapping
	count  int     // of pieces
	size   int     // octets of capacity of pieces

	holding node[half]
	waiting node[half]
	since   transform.Time // when an octet after the hole that begins at hole first came
	hole    uint32
}

// clear resets h for a new connection. h has ended and holds nothing.
func (h *half) clear() {
	*h = half{conn: h.conn, response: h.response, holding: h.holding, waiting: h.waiting}
}

// ahead returns the distance of seq from next, which is negative for earlier octets.
// Sequence numbers wrap (RFC 9293 section 3.4).
func (h *half) ahead(seq uint32) int { return int(int32(seq - h.next)) }

// synchronise takes a SYN. A repeated SYN changes nothing. A SYN that was captured after the
// first data only sets isn, if these data may follow it. Any other SYN begins a new stream.
func (t *Table) synchronise(h *half, isn uint32, sink Sink) {
	if h.hasNext {
		if h.hasISN && h.isn == isn {
			return
		}
		if late := -h.ahead(isn + 1); !h.hasISN && late >= 0 && late <= window {
			h.hasISN, h.isn = true, isn
			return
		}
	}
	if h.hasNext || h.ended {
		t.restart(h, sink)
	}
	h.hasNext, h.hasISN, h.isn, h.next, h.sync = true, true, isn, isn+1, synced
}

// restart ends h and resets it for a new stream. If both directions had ended, it resets the
// other one too, and counts a new connection.
func (t *Table) restart(h *half, sink Sink) {
	c := h.conn
	if c.ended() {
		t.stats.Begun++
		c.data = false
		c.half(!h.response).clear()
	}
	t.end(h, sink)
	h.clear()
}

// reset takes an RST: it ends both directions, unless the RST is outside of the window (RFC
// 5961 section 3).
func (t *Table) reset(h *half, seq uint32, sink Sink) {
	if n := h.ahead(seq); h.hasNext && (n > window || n < -window) {
		t.stats.OutsideWindow++
		return
	}
	for i := range h.conn.halves {
		t.end(&h.conn.halves[i], sink)
	}
}

// data takes the payload and FIN of a segment.
func (t *Table) data(h *half, s *Segment, sink Sink) {
	missing := min(max(s.Missing, 0), window)
	size := len(s.Payload) + missing
	if size == 0 && !s.FIN {
		return
	}
	if h.ended {
		if size > 0 {
			t.stats.Retransmitted++
		}
		return
	}
	seq := s.Seq
	if s.SYN {
		seq++
	}
	if !h.hasNext {
		h.hasNext, h.next = true, seq
	}
	if n := h.ahead(seq); (n > window || n+size < -window) && !t.rejoin(h, seq, s, sink) {
		return
	}
	if s.FIN && !h.fin && h.ahead(seq+uint32(size)) >= 0 {
		h.fin, h.finAt = true, seq+uint32(size)
	}
	if size == 0 {
		return
	}
	h.conn.data = true
	switch n := h.ahead(seq); {
	case n+size <= 0:
		t.stats.Retransmitted++
	case n <= 0:
		t.fill(h, seq, s.Payload, missing, s.Time, sink)
	default:
		t.store(h, seq, s.Payload, missing, s.Time, sink)
	}
}

// rejoin takes a segment outside of the window. If a message begins in it, it belongs to
// a new stream whose SYN was not captured: rejoin begins that stream and returns true.
func (t *Table) rejoin(h *half, seq uint32, s *Segment, sink Sink) bool {
	t.stats.OutsideWindow++
	if !plausible(s.Payload, h.response) {
		t.stats.DroppedBytes += uint64(len(s.Payload))
		return false
	}
	t.end(h, sink)
	h.clear()
	h.hasNext, h.next = true, seq
	return true
}

// updateHalf ends h if its FIN is reached, and moves it to its queues.
func (t *Table) updateHalf(h *half, now transform.Time, sink Sink) {
	if h.fin && h.ahead(h.finAt) <= 0 {
		t.end(h, sink)
	}
	if h.message.body == nil && h.pieces == nil {
		h.holding.remove()
	} else {
		t.holding.push(&h.holding)
	}
	switch {
	case h.ended || h.pieces == nil && !h.fin:
		h.waiting.remove()
	case h.waiting.in == nil || h.hole != h.next:
		t.wait(h, now)
	}
}

// wait adds the hole at next to the queue of holes. If it follows another hole, it may be older
// than holes that were found before it.
func (t *Table) wait(h *half, now transform.Time) {
	h.since, h.hole = now, h.next
	for b := h.pieces; b != nil; b = b.next {
		h.since = min(h.since, b.at)
	}
	h.waiting.remove()
	prev := t.waiting.back
	for prev != nil && prev.of.since > h.since {
		prev = prev.prev
	}
	t.waiting.insert(&h.waiting, prev)
}

// end ends h: it gives up its holes, delivers the messages after them, and releases its
// buffers.
func (t *Table) end(h *half, sink Sink) {
	for h.pieces != nil {
		t.giveUp(h, sink)
	}
	if h.fin && h.ahead(h.finAt) > 0 {
		t.gap(h, h.ahead(h.finAt), sink)
	}
	if h.message.length > 0 {
		t.abandon(h, sink)
	}
	h.message, h.skip, h.sync, h.ended = partial{}, 0, unsynced, true
	h.holding.remove()
	h.waiting.remove()
}
