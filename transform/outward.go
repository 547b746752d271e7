package transform

import (
	"net/netip"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

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

// Passes reports whether a message may be outward: by its role, times and header it is
// neither not_outward nor forwarded.
func (p *Policy) Passes(m *Message) bool {
	const atFlags = 2
	asked := len(m.Wire) > atFlags && m.Wire[atFlags]&(dnswire.FlagRD>>8) != 0
	return !m.notOutward() && (p.forwarded || !m.Role.forwarder() && !asked)
}
