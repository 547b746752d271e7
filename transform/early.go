package transform

import (
	"bytes"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

const (
	// earlyTime is how long a response packet waits for its query, and then again for
	// another response to that query.
	earlyTime = Time(2 * time.Second)

	// earlyShare is the part of the budget that early responses may take: one of earlyShare.
	// Anyone can send responses, so that they must leave room for queries.
	earlyShare = 2

	// pieceText is the octets of a response in one piece, which costs slotCost. A segment of
	// pieces just fits the 32 KiB above which the allocator rounds up to pages.
	pieceText = textSlot - 8
)

// A piece is a part of the wire bytes of a response.
type piece struct {
	next int32 // noIndex in the last piece
	text [pieceText]byte
}

// A body is what an early response has in addition to the fields of a query.
type body struct {
	first     int32 // piece
	length    int32 // octets
	contested bool  // another response to the same question arrived before the query
}

// earlyTable holds the response packets of one lane whose query has not been captured: taps and
// network cards reorder packets, and a query over TCP may wait for a lost segment. A response
// does not prove that the resolver asked. Therefore another response that arrives after the
// query takes precedence, and of different responses that arrive before it none is used.
type earlyTable struct {
	table
	pieces store[struct{}, piece]
	bodies []body // by index of the table
	used   int    // of the budget
}

func pieceCost(length int) int { return (length + pieceText - 1) / pieceText * slotCost }

// fits reports whether early responses may take the room of one more of a length.
func (t *earlyTable) fits(length int) bool {
	return t.used+1+slotCost+pieceCost(length) <= t.budget.Max()/earlyShare
}

// hold adds a response as the newest. It reports false if the budget has no room: then the
// caller removes the oldest one and tries again.
func (t *earlyTable) hold(k key, m *Message, w *dnswire.Walker, now Time) bool {
	before, cost := t.cost, pieceCost(len(m.Wire))
	if !t.take(cost) {
		return false
	}
	i := t.insert(k, m, w, now)
	if i == noIndex {
		t.give(cost)
		return false
	}
	t.used += t.cost - before
	if int(i) >= len(t.bodies) {
		t.bodies = append(t.bodies, make([]body, int(i)+1-len(t.bodies))...)
	}
	b := &t.bodies[i]
	*b = body{length: int32(len(m.Wire))}
	link := &b.first
	for rest := m.Wire; len(rest) > 0; {
		*link = t.pieces.allocate()
		p := t.pieces.at(*link)
		rest = rest[copy(p.text[:], rest):]
		link = &p.next
	}
	*link = noIndex
	return true
}

// drop removes a response; its fields stay valid until the next hold.
func (t *earlyTable) drop(i int32) {
	before := t.cost
	t.remove(i)
	for n := t.bodies[i].first; n != noIndex; {
		next := t.pieces.at(n).next
		t.pieces.release(n)
		n = next
	}
	t.give(pieceCost(int(t.bodies[i].length)))
	t.used -= before - t.cost
	if t.live == 0 && len(t.bodies) > segmentSize {
		t.bodies = nil
	}
}

// appendWire appends the wire bytes of a response to b.
func (t *earlyTable) appendWire(b []byte, i int32) []byte {
	left := int(t.bodies[i].length)
	for n := t.bodies[i].first; n != noIndex; {
		p := t.pieces.at(n)
		b = append(b, p.text[:min(left, pieceText)]...)
		left -= pieceText
		n = p.next
	}
	return b
}

// hasWire reports whether a response has these wire bytes.
func (t *earlyTable) hasWire(i int32, wire []byte) bool {
	if int(t.bodies[i].length) != len(wire) {
		return false
	}
	for n := t.bodies[i].first; n != noIndex; {
		p := t.pieces.at(n)
		size := min(len(wire), pieceText)
		if !bytes.Equal(p.text[:size], wire[:size]) {
			return false
		}
		wire = wire[size:]
		n = p.next
	}
	return true
}

// same returns i, or else the first response after it with the same key, that has the five-tuple
// and the question of a packet.
func (t *earlyTable) same(i int32, k key, m *Message, w *dnswire.Walker) int32 {
	for ; i != noIndex; i = t.after(i, k) {
		q := t.at(i)
		if q.sameFlow(m) && q.qtype == w.Qtype && q.qclass == w.Qclass && dnswire.EqualFold(t.name(q), w.Qname()) {
			break
		}
	}
	return i
}

// contest reports whether the table holds a copy of a response. If it does not, contest marks
// the responses to the same question, and reports whether there are any.
func (t *earlyTable) contest(k key, m *Message, w *dnswire.Walker) (repeated, contested bool) {
	first := t.same(t.first(k), k, m, w)
	for i := first; i != noIndex; i = t.same(t.after(i, k), k, m, w) {
		if t.hasWire(i, m.Wire) {
			return true, false
		}
	}
	for i := first; i != noIndex; i = t.same(t.after(i, k), k, m, w) {
		t.bodies[i].contested = true
	}
	return false, first != noIndex
}

// postpone lets the responses to a query, which has just arrived, wait again.
func (t *earlyTable) postpone(k key, m *Message, w *dnswire.Walker, now Time) {
	for i := t.same(t.first(k), k, m, w); i != noIndex; i = t.same(t.after(i, k), k, m, w) {
		q := t.at(i)
		t.unlink(t.link(i))
		q.at = now
		t.append(i, q)
	}
}

// isEarly reports whether a response that closes no query may have been captured before its
// query, by the reason for which it makes no record. It is not early if its query was answered.
func (p *Pairer) isEarly(m *Message, reason Reason) bool {
	switch reason {
	case Truncated, Rcode, Unsolicited:
		return m.Packet && !p.memory.asked(m, p.walker)
	}
	return false
}

// hold keeps a response packet until its query has arrived, and returns Kept. It returns
// another reason if the response is a copy of one that is held, or if there is no room.
func (p *Pairer) hold(k key, m *Message, reason Reason) Reason {
	w := p.walker
	repeated, contested := p.early.contest(k, m, w)
	switch {
	case repeated && reason == Unsolicited:
		return Duplicate
	case repeated:
		return reason
	}
	if n, oldest := p.early.countSameKey(k); n >= maxSameKey {
		p.giveUpEarly(oldest)
	}
	for {
		fits := p.early.fits(len(m.Wire))
		if fits && p.early.hold(k, m, w, p.clock.elapsed) {
			break
		}
		before := p.early.cost
		if p.early.live == 0 {
			if fits {
				p.refused += p.early.wanted
			}
			return PairingFull
		}
		p.giveUpEarly(p.early.oldest)
		if fits {
			p.refused += before - p.early.cost
		}
	}
	p.early.bodies[p.early.newest].contested = contested
	return Kept
}

// giveUpEarly ends a response that is held, without judging it.
func (p *Pairer) giveUpEarly(i int32) {
	if p.tracer != nil {
		p.tracer.ended(p, &p.early.table, p.early.at(i), PairingFull)
	}
	p.early.drop(i)
	p.counts.Dropped[PairingFull]++
}

// settle takes a response out of the early ones and lets it close its query, if that has
// arrived and has no other response.
func (p *Pairer) settle(i int32, policy *Policy, emit func(*Record)) {
	b, q := p.early.bodies[i], p.early.at(i)
	s := &p.own
	if b.length > smallMessage {
		s = p.borrow()
		p.use(s)
	}
	s.wire = p.early.appendWire(s.wire[:0], i)
	m := &p.earlyMessage
	*m = Message{
		Role: ResolverResponse, Packet: true, Transport: q.transport,
		Server: q.serverAddr(), Resolver: q.resolverAddr(),
		QueryTime: NoTime, ResponseTime: q.sent,
		Wire: s.wire,
	}
	if q.forwarder {
		m.Role = ForwarderResponse
	}
	p.early.drop(i)
	whole := p.walk(m, policy)
	found := int32(noIndex)
	if !b.contested {
		k := keyOf(m, p.walker.ID)
		found, _ = p.match(k, m)
	}
	p.ended(m, p.closeQuery(m, found, false, whole, policy, emit))
	m.Wire = nil
}
