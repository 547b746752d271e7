package transform

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/miekg/dns"
)

// judgeResponse judges a response, and its query if q is not nil. other is as match returns it.
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
	p.relayed = f.forwarder || f.rd
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
	if q != nil && q.named && q.resolver != addressOf(m.Resolver.Addr()) {
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

// judgeQuery judges a query without a response.
func (p *Pairer) judgeQuery(q *pending, policy *Policy) Reason {
	f := facts{
		forwarder: q.forwarder,
		rd:        q.flags&dnswire.FlagRD != 0,
		server:    q.serverAddr().Addr(),
		resolver:  q.resolverAddr().Addr(),
		lookup:    isLookup(q.flags, 1, q.qtype, q.qclass, q.signed),
	}
	p.relayed = f.forwarder || f.rd
	if r := policy.outward(&f, p.known, &p.seen.fresh); r != Kept {
		return r
	}
	name := append(p.name[:0], p.pending.name(q)...)
	nameFolded := dnswire.Lower(name)
	if p.handover != nil && policy.unanswered && !q.packet && p.handedOver(&transaction{
		period: unansweredSince(q.sent, policy), resolver: f.resolver, server: q.serverAddr(), transport: q.transport,
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

// refuse returns the reason of a query that does not enter the pairing table. A query without
// exactly one question is NotLookup, a copy of a pending or just answered query is Duplicate,
// unless an earlier reason applies.
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

// lowerZone sets p.zone to the zone of the response, else of the query, in lowercase, and returns
// it.
func (p *Pairer) lowerZone(m *Message, q *pending) []byte {
	zone := append(p.zone[:0], m.Zone...)
	if len(zone) == 0 && q != nil {
		zone = append(zone, p.pending.zone(q)...)
	}
	p.folded = dnswire.Lower(zone)
	p.zoneLen = len(zone)
	return zone
}

// search judges names and addresses, and counts the rule that forbids a record.
func (p *Pairer) search(x *subject) Reason {
	reason := p.searcher.judge(x)
	if reason != Kept {
		p.found = p.searcher.finding
		p.counts.Scrubbed[p.found.Rule]++
		p.domains.Count(x.name, p.found.Rule)
	}
	return reason
}

// JudgeName judges a query name by itself, like the name of an unanswered query to a server
// that is not a root server: it returns LocalName, ResolverAddress, Lookup, SpecialName, or
// Kept if the name does not forbid a record. The name is in uncompressed wire form, in any
// letter case; Malformed if it is not.
func (p *Policy) JudgeName(name []byte) Reason {
	if !dnswire.IsName(name) {
		return Malformed
	}
	var lowered [dnswire.MaxName]byte
	dnswire.Lower(lowered[:copy(lowered[:], name)])
	var s searcher
	s.begin(p, &s.none, &s.none, netip.Addr{}, netip.Addr{})
	return s.judge(&subject{name: lowered[:len(name)]})
}

// facts is what "outward only" judges of a query, a response, or both.
type facts struct {
	forwarder bool
	rd        bool
	server    netip.Addr
	resolver  netip.Addr // invalid if not stated
	lookup    bool       // a plain lookup
	answered  bool
	flags     uint16 // of the response
	extended  uint8  // upper bits of the response's rcode
}

// isLookup reports whether a message is a plain lookup, or its response.
func isLookup(flags uint16, questions int, qtype, qclass uint16, signed bool) bool {
	return flags&dnswire.MaskOpcode == 0 && questions == 1 && qclass == dns.ClassINET && !signed &&
		qtype != dns.TypeAXFR && qtype != dns.TypeIXFR && qtype != dns.TypeTKEY
}

// outward returns the first reason why this is not a response from an authoritative server on
// the public Internet to a lookup of the resolver, or Kept.
func (p *Policy) outward(f *facts, known, fresh *addrSet) Reason {
	switch {
	case (f.forwarder || f.rd) && !p.forwarded:
		return Forwarded
	case !p.localServers && p.isLocalServer(f.server, f.resolver, known, fresh):
		return LocalServer
	case !f.lookup:
		return NotLookup
	case !f.answered:
		return Kept
	case f.flags&dnswire.FlagTC != 0:
		return Truncated
	case p.rcodes>>(f.flags&dnswire.MaskRcode)&1 == 0 || f.extended != 0:
		return Rcode
	}
	return Kept
}

var sharedAddressSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// isLocalServer reports whether a server's address, or an IPv4 address that it embeds
// for translation or a tunnel, is local. Addresses are unmapped.
func (p *Policy) isLocalServer(server, resolver netip.Addr, known, fresh *addrSet) bool {
	if server.Is6() {
		var e embedded
		b := server.As16()
		e.findKnown(&b)
		for _, inner := range e.addrs[:e.n] {
			if p.isLocalServer(netip.AddrFrom4(inner), resolver, known, fresh) {
				return true
			}
		}
	}
	return server.IsLoopback() || server.IsLinkLocalUnicast() || server.IsPrivate() || server.IsUnspecified() ||
		server.IsMulticast() || server.Is4() && sharedAddressSpace.Contains(server) ||
		server == resolver || p.localNetworks.Has(server) || p.resolverNets.Has(server) ||
		known.has(server) || fresh.has(server) || p.resolvers.has(server)
}

// MayBeOutward reports whether a message may be outward: by its role, times and header it is
// neither not_outward nor forwarded.
func (p *Policy) MayBeOutward(m *Message) bool {
	const atFlags = 2
	asked := len(m.Wire) > atFlags && m.Wire[atFlags]&(dnswire.FlagRD>>8) != 0
	return !m.notOutward() && (p.forwarded || !m.Role.forwarder() && !asked)
}
