package packet

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const portDNS = 53

// role is the place of what goes from src to dst: between one of the resolvers and
// port 53 of a server that is none of them, or not outward.
func (d *Dissector) role(src, dst netip.AddrPort) transform.Role {
	if src.Port() != portDNS && dst.Port() != portDNS {
		return transform.NotOutward
	}
	asks, answered := d.resolvers.Has(src.Addr()), d.resolvers.Has(dst.Addr())
	switch {
	case asks && !answered && dst.Port() == portDNS:
		return transform.ResolverQuery
	case answered && !asks && src.Port() == portDNS:
		return transform.ResolverResponse
	}
	return transform.NotOutward
}

// turned reports whether a message between two ports 53 goes the other way: the
// resolver itself is the server there, and its peer a client.
func turned(role transform.Role, src, dst netip.AddrPort, wire []byte) bool {
	const atFlags, flagQR = 2, 0x80
	return src.Port() == portDNS && dst.Port() == portDNS && len(wire) > atFlags &&
		(wire[atFlags]&flagQR != 0) != (role == transform.ResolverResponse)
}

// take hands a message on.
func (d *Dissector) take(role transform.Role, transport transform.Transport, src, dst netip.AddrPort, wire []byte, at transform.Time) {
	m := &d.message
	*m = transform.Message{
		Role: role, Packet: true, Transport: transport,
		QueryTime: transform.NoTime, ResponseTime: transform.NoTime,
		Wire: wire,
	}
	if role == transform.ResolverResponse {
		m.Server, m.Resolver, m.ResponseTime = src, dst, at
	} else {
		m.Server, m.Resolver, m.QueryTime = dst, src, at
	}
	d.sink.Take(m)
}
