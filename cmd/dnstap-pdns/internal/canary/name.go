package canary

import (
	"bytes"
	"strings"
)

// Forms in which entries are found in names and texts.
const (
	formName        = "name"
	formReverse     = "reverse name"
	formReversed    = "labels of the address, reversed"
	formLabels      = "labels of the address"
	formWire        = "labels in wire form"
	formWireReverse = "reverse name in wire form"
	formQuad        = "four numbers"
	formQuadBack    = "four numbers, reversed"
	formColons      = "IPv6 text"
	formGroups      = "groups without colons"
	formHex         = "hexadecimal number"
	formDecimal     = "decimal number"
	formNibbles     = "nibbles, reversed"
	formOctets      = "octets"
	formAddress     = "address"
)

// Least lengths of entries for forms that often occur by chance.
var (
	backwardsMin = minBits{v4: 16}
	decimalMin   = minBits{v4: 24, v6: 48}
	hexMin       = minBits{v4: 16, v6: 48}
)

// name searches a name for local names and addresses.
func (s *recordSearch) name(labels [][]byte) {
	if len(labels) == 0 {
		return // the root
	}
	s.localNames(labels)
	if len(s.sets) > 0 {
		s.addressesInName(labels)
	}
}

// localNames finds local names at the end of the name, and inside it unless the name's public
// suffix begins in the match.
func (s *recordSearch) localNames(labels [][]byte) {
	names := s.f.names
	if i, ok := names.single[fold(labels[len(labels)-1]).text]; ok {
		s.hit(LocalName, names.written[i], formName)
	}
	t := fold(bytes.Join(labels, []byte(".")))
	names.inText(&t, func(i, from, to int) {
		switch {
		case to == len(t.text):
			s.hit(LocalName, names.written[i], formName)
		case !s.f.keepInside && suffixStart(t.text) >= to:
			s.hit(LocalNameInside, names.written[i], formName)
		}
	})
}

// addressesInName finds addresses as reverse names, as labels and inside labels. It searches
// the labels before ip6.arpa, and the numbers before in-addr.arpa, for a reverse name only.
func (s *recordSearch) addressesInName(labels [][]byte) {
	s.reverseNames(labels, formReverse)
	for i := len(labels) - 2; i >= 0; i-- {
		if isLabel(labels[i], "ip6") && isLabel(labels[i+1], "arpa") {
			labels = labels[i+2:]
			break
		}
	}
	from := 0
	for i := 0; i+1 < len(labels); i++ {
		if isLabel(labels[i], "in-addr") && isLabel(labels[i+1], "arpa") {
			octets := reverse4(labels[:i]).prefix.Bits() / 8
			s.addressLabels(labels[min(from, i-octets) : i-octets])
			from = i
		}
	}
	s.addressLabels(labels[from:])
	for _, label := range labels {
		if bytes.IndexByte(label, '.') >= 0 {
			t := fold(label)
			s.reverseNamesInText(&t)
		}
		s.addressesInText(label)
	}
}

func isLabel(label []byte, lower string) bool { return strings.EqualFold(string(label), lower) }

// addressLabels finds addresses whose numbers are consecutive labels, in either order.
func (s *recordSearch) addressLabels(labels [][]byte) {
	var numbers, hexes int // consecutive labels so far that are decimal octets, hexadecimal groups
	var quad [4]byte
	var groupsOf groupRow
	var nibbles nibbleRow
	for _, label := range labels {
		v, ok := decimalLabel(label)
		copy(quad[:], quad[1:])
		quad[3] = v
		if numbers++; !ok {
			numbers = 0
		}
		if numbers >= 4 {
			s.judge4(quad, formLabels, anyLength)
			s.judge4(backwards(quad), formReversed, anyLength)
		}
		hexes++
		if len(label) > 4 || runEnd(label, 0, isHexDigit) != len(label) {
			hexes = 0
		} else {
			groupsOf.add(group(label))
		}
		if hexes >= groups {
			s.judge16(address(nil, groupsOf.groups[:]), formLabels, anyLength)
		}
		nibbles.add(label, func(a [16]byte) { s.judge16(a, formReversed, anyLength) })
	}
}

// decimalLabel reads a label that is a number up to 255.
func decimalLabel(label []byte) (v byte, ok bool) {
	if runEnd(label, 0, isDigit) != len(label) {
		return 0, false
	}
	return octet(label)
}

// text searches a text for local names and addresses.
func (s *recordSearch) text(b []byte) {
	s.place = InText
	t := fold(b)
	s.localNamesInText(&t)
	if len(s.sets) > 0 {
		s.reverseNamesInText(&t)
		s.addressesInText(b)
	}
}

// localNamesInText finds local names of several labels. If more labels follow the match, the
// public suffix of the whole name must not begin in the match.
func (s *recordSearch) localNamesInText(t *folded) {
	names := s.f.names
	// Of the name that contains the latest match, read once: its end with and without final dots,
	// and the start of its public suffix.
	end, last, suffix := 0, 0, -1
	names.inText(t, func(i, from, to int) {
		if to > end {
			for end = to; end < len(t.text) && t.isName(end); end++ {
			}
			last, suffix = from+len(strings.TrimRight(t.text[from:end], ".")), -1
		}
		if suffix < from {
			suffix = from + suffixStart(t.text[from:last])
		}
		if last <= to || suffix >= to {
			s.hit(LocalName, names.written[i], formName)
		}
	})
}

// addressesInText finds addresses in every spelling.
func (s *recordSearch) addressesInText(b []byte) {
	scanQuads(b, func(a [4]byte) {
		s.judge4(a, formQuad, anyLength)
		s.judge4(backwards(a), formQuadBack, backwardsMin)
	})
	scanColons(b, func(a [16]byte, _ int) { s.judge16(a, formColons, anyLength) })
	for _, by := range []byte(".-_") {
		scanGroups(b, by, func(a [16]byte, _ int) { s.judge16(a, formGroups, anyLength) })
	}
	scanHex(b, func(a [4]byte) { s.judge4(a, formHex, hexMin) }, func(a [16]byte) { s.judge16(a, formHex, hexMin) })
	scanDecimal(b, func(a [4]byte) { s.judge4(a, formDecimal, decimalMin) }, func(a [16]byte) { s.judge16(a, formDecimal, decimalMin) })
	scanNibbles(b, func(a [16]byte) { s.judge16(a, formNibbles, anyLength) })
}
