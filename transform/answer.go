package transform

import (
	"bytes"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// buildAnswer makes the record of a response that may leave, and of its query if
// there is one. It finds the zone where judgeResponse left it, and reports false
// where the response cannot be scrubbed.
func (p *Pairer) buildAnswer(m *Message, q *pending, policy *Policy) bool {
	w := p.walker
	id := uint16(0)
	if policy.keepResolver {
		id = w.ID
	}
	if rebuilds(w) { // which may make the message longer than smallMessage
		p.rewriter = &p.borrow().rewriter
	}
	response, ok := p.rewriter.response(w, id)
	if !ok {
		return false
	}
	r := &p.record
	*r = Record{
		Server:       unmapped(m.Server),
		Transport:    m.Transport,
		Answered:     true,
		Name:         response[dnswire.HeaderLen:w.QnameEnd],
		Type:         w.Qtype,
		Class:        w.Qclass,
		Rcode:        uint8(w.Flags & dnswire.MaskRcode),
		Zone:         p.zone[:p.zoneLen],
		QueryTime:    policy.truncate(p.queryTime(m, q)),
		ResponseTime: policy.truncate(m.ResponseTime),
		Response:     response,
	}
	resolver := unmapped(m.Resolver)
	if q != nil {
		if !resolver.IsValid() {
			resolver = q.resolverAddr()
		}
		r.Asked = true
		r.Query = p.rewriter.question(id, q.flags, r.Name, w.Qtype, w.Qclass)
	}
	r.identify(resolver, id, policy)
	p.applied = p.appliedTo(m, q, resolver)
	return true
}

// appliedTo is the rules that changed the record of a response.
func (p *Pairer) appliedTo(m *Message, q *pending, resolver netip.AddrPort) ruleSet {
	w, r := p.walker, &p.record
	flags, folded := w.Flags, p.rewriter.folded || p.folded
	var by ruleSet
	if q != nil {
		flags |= q.flags
		folded = folded || !bytes.Equal(p.pending.name(q), r.Name) // a server may answer in another case
		by.add(QueryReduced, q.more)
	}
	by.add(ResolverZeroed, r.Resolver != resolver && tells(resolver))
	by.add(IDZeroed, r.ID != w.ID)
	by.add(OPTRemoved, w.OPT >= 0)
	by.add(CaseLowered, folded)
	by.add(HeaderBitsCleared, flags&cleared != 0)
	by.add(TrailingCut, w.End < len(w.Msg))
	by.add(TimeTruncated, r.QueryTime != p.queryTime(m, q) || r.ResponseTime != m.ResponseTime)
	by.add(RRsetRemoved, w.Omits())
	by.add(Rebuilt, p.rewriter.rebuilt)
	return by
}

// tells reports whether the resolver's side of a message says anything.
func tells(resolver netip.AddrPort) bool {
	return resolver.IsValid() && (!resolver.Addr().IsUnspecified() || resolver.Port() != 0)
}

// expire judges a query that nobody answered in time, and makes a record of it
// where those are wanted.
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

func (p *Pairer) judgeQuery(q *pending, policy *Policy) Reason {
	f := facts{
		forwarder: q.forwarder,
		rd:        q.flags&dnswire.FlagRD != 0,
		server:    q.serverAddr().Addr(),
		resolver:  q.resolverAddr().Addr(),
		lookup:    isLookup(q.flags, 1, q.qtype, q.qclass, q.signed),
	}
	if r := policy.outward(&f, p.known, &p.seen.fresh); r != Kept {
		return r
	}
	name := append(p.name[:0], p.pending.name(q)...)
	nameFolded := dnswire.Lower(name)
	if p.handover != nil && policy.unanswered && !q.packet && p.handedOver(&transaction{
		period: unansweredSince(q.queryTime, policy), resolver: f.resolver, server: q.serverAddr(), transport: q.transport,
		id: q.id, qtype: q.qtype, name: name,
	}) {
		return Duplicate
	}
	zone := append(p.zone[:0], p.pending.zone(q)...)
	p.folded = dnswire.Lower(zone) || nameFolded
	own := identity(f.resolver)
	p.searcher.begin(policy, p.known, &p.seen.fresh, own, own)
	p.searcher.addSubnet(q.subnet())
	return p.search(&subject{name: name, zone: zone, qtype: q.qtype, server: f.server, rd: f.rd, forwarded: q.forwarder})
}

// buildUnanswered finds name and zone where judgeQuery left them.
func (p *Pairer) buildUnanswered(q *pending, policy *Policy) {
	id := uint16(0)
	if policy.keepResolver {
		id = q.id
	}
	name := p.name[:q.nameLen]
	r := &p.record
	*r = Record{
		Server:       q.serverAddr(),
		Transport:    q.transport,
		Asked:        true,
		Name:         name,
		Type:         q.qtype,
		Class:        q.qclass,
		Zone:         p.zone[:q.zoneLen],
		QueryTime:    policy.truncate(q.queryTime),
		ResponseTime: NoTime,
		Query:        p.rewriter.question(id, q.flags, name, q.qtype, q.qclass),
	}
	r.identify(q.resolverAddr(), id, policy)
	p.applied = appliedToQuery(q, r, p.folded)
}

// appliedToQuery is the rules that changed the record of a query.
func appliedToQuery(q *pending, r *Record, folded bool) ruleSet {
	var by ruleSet
	by.add(ResolverZeroed, r.Resolver != q.resolverAddr() && tells(q.resolverAddr()))
	by.add(IDZeroed, r.ID != q.id)
	by.add(QueryReduced, q.more)
	by.add(CaseLowered, folded)
	by.add(HeaderBitsCleared, q.flags&cleared != 0)
	by.add(TimeTruncated, r.QueryTime != q.queryTime)
	return by
}

// identify sets the resolver's side of a record: as it is, or zero.
func (r *Record) identify(resolver netip.AddrPort, id uint16, policy *Policy) {
	server := r.Server.Addr()
	r.ID = id
	r.Zeroed = !policy.keepResolver
	if policy.keepResolver && resolver.IsValid() && resolver.Addr().Is4() == server.Is4() {
		r.Resolver = resolver
		return
	}
	zero := netip.IPv6Unspecified()
	if server.Is4() {
		zero = netip.IPv4Unspecified()
	}
	r.Resolver = netip.AddrPortFrom(zero, 0)
}

// unmapped is an IPv4-mapped address as the IPv4 one that it stands for.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
