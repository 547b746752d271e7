package transform

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A Pairer is the state of one lane: pending queries, the lane's clock, and scratch space.
// It is not safe for concurrent use.
type Pairer struct {
	counts  Counts
	domains DomainCounts // of the messages that rules in counts.Scrubbed forbade
	clock   clock
	pending *table
	memory  memory // packets only
	pressed bool   // the budget refused room since Pressed was last asked

	handover *Handover // what packets have recorded already; for dnstap only
	log      *KeyLog   // of the records; nil: none

	tracer *tracer // nil: no Trace

	known *addrSet  // the resolver's addresses that all lanes have shared
	seen  sightings // the resolver's addresses that this lane has seen since

	resolver netip.Addr // of the current message, if it identifies the resolver

	own      scratch         // for messages of up to smallMessage octets
	lent     *scratch        // for longer messages and for rebuilding, until Take returns; else nil
	walker   *dnswire.Walker // of own or lent, like the next two
	searcher *searcher
	rewriter *rewriter

	name    [dnswire.MaxName]byte // of the current message, lowercase
	zone    [dnswire.MaxName]byte
	zoneLen int
	folded  bool // the zone or the query name was lowercased
	record  Record
	applied ruleSet // the rules that changed the record
	found   Finding // what forbade the record that was judged last
}

// NewPairer returns a Pairer whose pending queries take room from the budget.
func NewPairer(b *Budget) *Pairer {
	p := &Pairer{pending: newTable(b), known: new(addrSet)}
	p.use(&p.own)
	return p
}

// Take takes one message. It passes records of the message and of queries that expired to
// emit before it returns; emit borrows the record until it returns. The result is why the
// message was dropped, or Kept.
func (p *Pairer) Take(m *Message, policy *Policy, emit func(*Record)) Reason {
	p.counts.Read++
	reason := Inward
	if !m.inward() {
		p.tick(m, policy, emit)
		reason = p.take(m, policy, emit)
	}
	if reason != Kept {
		p.counts.Dropped[reason]++
	}
	if p.tracer != nil {
		p.tracer.taken(p, m, reason)
	}
	p.walker.Msg = nil // the lane must not keep the memory that m borrows
	if p.lent != nil {
		p.giveBack()
	}
	return reason
}

// tick sets the clock by a message, and expires queries.
func (p *Pairer) tick(m *Message, policy *Policy, emit func(*Record)) {
	if p.clock.see(m.time(), p.pending.arrivals) {
		p.pending.restamp(p.clock.since, p.clock.elapsed)
	}
	for p.pending.live > 0 {
		i := p.pending.oldest
		q := p.pending.at(i)
		if p.clock.elapsed-q.at < policy.timeout {
			return
		}
		p.expire(q, policy, emit)
		p.pending.remove(i)
	}
}

// take parses a message whose role is outward.
func (p *Pairer) take(m *Message, policy *Policy, emit func(*Record)) Reason {
	if len(m.Wire) > smallMessage {
		p.use(p.borrow())
	}
	p.resolver = m.Resolver.Addr().Unmap()
	if !p.seen.see(p.resolver, p.clock.now, policy) {
		p.resolver = netip.Addr{}
	}
	whole := p.walker.Walk(m.Wire) && (len(m.Zone) == 0 || dnswire.IsName(m.Zone)) &&
		m.Role.response() == (p.walker.Flags&dnswire.FlagQR != 0)
	if m.Role.response() {
		return p.takeResponse(m, whole, policy, emit)
	}
	return p.takeQuery(m, whole, policy)
}

// takeQuery puts a query with one question into the pairing table, unjudged.
func (p *Pairer) takeQuery(m *Message, whole bool, policy *Policy) Reason {
	w := p.walker
	if !whole {
		return Malformed
	}
	if w.Questions != 1 || m.Packet && (p.pending.repeated(m, w) || p.memory.asked(m, w)) {
		return p.refuse(m, policy)
	}
	if n, oldest := p.pending.crowd(m, w.ID); n >= maxSameKey {
		p.giveUp(oldest, PairingFull)
	}
	for !p.pending.insert(m, w, p.clock.elapsed) {
		p.pressed = true
		if p.pending.live == 0 {
			return PairingFull
		}
		p.giveUp(p.pending.oldest, PairingFull)
	}
	return Kept
}

// giveUp ends a pending query without judging it.
func (p *Pairer) giveUp(i int32, r Reason) {
	if p.tracer != nil {
		p.tracer.ended(p, p.pending.at(i), r)
	}
	p.pending.remove(i)
	p.counts.Dropped[r]++
}

// takeResponse closes the query that the response answers, judges both, and makes their
// record.
func (p *Pairer) takeResponse(m *Message, whole bool, policy *Policy, emit func(*Record)) Reason {
	found, other := p.match(m)
	var q *pending
	if found != noIndex {
		q = p.pending.at(found)
		p.counts.Paired++
		if m.Packet {
			p.memory.note(p.memory.keyOf(m, q.id, q.qtype, q.qclass, p.pending.name(q)), m.Wire, m.time())
		}
	}
	reason := Malformed
	if whole {
		reason = p.judgeResponse(m, q, other, policy)
	}
	if reason == Kept {
		if p.buildAnswer(m, q, policy) {
			p.leave(p.walker.ID, p.queryTime(m, q), emit)
		} else {
			reason = Unscrubbable
		}
	}
	if q != nil {
		p.pending.remove(found)
	}
	return reason
}

// match finds the query that a response closes. other reports that the response answers
// another question than the pending ones.
func (p *Pairer) match(m *Message) (found int32, other bool) {
	switch w := p.walker; {
	case len(m.Wire) < dnswire.HeaderLen:
		return noIndex, false
	case w.HasQuestion:
		return p.pending.find(m, w)
	default:
		return p.pending.only(m, w.ID), false
	}
}

// queryTime is the time of a response's query, as the response states it, else the query.
func (p *Pairer) queryTime(m *Message, q *pending) Time {
	if m.QueryTime == NoTime && q != nil {
		return q.queryTime
	}
	return m.QueryTime
}

// expire judges a query that got no response in time, and makes a record of it if the policy
// wants unanswered queries.
func (p *Pairer) expire(q *pending, policy *Policy, emit func(*Record)) {
	reason := p.judgeQuery(q, policy)
	if reason == Kept && !policy.unanswered {
		reason = Unanswered
	}
	if reason == Kept {
		p.buildUnanswered(q, policy)
		p.leave(q.id, q.queryTime, emit)
	} else {
		p.counts.Dropped[reason]++
	}
	if p.tracer != nil {
		p.tracer.ended(p, q, reason)
	}
}

// Drop counts a frame or packet that was dropped before it became a Message.
func (p *Pairer) Drop(r Reason) {
	p.counts.Read++
	p.counts.Dropped[r]++
	if p.tracer != nil {
		p.tracer.dropped(r)
	}
}

// Finish ends the lane: pending queries become Unfinished, and their room is returned to the
// budget.
func (p *Pairer) Finish() {
	for p.pending.live > 0 {
		p.giveUp(p.pending.oldest, Unfinished)
	}
}

// Pressed returns how much of the budget the lane holds, and whether the budget refused it
// more since the last call.
func (p *Pairer) Pressed() (holds int, refused bool) {
	refused, p.pressed = p.pressed, false
	return p.pending.cost, refused
}

// Shrink drops the oldest queries until the lane holds at most n of the budget.
func (p *Pairer) Shrink(n int) {
	for p.pending.cost > n {
		p.giveUp(p.pending.oldest, PairingFull)
	}
}

// Counts returns the lane's counts.
func (p *Pairer) Counts() Counts {
	c := p.counts
	c.Held = uint64(p.pending.live)
	return c
}

// Domains returns the registered domains with the most drops. It is borrowed from the lane.
func (p *Pairer) Domains() *DomainCounts { return &p.domains }

// Clock is the lane's time: the highest that its clock has accepted; NoTime before the first
// message.
func (p *Pairer) Clock() Time {
	if !p.clock.set {
		return NoTime
	}
	return p.clock.now
}

// Told is the time that the latest messages state, which the clock has not accepted yet if
// it is far from Clock; NoTime before the first message.
func (p *Pairer) Told() Time {
	if p.clock.run > 0 {
		return p.clock.candidate
	}
	return p.Clock()
}

// smallMessage is the length in octets of the longest message that a lane works on in its
// own scratch, which then grows to at most 40 KiB. Nearly all messages are shorter.
const smallMessage = 4 << 10

// A scratch is the memory for work on one message. It grows with the longest
// message and never shrinks: up to 1.2 MiB for messages of 65,535 octets.
type scratch struct {
	walker   dnswire.Walker
	searcher searcher
	rewriter rewriter
}

// use makes the Pairer use s.
func (p *Pairer) use(s *scratch) {
	p.walker, p.searcher, p.rewriter = &s.walker, &s.searcher, &s.rewriter
}

// borrow returns the scratch that the budget lends the Pairer until Take returns.
func (p *Pairer) borrow() *scratch {
	if p.lent == nil {
		p.lent = p.pending.budget.lend()
	}
	return p.lent
}

// giveBack returns the scratch to the budget, and clears the record, which points into it.
// The scratch must not keep pointers to the lane.
func (p *Pairer) giveBack() {
	p.record = Record{}
	p.lent.searcher.release()
	p.pending.budget.takeBack(p.lent)
	p.lent = nil
	p.use(&p.own)
}
