package transform

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A Pairer is one lane's state: the queries that wait for their responses, the
// lane's clock, and scratch space. It is not safe for concurrent use.
type Pairer struct {
	counts  Counts
	domains DomainCounts // of what counts.Scrubbed says was forbidden
	clock   clock
	pending *table
	memory  memory // packets only
	pressed bool   // the budget refused room since Pressed was last asked

	handover *Handover // what is no record again; dnstap only
	log      *KeyLog   // of what becomes a record; nil: none

	tracer *tracer // nil: nobody wants to know

	known *addrSet  // the resolver's addresses that all lanes have shared
	seen  sightings // those that this lane has seen since

	resolver netip.Addr // of the message at hand, if it identifies the resolver

	own      scratch         // for messages of up to smallMessage octets
	lent     *scratch        // for longer messages and for rebuilding, until Take returns; else nil
	walker   *dnswire.Walker // of own or lent, like the next two
	searcher *searcher
	rewriter *rewriter

	name    [dnswire.MaxName]byte // of the message at hand, lowercase
	zone    [dnswire.MaxName]byte
	zoneLen int
	folded  bool // the zone or the query name was lowercased
	record  Record
	applied ruleSet // what changed the record
	found   Finding // what forbade the latest record that was judged
}

// NewPairer returns a Pairer that holds queries within the budget.
func NewPairer(b *Budget) *Pairer {
	p := &Pairer{pending: newTable(b), known: new(addrSet)}
	p.use(&p.own)
	return p
}

// Take takes one message. What becomes a record is passed to emit before Take
// returns, the message itself or a query that expired; the record is borrowed.
// The result says why the message was dropped, or Kept.
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

// Drop counts what never became a message.
func (p *Pairer) Drop(r Reason) {
	p.counts.Read++
	p.counts.Dropped[r]++
	if p.tracer != nil {
		p.tracer.dropped(r)
	}
}

// Finish ends the lane: what it holds becomes Unfinished, and its share of the
// budget is given back.
func (p *Pairer) Finish() {
	for p.pending.live > 0 {
		p.giveUp(p.pending.oldest, Unfinished)
	}
}

// Pressed returns what the lane holds of the budget, and whether that refused it
// more since the last call.
func (p *Pairer) Pressed() (holds int, refused bool) {
	refused, p.pressed = p.pressed, false
	return p.pending.cost, refused
}

// Shrink gives up the oldest queries until the lane holds n of the budget at most.
func (p *Pairer) Shrink(n int) {
	for p.pending.cost > n {
		p.giveUp(p.pending.oldest, PairingFull)
	}
}

// Counts returns the lane's account as of now.
func (p *Pairer) Counts() Counts {
	c := p.counts
	c.Held = uint64(p.pending.live)
	return c
}

// Domains returns which registered domains were dropped most. They are the lane's own.
func (p *Pairer) Domains() *DomainCounts { return &p.domains }

// Clock is the lane's time: the highest that its messages told and that was
// believed; NoTime before the first.
func (p *Pairer) Clock() Time {
	if !p.clock.set {
		return NoTime
	}
	return p.clock.now
}

// Told is what the lane's latest messages told the time to be, which after a lull the
// lane does not believe yet; NoTime before the first.
func (p *Pairer) Told() Time {
	if p.clock.run > 0 {
		return p.clock.candidate
	}
	return p.Clock()
}

// tick sets the clock by a message, and ends what has waited too long.
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

// takeQuery lets a query wait for its response, unjudged, if it asks one question.
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

// refuse judges a query that is not to wait: it does not ask one question, or it
// asks again what is asked already or has just been answered.
func (p *Pairer) refuse(m *Message, policy *Policy) Reason {
	w := p.walker
	f := facts{
		forwarder: m.Role.forwarder(),
		rd:        w.Flags&dnswire.FlagRD != 0,
		server:    m.Server.Addr().Unmap(),
		resolver:  m.Resolver.Addr().Unmap(),
		lookup:    isLookup(w.Flags, w.Questions, w.Qtype, w.Qclass, w.Signed),
	}
	if r := policy.outward(&f, p.known, &p.seen.fresh); r != Kept {
		return r
	}
	return Duplicate
}

func (p *Pairer) giveUp(i int32, r Reason) {
	if p.tracer != nil {
		p.tracer.ended(p, p.pending.at(i), r)
	}
	p.pending.remove(i)
	p.counts.Dropped[r]++
}

// takeResponse closes the query that the response answers, and judges both.
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

// queryTime is when the query of a response was sent, as that tells, else its query.
func (p *Pairer) queryTime(m *Message, q *pending) Time {
	if m.QueryTime == NoTime && q != nil {
		return q.queryTime
	}
	return m.QueryTime
}

// match finds the query that a response closes; other tells that it answers
// something else than was asked.
func (p *Pairer) match(m *Message) (found int32, other bool) {
	switch w := p.walker; {
	case len(m.Wire) < dnswire.HeaderLen:
		return noIndex, false
	case w.Asked:
		return p.pending.find(m, w)
	default:
		return p.pending.only(m, w.ID), false
	}
}

func (p *Pairer) judgeResponse(m *Message, q *pending, other bool, policy *Policy) Reason {
	w := p.walker
	f := facts{
		forwarder: m.Role.forwarder() || q != nil && q.forwarder,
		rd:        w.Flags&dnswire.FlagRD != 0 || q != nil && q.flags&dnswire.FlagRD != 0,
		server:    m.Server.Addr().Unmap(),
		resolver:  m.Resolver.Addr().Unmap(),
		lookup: isLookup(w.Flags, w.Questions, w.Qtype, w.Qclass, w.Signed) &&
			(q == nil || isLookup(q.flags, 1, q.qtype, q.qclass, q.signed)),
		answered: true,
		flags:    w.Flags,
		extended: w.ExtendedRcode,
	}
	if r := policy.outward(&f, p.known, &p.seen.fresh); r != Kept {
		return r
	}
	switch {
	case q != nil:
	case other:
		return Mismatched
	case m.Packet && p.memory.answered(m, w):
		return Duplicate
	case m.Packet:
		return Unsolicited
	}
	name := append(p.name[:0], w.Qname()...)
	dnswire.Lower(name)
	if p.handover != nil && !m.Packet && p.handedOver(&transaction{
		period: answeredIn(p.queryTime(m, q), m.ResponseTime), resolver: f.resolver, server: m.Server, transport: m.Transport,
		id: w.ID, qtype: w.Qtype, name: name,
	}) {
		return Duplicate
	}
	asked := p.resolver
	if q != nil && q.told && q.resolver != m.Resolver.Addr().As16() {
		asked = identity(q.resolverAddr().Addr())
	}
	p.searcher.begin(policy, p.known, &p.seen.fresh, p.resolver, asked)
	if w.OPT >= 0 || q != nil && q.subnetLen > 0 {
		p.searcher.clientSubnets(w, q)
	}
	return p.search(&subject{
		name: name, zone: p.lowerZone(m, q), response: w, qtype: w.Qtype,
		server: f.server, rd: f.rd, forwarded: f.forwarder,
	})
}

// search judges names and addresses, and counts what forbids a record.
func (p *Pairer) search(x *subject) Reason {
	reason := p.searcher.judge(x)
	if reason != Kept {
		p.found = p.searcher.finding
		p.counts.Scrubbed[p.found.Rule]++
		p.domains.Count(x.name, p.found.Rule)
	}
	return reason
}

// lowerZone leaves in p.zone what the response tells of the zone, else its query.
func (p *Pairer) lowerZone(m *Message, q *pending) []byte {
	zone := append(p.zone[:0], m.Zone...)
	if len(zone) == 0 && q != nil {
		zone = append(zone, p.pending.zone(q)...)
	}
	p.folded = dnswire.Lower(zone)
	p.zoneLen = len(zone)
	return zone
}
