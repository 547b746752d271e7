package packet

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const portDNS = 53

// addresses is a set of prefixes: ranges that do not overlap, in order.
type addresses []addressRange

type addressRange struct{ first, last netip.Addr }

func newAddresses(prefixes []netip.Prefix) addresses {
	prefixes = slices.Clone(prefixes)
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Masked().Addr().Compare(b.Masked().Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var all addresses
	for _, p := range prefixes {
		r := addressRange{p.Masked().Addr(), lastOf(p)}
		if n := len(all); n == 0 || all[n-1].last.Less(r.first) { // prefixes nest, or have nothing in common
			all = append(all, r)
		}
	}
	return all
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

func (s addresses) has(a netip.Addr) bool {
	lo, hi := 0, len(s)
	for lo < hi {
		mid := (lo + hi) / 2
		switch {
		case a.Less(s[mid].first):
			hi = mid
		case s[mid].last.Less(a):
			lo = mid + 1
		default:
			return true
		}
	}
	return false
}

// role is the place of what goes from src to dst: between one of the resolvers and
// port 53 of a server that is none of them, or not outward.
func (d *Dissector) role(src, dst netip.AddrPort) transform.Role {
	if src.Port() != portDNS && dst.Port() != portDNS {
		return transform.NotOutward
	}
	asks, answered := d.resolvers.has(src.Addr()), d.resolvers.has(dst.Addr())
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
