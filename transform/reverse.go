package transform

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A reversed is the network that a name below in-addr.arpa (RFC 1035 section 3.5) or
// ip6.arpa (RFC 3596 section 2.5) names.
type reversed struct {
	prefix netip.Prefix // of the labels that are numbers, from the right
	more   bool         // labels follow that belong to the address in some other way (RFC 2317)
	hosts  []byte       // IPv4: numbers among those labels, each of which may be the last octet
}

// A labels is where the labels of a name begin; the root is none of them.
type labels struct {
	starts [maxLabels + 1]uint8
	n      int
}

const maxLabels = dnswire.MaxName / 2

// split finds the labels of an uncompressed name in wire form.
func (l *labels) split(name []byte) {
	l.n = 0
	for off := 0; off < len(name) && name[off] != 0; off += 1 + int(name[off]) {
		l.starts[l.n] = uint8(off)
		l.n++
	}
}

// label returns a label with its length octet.
func (l *labels) label(name []byte, i int) []byte {
	off := int(l.starts[i])
	return name[off : off+1+int(name[off])]
}

// reverseAt reads the reverse name whose label "arpa" is the i-th label of a name in
// lowercase wire form. scratch keeps the result's hosts. six says that the name is
// one under ip6.arpa.
func (l *labels) reverseAt(name []byte, i int, scratch []byte) (r reversed, six, ok bool) {
	if i < 1 || string(l.label(name, i)) != "\x04arpa" {
		return r, false, false
	}
	switch string(l.label(name, i-1)) {
	case "\x07in-addr":
		return reverse4(name, l.starts[:i-1], scratch), false, true
	case "\x03ip6":
		return reverse6(name, l.starts[:i-1]), true, true
	}
	return r, false, false
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

// within reports whether the name names addresses inside the network. A name with
// labels that are no numbers counts when it may.
func (r reversed) within(network netip.Prefix) bool {
	if r.more && r.prefix.Overlaps(network) {
		return true
	}
	return network.Bits() <= r.prefix.Bits() && network.Contains(r.prefix.Addr())
}
