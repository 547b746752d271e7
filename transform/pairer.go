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
	pending table
	early   earlyTable // packets only
	memory  memory     // packets only
	refused int        // what the lane would hold of the budget in addition, had it not refused room since the last BudgetUse
	holds   bool       // the current message is held as an early response

	handover *Handover // what packets have recorded already; for dnstap only
	log      *KeyLog   // of the records; nil: none

	tracer *tracer // nil: no Trace

	known *addrSet  // the resolver's addresses that all lanes have shared
	seen  seenAddrs // the resolver's addresses that this lane has seen since

	resolver     netip.Addr // of the current message, if it identifies the resolver
	earlyMessage Message    // the early response that is being settled

	own      scratch         // for messages of up to smallMessage octets
	lent     *scratch        // for longer messages and for rebuilding, until Take returns; else nil
	walker   *dnswire.Walker // of own or lent, like the next two
	searcher *searcher
	rewriter *rewriter

	name    [dnswire.MaxName]byte // of the current message, lowercase
	zone    [dnswire.MaxName]byte
	zoneLen int
	badZone bool // the zone that the source stated is not a name
	folded  bool // the zone or the query name was lowercased
	relayed bool // what was judged last is of a forwarder, or has RD=1
	record  Record
	applied ruleSet // the rules that changed the record
	found   Finding // what forbade the record that was judged last
}

// NewPairer returns a Pairer whose pending queries take room from the budget.
func NewPairer(b *Budget) *Pairer {
	s := &share{budget: b}
	p := &Pairer{pending: newTable(s), early: earlyTable{table: newTable(s)}, known: new(addrSet)}
	p.use(&p.own)
	return p
}

// Take takes one message. It passes records of the message, of early responses and of queries
// that expired to emit before it returns; emit borrows the record until it returns. The result
// is why the message was dropped, or Kept. A Zone that is not a name is cleared.
func (p *Pairer) Take(m *Message, policy *Policy, emit func(*Record)) Reason {
	p.counts.Read++
	reason := NotOutward
	if !m.notOutward() {
		p.tick(m, policy, emit)
		reason = p.take(m, policy, emit)
	}
	p.ended(m, reason)
	return reason
}

// ended counts why a message was dropped, and ends the work on it.
func (p *Pairer) ended(m *Message, reason Reason) {
	if reason != Kept {
		p.counts.Dropped[reason]++
	}
	if p.tracer != nil && !p.holds {
		p.tracer.taken(p, m, reason)
	}
	p.holds = false
	p.walker.Msg = nil // the lane must not keep the memory that m borrows
	if p.lent != nil {
		p.giveBack()
	}
}

// tick sets the clock by a message, settles early responses and expires queries.
func (p *Pairer) tick(m *Message, policy *Policy, emit func(*Record)) {
	if p.clock.see(m.time(), p.pending.arrivals) {
		p.pending.restamp(p.clock.since, p.clock.elapsed)
		p.early.restamp(p.clock.since, p.clock.elapsed)
	}
	for p.early.live > 0 && p.clock.elapsed-p.early.at(p.early.oldest).at >= min(earlyTime, policy.timeout) {
		p.settle(p.early.oldest, policy, emit)
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
	wellFormed := p.walk(m, policy)
	if m.Role.response() {
		return p.takeResponse(m, wellFormed, policy, emit)
	}
	return p.takeQuery(m, wellFormed, policy)
}

// walk parses a message, notes the resolver's address, clears a Zone that is not a name, and
// reports whether the message is valid.
func (p *Pairer) walk(m *Message, policy *Policy) (wellFormed bool) {
	p.resolver = m.Resolver.Addr().Unmap()
	if !p.seen.see(p.resolver, p.clock.now, policy) {
		p.resolver = netip.Addr{}
	}
	if p.badZone = len(m.Zone) > 0 && !dnswire.IsName(m.Zone); p.badZone {
		m.Zone = nil
	}
	return p.walker.Walk(m.Wire) && m.Role.response() == (p.walker.Flags&dnswire.FlagQR != 0)
}

// takeQuery puts a query into the pairing table, where it is not yet judged, and evicts older
// entries if the table is full. Malformed queries, copies, and queries without exactly one
// question do not enter the table.
func (p *Pairer) takeQuery(m *Message, wellFormed bool, policy *Policy) Reason {
	w := p.walker
	if !wellFormed {
		return Malformed
	}
	k := keyOf(m, w.ID)
	if w.Questions != 1 || m.Packet && (p.pending.repeated(k, m, w) || p.memory.asked(m, w)) {
		return p.refuse(m, policy)
	}
	if n, oldest := p.pending.countSameKey(k); n >= maxSameKey {
		p.giveUp(oldest, PairingFull)
	}
	for p.pending.insert(k, m, w, p.clock.elapsed) == noIndex {
		evicted := p.evict()
		if evicted == 0 {
			p.refused += p.pending.wanted
			return PairingFull
		}
		p.refused += evicted
	}
	p.early.postpone(k, m, w, p.clock.elapsed)
	p.pending.at(p.pending.newest).badZone = p.badZone
	return Kept
}

// evict ends the oldest early response or, if there is none, the oldest query. It returns what
// that held of the budget; 0 if there is nothing to evict.
func (p *Pairer) evict() int {
	before := p.pending.cost
	switch {
	case p.early.live > 0:
		p.giveUpEarly(p.early.oldest)
	case p.pending.live > 0:
		p.giveUp(p.pending.oldest, PairingFull)
	}
	return before - p.pending.cost
}

// giveUp removes a pending query without judging it, and counts it as dropped.
func (p *Pairer) giveUp(i int32, r Reason) {
	if p.tracer != nil {
		p.tracer.ended(p, &p.pending, p.pending.at(i), r)
	}
	p.pending.remove(i)
	p.counts.Dropped[r]++
}

// takeResponse finds the query of a response and closes it, or holds the response if its query
// may yet come.
func (p *Pairer) takeResponse(m *Message, wellFormed bool, policy *Policy, emit func(*Record)) Reason {
	k := keyOf(m, p.walker.ID)
	found, other := p.match(k, m)
	reason := p.closeQuery(m, found, other, wellFormed, policy, emit)
	if found == noIndex && !other && p.isEarly(m, reason) {
		reason = p.hold(k, m, reason)
		p.holds = reason == Kept
	}
	return reason
}

// closeQuery closes the query that a response answers, if match found one, judges both, and makes
// their record.
func (p *Pairer) closeQuery(m *Message, found int32, other, wellFormed bool, policy *Policy, emit func(*Record)) Reason {
	var q *pending
	if found != noIndex {
		q = p.pending.at(found)
		p.counts.Paired++
		if m.Packet {
			p.memory.note(p.memory.keyOf(m, q.id, q.qtype, q.qclass, p.pending.name(q)), m.Wire, m.time())
		}
	}
	reason := Malformed
	if wellFormed {
		reason = p.judgeResponse(m, q, other, policy)
	}
	if reason == Kept {
		if p.buildAnswer(m, q, policy) {
			p.emitRecord(p.walker.ID, p.queryTime(m, q), emit)
		} else {
			reason = Unscrubbable
		}
	}
	if q != nil {
		p.pending.remove(found)
	}
	return reason
}

// match finds the query that a response closes. If there is none, other reports that queries
// to the server with this ID are pending, but with other questions.
func (p *Pairer) match(k key, m *Message) (found int32, other bool) {
	switch w := p.walker; {
	case len(m.Wire) < dnswire.HeaderLen:
		return noIndex, false
	case w.HasQuestion:
		return p.pending.find(k, m, w)
	default:
		return p.pending.only(k, m), false
	}
}

// queryTime is the time of a response's query, as the response states it, else the query.
func (p *Pairer) queryTime(m *Message, q *pending) Time {
	if m.QueryTime == NoTime && q != nil {
		return q.sent
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
		p.emitRecord(q.id, q.sent, emit)
	} else {
		p.counts.Dropped[reason]++
	}
	if p.tracer != nil {
		p.tracer.ended(p, &p.pending, q, reason)
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

// Finish ends the lane: early responses close their queries, the other queries become
// Unfinished, and their room is returned to the budget. It passes records to emit.
func (p *Pairer) Finish(policy *Policy, emit func(*Record)) {
	for p.early.live > 0 {
		p.settle(p.early.oldest, policy, emit)
	}
	for p.pending.live > 0 {
		p.giveUp(p.pending.oldest, Unfinished)
	}
}

// BudgetUse returns how much of the budget the lane holds, and how much more it would hold, had
// the budget not refused it room since the last call.
func (p *Pairer) BudgetUse() (holds, refused int) {
	refused, p.refused = p.refused, 0
	return p.pending.cost, refused
}

// Shrink drops early responses and then the oldest queries until the lane holds at most n of
// the budget.
func (p *Pairer) Shrink(n int) {
	for p.pending.cost > n && p.evict() > 0 {
	}
}

// Counts returns the lane's counts.
func (p *Pairer) Counts() Counts {
	c := p.counts
	c.Held = uint64(p.pending.live + p.early.live)
	return c
}

// Domains returns the registered domains with the most drops. The lane still changes it, so it
// is borrowed until the next message.
func (p *Pairer) Domains() *DomainCounts { return &p.domains }

// Clock is the lane's time: the highest that its clock has accepted; NoTime before the first
// message.
func (p *Pairer) Clock() Time {
	if !p.clock.set {
		return NoTime
	}
	return p.clock.now
}

// StatedTime is the time that the latest messages state; NoTime before the first message. If
// it is far from Clock, the clock has not accepted it yet.
func (p *Pairer) StatedTime() Time {
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
	wire     []byte // of an early response
}

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

// giveBack returns the lent scratch to the budget, and clears the record, which points into
// it, and the scratch's pointers to the lane.
func (p *Pairer) giveBack() {
	p.record = Record{}
	p.lent.searcher.release()
	p.pending.budget.takeBack(p.lent)
	p.lent = nil
	p.use(&p.own)
}
