package transform

import "net/netip"

var (
	inAddrARPA = mustPackName("in-addr.arpa")
	ip6ARPA    = mustPackName("ip6.arpa")
)

// A reversed is what a name below in-addr.arpa (RFC 1035 section 3.5) or ip6.arpa
// (RFC 3596 section 2.5) stands for.
type reversed struct {
	prefix netip.Prefix // of the labels that are numbers, from the right
	more   bool         // labels follow that belong to the address in some other way (RFC 2317)
	hosts  []byte       // IPv4: numbers among those labels, each of which may be the last octet
}

// longestReverse is more than an address takes, with a label of RFC 2317 to spare.
const longestReverse = mark(64 + len("\x03ip6\x04arpa\x00") + 2*32)

// reverseLabels bounds what a name can hold.
const reverseLabels = maxName / 2

// parseReverse reads a name in lowercase wire form.
func parseReverse(name []byte, scratch []byte) (r reversed, ok bool) {
	var starts [reverseLabels + 1]uint8
	n := 0
	for off := 0; off < len(name) && name[off] != 0; off += 1 + int(name[off]) {
		starts[n] = uint8(off)
		n++
	}
	if n < 2 {
		return r, false
	}
	switch suffix := name[starts[n-2]:]; {
	case string(suffix) == string(inAddrARPA):
		return reverse4(name, starts[:n-2], scratch), true
	case string(suffix) == string(ip6ARPA):
		return reverse6(name, starts[:n-2]), true
	}
	return r, false
}

func reverse4(name []byte, labels []uint8, scratch []byte) reversed {
	var addr [4]byte
	octets := 0
	for ; octets < 4 && octets < len(labels); octets++ {
		v, ok := octetLabel(name[labels[len(labels)-1-octets]:])
		if !ok {
			break
		}
		addr[octets] = v
	}
	r := reversed{
		prefix: netip.PrefixFrom(netip.AddrFrom4(addr), 8*octets),
		more:   octets < len(labels),
		hosts:  scratch[:0],
	}
	if octets != 3 || !r.more {
		return r
	}
	for _, l := range labels[:len(labels)-octets] {
		if v, ok := octetLabel(name[l:]); ok {
			r.hosts = append(r.hosts, v)
		}
	}
	return r
}

func reverse6(name []byte, labels []uint8) reversed {
	var addr [16]byte
	nibbles := 0
	for ; nibbles < 32 && nibbles < len(labels); nibbles++ {
		label := name[labels[len(labels)-1-nibbles]:]
		v, ok := nibble(label[1])
		if label[0] != 1 || !ok {
			break
		}
		addr[nibbles/2] |= v << (4 * (1 - nibbles%2))
	}
	return reversed{
		prefix: netip.PrefixFrom(netip.AddrFrom16(addr), 4*nibbles),
		more:   nibbles < len(labels),
	}
}

// octetLabel reads a label that is a decimal number up to 255.
func octetLabel(label []byte) (byte, bool) {
	n := int(label[0])
	if n < 1 || n > 3 {
		return 0, false
	}
	v := 0
	for _, c := range label[1 : 1+n] {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return byte(v), v <= 255
}

func nibble(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// within reports whether the name tells of addresses inside the network. A name
// that goes on in another way than by numbers counts when it may.
func (r reversed) within(network netip.Prefix) bool {
	if r.more && r.prefix.Overlaps(network) {
		return true
	}
	return network.Bits() <= r.prefix.Bits() && network.Contains(r.prefix.Addr())
}

// isIn reports whether the name tells of addresses inside one of the networks, also
// as an IPv6 address that has an IPv4 one inside.
func (r reversed) isIn(nets Networks) bool {
	for _, network := range nets {
		if r.within(network) {
			return true
		}
	}
	if a := r.prefix.Addr(); a.Is6() && r.prefix.IsSingleIP() {
		b := a.As16()
		return nets.has16(b[:])
	}
	return false
}

// isOneOf reports whether the name is an address of the set, or lies below it.
func (r reversed) isOneOf(set *addrSet) bool {
	if a := r.prefix.Addr(); r.prefix.IsSingleIP() {
		if a.Is4() {
			return set.has(a)
		}
		b := a.As16()
		return set.has16(b[:])
	}
	for _, last := range r.hosts {
		a := r.prefix.Addr().As4()
		a[3] = last
		if set.has(netip.AddrFrom4(a)) {
			return true
		}
	}
	return false
}
