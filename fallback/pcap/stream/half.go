package stream

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// window is how far from where a stream is a segment may lie and still belong to it.
const window = 1 << 20

// A step says how sure it is where messages begin.
type step uint8

const (
	lost   step = iota // not known: a segment must begin with one
	trial              // one has been taken to begin, and is not whole yet
	inStep             // known since the SYN, or since a message that was whole
)

// A half is one direction of a connection.
type half struct {
	conn     *conn
	response bool

	known  bool   // next is
	opened bool   // by a SYN, at isn
	fin    bool   // the stream ends at finAt
	ended  bool   // nothing more is taken
	next   uint32 // the sequence number of the octet to come
	isn    uint32
	finAt  uint32

	step    step
	message partial
	skip    int // octets of a broken message still to come, before the next begins

	pieces *buffer // out of order, sorted by sequence number, all behind next, none overlapping
	count  int     // of pieces
	size   int     // capacity of pieces

	holding node[half]
	waiting node[half]
	since   transform.Time // the hole at hole has been waited for
	hole    uint32
}

// clear makes h that of a new connection. It has ended and holds nothing.
func (h *half) clear() {
	*h = half{conn: h.conn, response: h.response, holding: h.holding, waiting: h.waiting}
}

// ahead is how far seq lies behind where the stream is: the sequence numbers wrap
// (RFC 9293 section 3.4).
func (h *half) ahead(seq uint32) int { return int(int32(seq - h.next)) }

// synchronise takes a SYN. One that was seen already changes nothing, and one that
// comes after the first data fits them; any other begins a new connection.
func (t *Table) synchronise(h *half, isn uint32, sink Sink) {
	if h.known {
		if h.opened && h.isn == isn {
			return
		}
		if late := -h.ahead(isn + 1); !h.opened && late >= 0 && late <= window {
			h.opened, h.isn = true, isn
			return
		}
	}
	if h.known || h.ended {
		t.renew(h, sink)
	}
	h.known, h.opened, h.isn, h.next, h.step = true, true, isn, isn+1, inStep
}

// renew lets h begin anew, and the whole connection if that was over.
func (t *Table) renew(h *half, sink Sink) {
	c := h.conn
	if c.ended() {
		t.stats.Begun++
		c.data = false
		c.half(!h.response).clear()
	}
	t.end(h, sink)
	h.clear()
}

// reset takes an RST, unless it lies where the stream cannot be (RFC 5961 section 3).
func (t *Table) reset(h *half, seq uint32, sink Sink) {
	if n := h.ahead(seq); h.known && (n > window || n < -window) {
		t.stats.Strayed++
		return
	}
	for i := range h.conn.halves {
		t.end(&h.conn.halves[i], sink)
	}
}

// data takes payload and FIN.
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
	if !h.known {
		h.known, h.next = true, seq
	}
	if n := h.ahead(seq); (n > window || n+size < -window) && !t.stray(h, seq, s, sink) {
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
		t.stash(h, seq, s.Payload, missing, s.Time, sink)
	}
}

// stray takes a segment far from where the stream is. If a message begins in it,
// then the stream is another by now, of which no SYN was seen.
func (t *Table) stray(h *half, seq uint32, s *Segment, sink Sink) bool {
	t.stats.Strayed++
	if !plausible(s.Payload, h.response) {
		t.stats.DroppedBytes += uint64(len(s.Payload))
		return false
	}
	t.end(h, sink)
	h.clear()
	h.known, h.next = true, seq
	return true
}

// settle ends h if its FIN is reached, and puts it into the lists it belongs to.
func (t *Table) settle(h *half, now transform.Time, sink Sink) {
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
		h.since, h.hole = now, h.next
		t.waiting.push(&h.waiting)
	}
}

// end lets go of all that h holds. What lies behind holes is read first.
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
	h.message, h.skip, h.step, h.ended = partial{}, 0, lost, true
	h.holding.remove()
	h.waiting.remove()
}
