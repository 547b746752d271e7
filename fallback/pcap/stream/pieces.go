package stream

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// maxPieces is the largest number of pieces out of order in one direction. It bounds the
// time of a search.
const maxPieces = 64

// fill takes a segment that begins at or before next and ends after it. Octets that pieces
// hold too are taken from the pieces, because these came first.
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

// drain feeds the pieces that begin at next.
func (t *Table) drain(h *half, sink Sink) {
	for b := h.pieces; b != nil && b.seq == h.next; b = h.pieces {
		h.pieces = b.next
		h.count--
		h.size -= sizeOf(b.class)
		t.feed(h, b.data, b.start, b.at, sink)
		t.pool.put(b)
	}
}

// store keeps a segment that came too early. If there is no room, it gives up holes from
// the first on, until there is room or the segment is next.
func (t *Table) store(h *half, seq uint32, payload []byte, missing int, at transform.Time, sink Sink) {
	t.stats.OutOfOrder++
	for h.ahead(seq) > 0 {
		if t.insertPieces(h, seq, payload, at, sink) {
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

// insertPieces copies the octets of p that no piece holds. It returns false if there is
// no room for all of them.
func (t *Table) insertPieces(h *half, seq uint32, p []byte, at transform.Time, sink Sink) bool {
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
		if h.count == maxPieces || h.size+sizeOf(class) > t.limits.StreamBytes || !t.makeRoom(h, class, sink) {
			return false
		}
		*link = t.newPiece(p[:n], class, b)
		(*link).seq, (*link).start, (*link).at = seq, seq == begin, at
		h.count++
		h.size += sizeOf(class)
		link = &(*link).next
		p, seq = p[n:], seq+uint32(n)
	}
	return true
}

func (t *Table) newPiece(p []byte, class uint8, next *buffer) *buffer {
	b := t.pool.get(class)
	b.data, b.next = append(b.data, p...), next
	t.stats.CopiedBytes += uint64(len(p))
	return b
}

// giveUp skips the first hole and feeds the pieces after it.
func (t *Table) giveUp(h *half, sink Sink) {
	t.gap(h, h.ahead(h.pieces.seq), sink)
	t.drain(h, sink)
}

// giveUpDue gives up the first hole, which has waited for holeTime.
func (t *Table) giveUpDue(h *half, now transform.Time, sink Sink) {
	if h.pieces == nil {
		t.end(h, sink) // the octets before the FIN did not come
	} else {
		t.giveUp(h, sink)
	}
	t.updateHalf(h, now, sink)
	if h.conn.ended() {
		t.updateConn(h.conn, now, sink)
	}
}

// makeRoom makes room for a buffer of a class by evicting buffers of other streams. It
// returns false if no other stream has any.
func (t *Table) makeRoom(h *half, class uint8, sink Sink) bool {
	for !t.pool.fits(class) {
		n := t.holding.front
		if n != nil && n.of == h {
			n = n.next
		}
		if n == nil {
			return false
		}
		t.evictBuffers(n.of, sink)
	}
	return true
}

// evictBuffers releases the buffers of h, and breaks their messages. The stream continues after
// the last octet in them.
func (t *Table) evictBuffers(h *half, sink Sink) {
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
