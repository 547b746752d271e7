package transform

import "net/netip"

// buildAnswer makes the record of a response that may leave, and of its query if
// there is one. It finds the zone where judgeResponse left it, and reports false
// where the response cannot be scrubbed.
func (p *Pairer) buildAnswer(m *Message, q *pending, policy *Policy) bool {
	w := &p.walker
	id := uint16(0)
	if policy.keepResolver {
		id = w.id
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
		Name:         response[headerLen:w.qnameEnd],
		Type:         w.qtype,
		Class:        w.qclass,
		Rcode:        uint8(w.flags & maskRcode),
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
		r.Query = p.rewriter.question(id, q.flags, r.Name, w.qtype, w.qclass)
	}
	r.identify(resolver, id, policy)
	return true
}

// expire judges a query that nobody answered in time, and makes a record of it
// where those are wanted.
func (p *Pairer) expire(q *pending, policy *Policy, emit func(*Record)) {
	reason := p.judgeQuery(q, policy)
	if reason == Kept && !policy.unanswered {
		reason = Unanswered
	}
	if reason != Kept {
		p.counts.Dropped[reason]++
		return
	}
	p.buildUnanswered(q, policy)
	p.leave(q.id, q.queryTime, emit)
}

func (p *Pairer) judgeQuery(q *pending, policy *Policy) Reason {
	f := facts{
		forwarder: q.forwarder,
		rd:        q.flags&flagRD != 0,
		server:    q.serverAddr().Addr(),
		resolver:  q.resolverAddr().Addr(),
		lookup:    isLookup(q.flags, 1, q.qtype, q.qclass, q.signed),
	}
	if r := policy.outward(&f, &p.known); r != Kept {
		return r
	}
	name := append(p.name[:0], p.pending.name(q)...)
	lower(name)
	if p.handover != nil && policy.unanswered && !q.packet &&
		p.handedOver(unansweredSince(q.queryTime, policy), f.resolver, f.server, q.id, q.qtype, name) {
		return Duplicate
	}
	zone := append(p.zone[:0], p.pending.zone(q)...)
	lower(zone)
	p.searcher.begin(policy, &p.known)
	return p.searcher.judge(name, zone, nil)
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
