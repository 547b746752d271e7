package canary

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
)

// A reverseName is the network that the labels before in-addr.arpa or ip6.arpa name.
type reverseName struct {
	prefix netip.Prefix // from the labels that are numbers
	more   bool         // other labels precede these
	hosts  []byte       // numbers among the preceding labels: one may be the fourth octet (RFC 2317)
}

// reverseNames judges each reverse name among labels, which may have other labels before and
// after it.
func (s *recordSearch) reverseNames(labels [][]byte, form string) {
	var hosts hostNumbers
	for i := 1; i+1 < len(labels); i++ {
		if !isLabel(labels[i+1], "arpa") {
			continue
		}
		switch before := labels[:i]; {
		case isLabel(labels[i], "in-addr"):
			r := reverse4(before)
			if octets := r.prefix.Bits() / 8; octets == 3 && r.more {
				r.hosts = hosts.of(before[:len(before)-octets])
			}
			s.judgeReverse(r, form)
		case isLabel(labels[i], "ip6"):
			s.judgeReverse(reverse6(before), form)
		}
	}
}

// hostNumbers collects the different numbers up to 255 among labels, and reads each label once.
type hostNumbers struct {
	read int // labels that were read
	seen [256]bool
	all  []byte
}

// of returns the numbers among labels, which begin with the labels of the call before.
func (h *hostNumbers) of(labels [][]byte) []byte {
	for ; h.read < len(labels); h.read++ {
		if v, ok := decimalLabel(labels[h.read]); ok && !h.seen[v] && len(labels[h.read]) <= 3 {
			h.seen[v] = true
			h.all = append(h.all, v)
		}
	}
	return h.all
}

// reverse4 reads up to four octets, the last label first (RFC 1035, section 3.5).
func reverse4(labels [][]byte) reverseName {
	var a [4]byte
	n := 0
	for n < len(a) && n < len(labels) {
		label := labels[len(labels)-1-n]
		v, ok := decimalLabel(label)
		if !ok || len(label) > 3 {
			break
		}
		a[n] = v
		n++
	}
	return reverseName{prefix: netip.PrefixFrom(netip.AddrFrom4(a), 8*n), more: n < len(labels)}
}

// reverse6 reads up to 32 nibbles, the last label first (RFC 3596, section 2.5).
func reverse6(labels [][]byte) reverseName {
	var a [16]byte
	n := 0
	for n < 2*len(a) && n < len(labels) {
		label := labels[len(labels)-1-n]
		if len(label) != 1 || !isHexDigit(label[0]) {
			break
		}
		a[n/2] |= hexValue(label[0]) << (4 * (1 - n%2))
		n++
	}
	return reverseName{prefix: netip.PrefixFrom(netip.AddrFrom16(a), 4*n), more: n < len(labels)}
}

// judgeReverse adds a Hit if the network of a reverse name is in an entry. If other labels
// precede the numbers, these may name a smaller network (RFC 2317), so entries in the network
// count too.
func (s *recordSearch) judgeReverse(r reverseName, form string) {
	if r.prefix.Bits() == 0 {
		return
	}
	if a := r.prefix.Addr(); a.Is6() && r.prefix.IsSingleIP() {
		s.judge16(a.As16(), form, anyLength)
		return
	}
	for _, set := range s.sets {
		if !s.applies(set.rule) {
			continue
		}
		f := set.family(r.prefix.Addr())
		if p, ok := f.containing(r.prefix, 0); ok {
			s.hitPrefix(set.rule, p, form)
		}
		if r.more {
			s.judgeInside(set, f, r, form)
		}
	}
}

// judgeInside adds a Hit for each entry inside the network of a reverse name. For a single
// address of the resolver, a label must be its last octet.
func (s *recordSearch) judgeInside(set ruleSet, f *family, r reverseName, form string) {
	for _, p := range f.all {
		if p.Bits() <= r.prefix.Bits() || !r.prefix.Contains(p.Addr()) {
			continue
		}
		if set.rule != Resolver || !p.IsSingleIP() || r.prefix.Addr().Is4() && bytes.IndexByte(r.hosts, p.Addr().As4()[3]) >= 0 {
			s.hitPrefix(set.rule, p, form)
		}
	}
}

// reverseNamesInText judges reverse names in text. A name ends at an empty label.
func (s *recordSearch) reverseNamesInText(t *folded) {
	if !strings.Contains(t.text, ".arpa") {
		return
	}
	var name [][]byte
	from := 0 // offset of the label
	for i := 0; i <= len(t.text); i++ {
		if i < len(t.text) && t.word[i] {
			continue
		}
		if i > from {
			name = append(name, []byte(t.text[from:i]))
		}
		if i == from || i == len(t.text) || t.text[i] != '.' {
			s.reverseNames(name, formReverse)
			name = nil
		}
		from = i + 1
	}
}

// reverseNamesInOctets judges reverse names that are labels in wire form among other octets.
func (s *recordSearch) reverseNamesInOctets(b []byte) {
	in := []byte(lower(string(b)))
	for _, zone := range []string{"\x07in-addr\x04arpa", "\x03ip6\x04arpa"} {
		for from := 0; ; {
			i := bytes.Index(in[from:], []byte(zone))
			if i < 0 {
				break
			}
			at := from + i
			before := append(labelsBefore(in, at), in[at+1:at+1+int(in[at])], []byte("arpa"))
			s.reverseNames(before, formWireReverse)
			from = at + 1
		}
	}
}

// labelsBefore returns the labels in wire form that end at an offset, as far back as a name can
// reach. If several octets may be the length of a label, it takes the one nearest to the end:
// only a label of 45 octets or more has a length octet that is also a character of host names.
func labelsBefore(b []byte, at int) (labels [][]byte) {
	const longestName = 255
	for least := max(0, at-longestName); ; {
		n := 1
		for n <= longestLabel && at-1-n >= least && int(b[at-1-n]) != n {
			n++
		}
		if n > longestLabel || at-1-n < least {
			break
		}
		labels = append(labels, b[at-n:at])
		at -= 1 + n
	}
	slices.Reverse(labels)
	return labels
}
