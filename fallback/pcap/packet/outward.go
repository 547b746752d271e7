package packet

import (
	"net/netip"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/stream"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const portDNS = 53

// role returns the role of a message from src to dst: a query if only src is a resolver and
// dst has port 53, a response if only dst is a resolver and src has port 53, else OtherRole.
func (d *Dissector) role(src, dst netip.AddrPort) transform.Role {
	if src.Port() != portDNS && dst.Port() != portDNS {
		return transform.OtherRole
	}
	fromResolver, toResolver := d.resolvers.has(src.Addr()), d.resolvers.has(dst.Addr())
	switch {
	case fromResolver && !toResolver && dst.Port() == portDNS:
		return transform.ResolverQuery
	case toResolver && !fromResolver && src.Port() == portDNS:
		return transform.ResolverResponse
	}
	return transform.OtherRole
}

// A resolverSet is the set of addresses in Config.Resolvers. hosts are single addresses, of which a
// resolver has few: comparing them is faster than searching networks.
type resolverSet struct {
	hosts    []netip.Addr
	networks transform.Networks
}

const maxHosts = 8

func newResolverSet(prefixes []netip.Prefix) resolverSet {
	var s resolverSet
	var networks []netip.Prefix
	for _, p := range prefixes {
		if p.IsSingleIP() && len(s.hosts) < maxHosts {
			s.hosts = append(s.hosts, p.Addr())
		} else {
			networks = append(networks, p)
		}
	}
	s.networks = transform.NewNetworks(networks)
	return s
}

func (s *resolverSet) has(a netip.Addr) bool {
	return slices.Contains(s.hosts, a) || s.networks.Has(a)
}

// reversed reports whether the QR bit contradicts the role, which is possible if both ports
// are 53: the message is then between the resolver and its own client.
func reversed(role transform.Role, src, dst netip.AddrPort, wire []byte) bool {
	const atFlags, flagQR = 2, 0x80
	return src.Port() == portDNS && dst.Port() == portDNS && len(wire) > atFlags &&
		(wire[atFlags]&flagQR != 0) != (role == transform.ResolverResponse)
}

// take passes a message to the sink.
func (d *Dissector) take(role transform.Role, transport transform.Transport, src, dst netip.AddrPort, wire []byte, at transform.Time) {
	m := &d.message
	m.Role, m.Packet, m.Transport, m.Wire = role, true, transport, wire
	if role == transform.ResolverResponse {
		m.Server, m.Resolver, m.QueryTime, m.ResponseTime = src, dst, transform.NoTime, at
	} else {
		m.Server, m.Resolver, m.QueryTime, m.ResponseTime = dst, src, at, transform.NoTime
	}
	d.sink.Take(m)
}

// A streamSink is a Dissector in its role as the sink of its TCP streams.
type streamSink Dissector

// Message passes a message over TCP to the sink.
func (t *streamSink) Message(f *stream.Flow, response bool, wire []byte, at transform.Time) {
	d := (*Dissector)(t)
	role, src, dst := transform.ResolverQuery, f.Resolver, f.Server
	if response {
		role, src, dst = transform.ResolverResponse, f.Server, f.Resolver
	}
	if reversed(role, src, dst, wire) {
		d.sink.Drop(transform.NotOutward)
		return
	}
	d.take(role, transform.TCP, src, dst, wire, at)
}

// Broken drops an incomplete message as malformed.
func (t *streamSink) Broken() { (*Dissector)(t).dropMalformed() }
