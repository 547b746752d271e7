package transform

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// maxSubnet is the length of a client subnet as the pairing table keeps it: bits, and
// an address of 4 or 16 octets.
const maxSubnet = 1 + 16

// maxSubnets bounds the subnets of one transaction. The query holds one, and a server
// should repeat that one only.
const maxSubnets = 8

const optionClientSubnet = 8 // RFC 7871 section 6

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

// isSubnet reports whether a client subnet is narrow enough to identify a network. In
// a wider one most addresses are other people's.
func isSubnet(p netip.Prefix) bool {
	return p.IsValid() && (p.Addr().Is4() && p.Bits() >= 16 || p.Addr().Is6() && p.Bits() >= 32)
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
