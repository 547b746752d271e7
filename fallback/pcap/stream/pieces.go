package stream

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// maxPieces bounds the pieces out of order in one direction, and with them the
// search for a place.
const maxPieces = 64

// fill takes a segment that begins at or before where the stream is, and reaches
// beyond. Where pieces hold the same octets they came first, and stand.
func (t *Table) fill(h *half, seq uint32, payload []byte, missing int, at transform.Time, sink Sink) {
	size := len(payload) + missing
	for {
		t.drain(h, sink)
		from, to := int(h.next-seq), size
		if from >= size {
			return
		}
		if h.pieces != nil {
			to = min(to, int(h.pieces.seq-seq))
		}
		if from < len(payload) {
			t.feed(h, payload[from:min(to, len(payload))], from == 0, at, sink)
		} else {
			t.gap(h, to-from, sink)
		}
	}
}

// drain reads the pieces that have come to be in order.
func (t *Table) drain(h *half, sink Sink) {
	for b := h.pieces; b != nil && b.seq == h.next; b = h.pieces {
		h.pieces = b.next
		h.count--
		h.size -= sizeOf(b.class)
		t.feed(h, b.data, b.start, b.at, sink)
		t.pool.put(b)
	}
}

// stash keeps a segment that came too early. When there is no room, holes are given
// up, the first one first, until there is, or until the segment is next.
func (t *Table) stash(h *half, seq uint32, payload []byte, missing int, at transform.Time, sink Sink) {
	t.stats.OutOfOrder++
	for h.ahead(seq) > 0 {
		if t.keep(h, seq, payload, at, sink) {
			return
		}
		if h.pieces != nil && int32(h.pieces.seq-seq) <= 0 {
			t.giveUp(h, sink)
		} else {
			t.gap(h, h.ahead(seq), sink)
		}
	}
	t.fill(h, seq, payload, missing, at, sink)
}

// keep copies what of p no piece holds yet. It returns false when there is no room
// for all.
func (t *Table) keep(h *half, seq uint32, p []byte, at transform.Time, sink Sink) bool {
	begin, link := seq, &h.pieces
	for len(p) > 0 {
		b := *link
		if b != nil && int32(b.seq-seq) <= 0 {
			if over := int(int32(b.end() - seq)); over > 0 {
				n := min(over, len(p))
				p, seq = p[n:], seq+uint32(n)
			}
			link = &b.next
			continue
		}
		n := min(len(p), maxBuffer)
		if b != nil {
			n = min(n, int(b.seq-seq))
		}
		class := classFor(n)
		if h.count == maxPieces || h.size+sizeOf(class) > t.limits.StreamBytes || !t.room(h, class, sink) {
			return false
		}
		*link = t.piece(p[:n], class, b)
		(*link).seq, (*link).start, (*link).at = seq, seq == begin, at
		h.count++
		h.size += sizeOf(class)
		link = &(*link).next
		p, seq = p[n:], seq+uint32(n)
	}
	return true
}

func (t *Table) piece(p []byte, class uint8, next *buffer) *buffer {
	b := t.pool.get(class)
	b.data, b.next = append(b.data, p...), next
	t.stats.CopiedBytes += uint64(len(p))
	return b
}

// giveUp waits no longer for the first hole, and reads what is behind it.
func (t *Table) giveUp(h *half, sink Sink) {
	t.gap(h, h.ahead(h.pieces.seq), sink)
	t.drain(h, sink)
}

// giveUpDue gives up the holes that have waited long enough.
func (t *Table) giveUpDue(h *half, now transform.Time, sink Sink) {
	if h.pieces == nil {
		t.end(h, sink) // the FIN came, and not what belongs before it
	} else {
		t.giveUp(h, sink)
		for h.pieces != nil && now-h.pieces.at >= patience {
			t.giveUp(h, sink)
		}
	}
	t.settle(h, now, sink)
	if h.conn.ended() {
		t.place(h.conn, now, sink)
	}
}

// room makes room for a buffer of that class, at the cost of other streams. It
// returns false when h alone has buffers, or none has.
func (t *Table) room(h *half, class uint8, sink Sink) bool {
	for !t.pool.fits(class) {
		n := t.holding.front
		if n != nil && n.of == h {
			n = n.next
		}
		if n == nil {
			return false
		}
		t.rob(n.of, sink)
	}
	return true
}

// rob takes the buffers of h away. It may go on behind them.
func (t *Table) rob(h *half, sink Sink) {
	t.stats.EvictedBuffers++
	if h.pieces == nil {
		t.abandon(h, sink)
		h.holding.remove()
		return
	}
	for b := h.pieces; b != nil; b = h.pieces {
		h.pieces = b.next
		end := b.end()
		t.pool.put(b)
		if h.pieces == nil {
			t.gap(h, h.ahead(end), sink)
		}
	}
	h.count, h.size = 0, 0
	h.holding.remove()
	h.waiting.remove()
}
