package transform

import (
	"encoding/binary"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// Classes of octets in labels, as counts that are summed over a label.
const (
	digitClass = 1       // 0 to 9
	hexClass   = 1 << 8  // a to f
	dashClass  = 1 << 16 // hyphen and underscore
	oddClass   = 1 << 24 // not an ASCII letter, digit, hyphen or underscore
)

var classes = func() (c [256]uint32) {
	for i := range c {
		switch b := byte(i); {
		case isDigit(b):
			c[i] = digitClass
		case isHex(b):
			c[i] = hexClass
		case b == '-' || b == '_':
			c[i] = dashClass
		case !isLabelChar(b):
			c[i] = oddClass
		}
	}
	return c
}()

// countClasses sums the classes of octets.
func countClasses(b []byte) (count uint32) {
	for ; len(b) >= 8; b = b[8:] {
		v := binary.LittleEndian.Uint64(b)
		count += classes[byte(v)] + classes[byte(v>>8)] + classes[byte(v>>16)] + classes[byte(v>>24)] +
			classes[byte(v>>32)] + classes[byte(v>>40)] + classes[byte(v>>48)] + classes[byte(v>>56)]
	}
	for _, c := range b {
		count += classes[c]
	}
	return count
}

// mayHold reports whether checkName may find something in labels in wire form, without the
// root. It reads each octet once, and rules out most names. open reports that the labels end
// in part of what may be an address that continues after them.
func (s *searcher) mayHold(b []byte) (may, open bool) {
	count := countClasses(b)
	begins := s.what.begins
	labels, last, zone := 0, 0, false
	for off := 0; off+1 < len(b); off += 1 + int(b[off]) {
		n, first := b[off]&63, b[off+1]
		if begins.has(n, first) {
			return true, false
		}
		count -= classes[n]
		zone = zone || first|0x20 == 'i' && isReverseZone(b[off:])
		labels, last = labels+1, off
	}
	switch digits, hex, dashes := count&0xff, count>>8&0xff, count>>16&0xff; {
	case count >= oddClass:
		return true, false
	case !s.what.addrs:
		return false, false
	case zone || digits+hex >= 8 || digits+hex >= 3 && dashes >= 3 || labels >= 4 && hasGroups(b, 4):
		return s.mayHoldAddress(b)
	}
	return false, labels > 0 && isGroup(b[last:])
}

// hasGroups reports whether n labels in a row may be numbers, nibbles or groups.
func hasGroups(b []byte, n int) bool {
	row := 0
	for ; len(b) > 0 && row < n; b = b[1+b[0]:] {
		if row++; !isGroup(b) {
			row = 0
		}
	}
	return row == n
}

// isGroup reports whether a label may be a nibble, a group of an IPv6 address, or a number
// with leading zeros.
func isGroup(label []byte) bool {
	n := label[0]
	return n > 0 && n < shortestDecimal && allHex(label[1:1+n])
}

// isReverseZone reports whether a label is "in-addr" or "ip6".
func isReverseZone(label []byte) bool {
	switch label[0] {
	case 7:
		return dnswire.EqualFold(label[1:8], []byte("in-addr"))
	case 3:
		return dnswire.EqualFold(label[1:4], []byte("ip6"))
	}
	return false
}

// mayHoldAddress is mayHold for addresses, label by label.
func (s *searcher) mayHoldAddress(b []byte) (may, open bool) {
	numbers, groups := 0, 0 // labels in a row
	for ; len(b) > 0; b = b[1+b[0]:] {
		n := int(b[0])
		count := uint32(0)
		for _, c := range b[1 : 1+n] {
			count += classes[c]
		}
		digits, hex, dashes := int(count&0xff), int(count>>8&0xff), int(count>>16&0xff)
		switch {
		case digits+hex == n && n < shortestDecimal: // numbers may have leading zeros
			groups++
			if numbers++; digits < n {
				numbers = 0
			}
			if numbers == 4 || groups == groupsInAddress {
				return true, false
			}
			continue
		case isReverseZone(b),
			digits >= shortestDecimal,
			digits+hex >= 3 && dashes >= 3,
			digits+hex >= 8 && (dashes > 0 || digits+hex == n && (n == 8 || n == 32)):
			return true, false
		}
		numbers, groups = 0, 0
	}
	return false, groups > 0
}

// checkName judges one uncompressed name in lowercase wire form. Only matches that begin in its
// own octets count, which are the first ones, own in number: the rest was judged as part of
// another name of the message.
func (s *searcher) checkName(name []byte, own int) {
	var l labels
	l.split(name)
	s.place = inName
	if s.what.names {
		s.localName(name, own, &l)
	}
	if s.what.addrs && !s.done() {
		s.addressesInName(name, own, &l)
	}
}

// localName judges a name by the local names: at its end, and inside it unless the policy keeps
// these. own is as in checkName.
func (s *searcher) localName(name []byte, own int, l *labels) {
	if l.n == 0 {
		return
	}
	text := s.second[:0]
	for i := range l.n {
		if i > 0 {
			text = append(text, '.')
		}
		text = append(text, l.label(name, i)[1:]...)
	}
	if !isASCII(text) {
		s.folded = foldCase(s.folded[:0], text)
		text = s.folded
	}
	x := s.policy.localNames
	if entry, ok := x.last(text); ok {
		s.found(LocalNameInName, Entry{Name: x.entries[entry]})
		return
	}
	o, ok := x.in(text, own, true)
	switch {
	case !ok:
	case o.tail:
		s.found(LocalNameInName, Entry{Name: x.entries[o.entry]})
	case !s.policy.keepInside:
		s.found(LocalNameInside, Entry{Name: x.entries[o.entry]})
	}
}

const groupsInAddress, nibblesInAddress = 8, 32 // IPv6 in text, in reverse names

// addressesInName judges reverse names with any labels before and after, addresses of several
// labels, and addresses inside one label; own is as in checkName. Numbers under in-addr.arpa
// count in reverse order only. Under ip6.arpa only the reverse name counts, because four of its
// labels may look like an IPv4 address.
func (s *searcher) addressesInName(name []byte, own int, l *labels) {
	first := 0
	var reversed [maxLabels + 1]bool // labels that are numbers under in-addr.arpa
	for i := 1; i < l.n; i++ {
		r, six, ok := l.reverseAt(name, i, s.hosts[:])
		switch {
		case !ok:
			continue
		case six:
			first = i + 1
		default:
			for octet := range r.prefix.Bits() / 8 {
				reversed[i-2-octet] = true
			}
		}
		s.reverse(r)
	}
	ownLabels := first
	for ownLabels < l.n && int(l.starts[ownLabels]) < own {
		if label := l.label(name, ownLabels)[1:]; len(label) >= shortestInLabel {
			s.addressesIn(label, survey(label))
		}
		ownLabels++
	}
	var row labelRow
	for i := first; i < min(l.n, ownLabels+nibblesInAddress-1); i++ {
		if reversed[i] {
			row = labelRow{}
			continue
		}
		row.add(l.label(name, i)[1:])
		row.judge(s, ownLabels-i)
	}
}

// shortestInLabel is the length of an address as text: 1-2-3-4.
const shortestInLabel = 7

// A labelRow is the latest consecutive labels that are numbers, nibbles or groups of
// hexadecimal digits.
type labelRow struct {
	octets, nibbles, groups int
	v4                      [4]byte
	v6                      [16]byte
	back                    [16]byte // nibbles in reverse order
}

func (r *labelRow) add(label []byte) {
	v, size, ok := decimal(label)
	if ok && size == len(label) {
		copy(r.v4[:], r.v4[1:])
		r.v4[3] = v
		r.octets++
	} else {
		r.octets = 0
	}
	g, size, ok := hexGroup(label)
	if !ok || size != len(label) {
		r.nibbles, r.groups = 0, 0
		return
	}
	copy(r.v6[:], r.v6[2:])
	r.v6[14], r.v6[15] = byte(g>>8), byte(g)
	r.groups++
	if len(label) != 1 {
		r.nibbles = 0
		return
	}
	pushNibble(&r.back, byte(g))
	r.nibbles++
}

// judge judges the addresses that end at the latest label and begin in one of the name's own
// labels (see checkName). own is the number of own labels minus the latest label's index.
func (r *labelRow) judge(s *searcher, own int) {
	if r.octets >= 4 && own > -3 {
		s.addr4(r.v4, asIs)
		s.addr4([4]byte{r.v4[3], r.v4[2], r.v4[1], r.v4[0]}, asIs)
	}
	if r.groups >= groupsInAddress && own > 1-groupsInAddress {
		s.addr16(&r.v6, asIs)
	}
	if r.nibbles >= nibblesInAddress && own > 1-nibblesInAddress {
		s.addr16(&r.back, asIs)
	}
}

// pushNibble puts a nibble before the nibbles of an address in reverse order.
func pushNibble(b *[16]byte, nibble byte) {
	for i := 15; i > 0; i-- {
		b[i] = b[i]>>4 | b[i-1]<<4
	}
	b[0] = b[0]>>4 | nibble<<4
}

// A labels is the offsets of the labels of a name, without the root.
type labels struct {
	starts [maxLabels + 1]uint8
	n      int
}

const maxLabels = dnswire.MaxName / 2

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

// A reverseNet is the network of a reverse name: a name below in-addr.arpa (RFC 1035 section
// 3.5) or ip6.arpa (RFC 3596 section 2.5).
type reverseNet struct {
	prefix netip.Prefix // of the labels that are numbers, from the right
	more   bool         // other labels follow, which may refine the address (RFC 2317)
	hosts  []byte       // IPv4: numbers among these labels, each of which may be the last octet
}

// reverseAt reads the reverse name whose label "arpa" is the i-th label of a name in lowercase
// wire form. The result's hosts are in scratch. six reports that the name is under ip6.arpa.
func (l *labels) reverseAt(name []byte, i int, scratch []byte) (r reverseNet, six, ok bool) {
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

func reverse4(name []byte, labels []uint8, scratch []byte) reverseNet {
	var addr [4]byte
	octets := 0
	for ; octets < 4 && octets < len(labels); octets++ {
		v, ok := octetLabel(name[labels[len(labels)-1-octets]:])
		if !ok {
			break
		}
		addr[octets] = v
	}
	r := reverseNet{
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

func reverse6(name []byte, labels []uint8) reverseNet {
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
	return reverseNet{
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

// within reports whether the addresses of the name are inside the network, or may be because
// other labels follow.
func (r reverseNet) within(network netip.Prefix) bool {
	if r.more && r.prefix.Overlaps(network) {
		return true
	}
	return network.Bits() <= r.prefix.Bits() && network.Contains(r.prefix.Addr())
}
