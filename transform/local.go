package transform

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A form is how an address may be written; it has the length of the shortest prefix
// that the form is evidence for. In a short prefix such text occurs by chance.
type form struct{ least4, least6 int }

var (
	asIs        = form{0, 0}
	backwards   = form{16, 0}
	decimalForm = form{24, 48}
	hexForm     = form{16, 48}
)

// addr4 judges an IPv4 address in a form.
func (s *searcher) addr4(b [4]byte, f form) {
	if e, ok := s.single4(b); ok {
		s.found(s.place.resolver, e)
		return
	}
	if s.place.isName {
		s.network(s.policy.localNetworks.longest4(b), f.least4, LocalNetwork)
	}
	s.network(s.policy.identity.longest4(b), f.least4, s.place.resolver)
	s.inSubnets(netip.AddrFrom4(b), f.least4)
}

// alone4 judges an IPv4 address in a form that counts for single addresses only.
func (s *searcher) alone4(b [4]byte) {
	if e, ok := s.single4(b); ok {
		s.found(s.place.resolver, e)
	}
	if s.place.isName {
		s.network(s.policy.localNetworks.longest4(b), 32, LocalNetwork)
	}
	s.inSubnets(netip.AddrFrom4(b), 32)
}

// addr16 judges an IPv6 address in a form, and the IPv4 addresses that it embeds.
func (s *searcher) addr16(b *[16]byte, f form) {
	var e embedded
	e.find(b)
	for _, inner := range e.addrs[:e.known] {
		s.addr4(inner, form{least4: f.least4})
	}
	for _, inner := range e.addrs[e.known:e.n] {
		s.alone4(inner)
	}
	if entry, ok := s.single16(b); ok {
		s.found(s.place.resolver, entry)
		return
	}
	if s.place.isName {
		s.network(s.policy.localNetworks.longest16(b), f.least6, LocalNetwork)
	}
	s.network(s.policy.identity.longest16(b), f.least6, s.place.resolver)
	s.inSubnets(netip.AddrFrom16(*b), f.least6)
}

// inSubnets judges an address by the client subnets of at least so many bits.
func (s *searcher) inSubnets(a netip.Addr, least int) {
	for _, p := range s.subnets {
		if p.Contains(a) {
			s.network(p, least, ClientSubnet)
		}
	}
}

// network notes a network that contains an address, if it has at least so many bits.
func (s *searcher) network(p netip.Prefix, least int, r Rule) {
	if p.IsValid() && p.Bits() >= least {
		s.found(r, Entry{Prefix: p})
	}
}

// single4 and single16 return the entry of a single address of the resolver.
func (s *searcher) single4(b [4]byte) (Entry, bool) {
	if !s.last.has(b[3]) {
		return Entry{}, false
	}
	return s.single(netip.AddrFrom4(b))
}

func (s *searcher) single16(b *[16]byte) (Entry, bool) {
	if !s.last.has(b[15]) {
		return Entry{}, false
	}
	return s.single(netip.AddrFrom16(*b))
}

func (s *searcher) single(a netip.Addr) (Entry, bool) {
	if a == s.own[0] || a == s.own[1] || s.known.has(a) || s.fresh.has(a) || s.configured.has(a) {
		return Entry{Prefix: netip.PrefixFrom(a, a.BitLen())}, true
	}
	return Entry{}, false
}

// reverse judges a reverse name: an address, or a network that it names a part of.
func (s *searcher) reverse(r reversed) {
	p := r.prefix
	if p.Bits() == 0 {
		return
	}
	s.reversed = true
	switch {
	case p.IsSingleIP() && p.Addr().Is4():
		s.addr4(p.Addr().As4(), asIs)
	case p.IsSingleIP():
		b := p.Addr().As16()
		s.addr16(&b, asIs)
	default:
		if s.place.isName {
			s.reverseOf(r, s.policy.localNetworks.all, LocalNetwork)
		}
		s.reverseOf(r, s.policy.identity.all, s.place.resolver)
		s.reverseOf(r, s.subnets, ClientSubnet)
	}
	for _, last := range r.hosts {
		b := r.prefix.Addr().As4()
		b[3] = last
		if e, ok := s.single4(b); ok {
			s.found(s.place.resolver, e)
		}
	}
}

func (s *searcher) reverseOf(r reversed, networks []netip.Prefix, rule Rule) {
	for _, network := range networks {
		if r.within(network) {
			s.found(rule, Entry{Prefix: network})
		}
	}
}

// maxSubnet is the length of a client subnet as the pairing table keeps it: bits, and
// an address of 4 or 16 octets.
const maxSubnet = 1 + 16

// maxSubnets bounds the subnets of one transaction. The query holds one, and a server
// should repeat that one only.
const maxSubnets = 8

const optionClientSubnet = 8 // RFC 7871 section 6

// appendSubnet appends the client subnet in the form that the pairing table keeps.
func appendSubnet(b []byte, w *dnswire.Walker) []byte {
	p, _ := nextSubnet(options(w))
	if !p.IsValid() {
		return b
	}
	b = append(b, byte(p.Bits()))
	if p.Addr().Is4() {
		a := p.Addr().As4()
		return append(b, a[:]...)
	}
	a := p.Addr().As16()
	return append(b, a[:]...)
}

// clientSubnets adds the client subnets of a response and of its query, if there is
// one.
func (s *searcher) clientSubnets(w *dnswire.Walker, q *pending) {
	if q != nil {
		s.addSubnet(q.subnet())
	}
	p, rest := nextSubnet(options(w))
	for ; p.IsValid() && len(s.subnets) < maxSubnets; p, rest = nextSubnet(rest) {
		if !slices.Contains(s.subnets, p) {
			s.subnets = append(s.subnets, p)
		}
	}
}

// addSubnet adds a client subnet as the pairing table keeps it.
func (s *searcher) addSubnet(b []byte) {
	if len(b) == 0 {
		return
	}
	a, _ := netip.AddrFromSlice(b[1:])
	s.subnets = append(s.subnets, netip.PrefixFrom(a, int(b[0])))
}

// options are the options of the message's OPT record; nil if there is none.
func options(w *dnswire.Walker) []byte {
	if w.OPT < 0 {
		return nil
	}
	return w.Msg[w.Records[w.OPT].Rdata:w.Records[w.OPT].End]
}

// nextSubnet returns the first client subnet of EDNS options (RFC 7871 section 6) that
// is narrow enough to identify a network, and the options after it; the zero Prefix if
// there is none.
func nextSubnet(options []byte) (p netip.Prefix, rest []byte) {
	for len(options) >= 4 {
		code, n := binary.BigEndian.Uint16(options), 4+int(binary.BigEndian.Uint16(options[2:]))
		if n > len(options) {
			break
		}
		option := options[4:n]
		options = options[n:]
		if code == optionClientSubnet && len(option) >= 4 {
			if p := subnetOf(option); isSubnet(p) {
				return p, options
			}
		}
	}
	return netip.Prefix{}, nil
}

// subnetOf reads the option: family, source prefix length, scope prefix length and
// address. Of a short address it returns the bits that are there.
func subnetOf(option []byte) netip.Prefix {
	var octets [16]byte
	address := option[4:]
	bits := min(int(option[2]), 8*len(address))
	switch binary.BigEndian.Uint16(option) {
	case 1:
		copy(octets[:4], address)
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(octets[:])), min(bits, 32)).Masked()
	case 2:
		copy(octets[:], address)
		return netip.PrefixFrom(netip.AddrFrom16(octets), min(bits, 128)).Masked()
	}
	return netip.Prefix{}
}

// isSubnet reports whether a client subnet is narrow enough to identify a network. In
// a wider one most addresses are other people's.
func isSubnet(p netip.Prefix) bool {
	return p.IsValid() && (p.Addr().Is4() && p.Bits() >= 16 || p.Addr().Is6() && p.Bits() >= 32)
}
