package transform

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// text judges text of any length by local names, the resolver's addresses and client subnets,
// and returns its survey.
func (s *searcher) text(b []byte) textSurvey {
	v := survey(b)
	s.surveyed(b, v)
	return v
}

// surveyed judges text b, whose survey is v.
func (s *searcher) surveyed(b []byte, v textSurvey) {
	if s.done() {
		return
	}
	if s.what.names && (v.odd || v.dots > 0 && s.policy.localNames.mayOccur(b)) {
		s.folded = foldCase(s.folded[:0], b)
		if o, ok := s.policy.localNames.in(s.folded, len(s.folded), false); ok {
			s.found(LocalNameInRdata, Entry{Name: s.policy.localNames.entries[o.entry]})
			return
		}
	}
	if s.what.addrsInAll {
		s.addressesIn(b, v)
	}
}

// A textSurvey counts the characters of a text that addresses are made of.
type textSurvey struct {
	digits, letters, dots, dashes, underscores, colons int  // letters: a to f
	odd                                                bool // it has characters that are not printable ASCII
}

// add adds the counts of another part of the text.
func (v *textSurvey) add(o textSurvey) {
	v.digits += o.digits
	v.letters += o.letters
	v.dots += o.dots
	v.dashes += o.dashes
	v.underscores += o.underscores
	v.colons += o.colons
	v.odd = v.odd || o.odd
}

const (
	digitKind = 1 << (8 * iota)
	letterKind
	dotKind
	dashKind
	underscoreKind
	colonKind
	oddKind // not printable in ASCII
)

// kinds has a counter of eight bits for each kind, so a sum is valid for 255 octets.
var kinds = func() (k [256]uint64) {
	for i := range k {
		switch b := byte(i); {
		case isDigit(b):
			k[i] = digitKind
		case isHex(b):
			k[i] = letterKind
		case b == '.':
			k[i] = dotKind
		case b == '-':
			k[i] = dashKind
		case b == '_':
			k[i] = underscoreKind
		case b == ':':
			k[i] = colonKind
		case b < ' ' || b > '~':
			k[i] = oddKind
		}
	}
	return k
}()

// countKinds sums the kinds of up to 255 octets.
func countKinds(b []byte) (sum uint64) {
	for ; len(b) >= 8; b = b[8:] {
		v := binary.LittleEndian.Uint64(b)
		sum += kinds[byte(v)] + kinds[byte(v>>8)] + kinds[byte(v>>16)] + kinds[byte(v>>24)] +
			kinds[byte(v>>32)] + kinds[byte(v>>40)] + kinds[byte(v>>48)] + kinds[byte(v>>56)]
	}
	for _, c := range b {
		sum += kinds[c]
	}
	return sum
}

func survey(b []byte) (v textSurvey) {
	for len(b) > 0 {
		part := b[:min(len(b), 255)]
		b = b[len(part):]
		sum := countKinds(part)
		v.add(textSurvey{
			digits: int(sum & 0xff), letters: int(sum / letterKind & 0xff), dots: int(sum / dotKind & 0xff),
			dashes: int(sum / dashKind & 0xff), underscores: int(sum / underscoreKind & 0xff),
			colons: int(sum / colonKind & 0xff), odd: sum >= oddKind,
		})
	}
	return v
}

// addressesIn judges the addresses that text spells: reverse names, four decimal
// numbers, one decimal number, hexadecimal digits, and IPv6 groups.
func (s *searcher) addressesIn(b []byte, v textSurvey) {
	if v.digits+v.letters >= 8 {
		s.words(b)
	}
	if v.dots > 0 && v.digits+v.letters > 0 {
		s.reverseNames(b)
	}
	if v.dots >= nibblesInAddress-1 {
		s.nibbles(b)
	}
	s.separated(b, '.', v.dots)
	s.separated(b, '-', v.dashes)
	s.separated(b, '_', v.underscores)
	s.separated(b, ':', v.colons)
}

// words judges decimal numbers that are an address as a whole, and words that are
// exactly 8 or 32 hexadecimal digits. Eight such digits in a row contain four that
// begin at a multiple of four.
func (s *searcher) words(b []byte) {
	for i := 3; i < len(b); i += 4 {
		if !isHex(b[i]) || !isHex(b[i-1]) || !isHex(b[i-2]) || !isHex(b[i-3]) {
			continue
		}
		start, end := i-3, i+1
		for start > 0 && isAlphanumeric(b[start-1]) {
			start--
		}
		for end < len(b) && isAlphanumeric(b[end]) {
			end++
		}
		if !endsFold(b[:start], "xn--") { // an A-label's digits are letters of another script
			s.word(b[start:end])
		}
		i = end&^3 + 3 - 4
	}
}

func (s *searcher) word(w []byte) {
	if len(w) < shortestDecimal {
		return
	}
	for i := 0; i < len(w); i++ {
		start := i
		for i < len(w) && isDigit(w[i]) {
			i++
		}
		if i-start >= shortestDecimal {
			s.decimalNumber(w[start:i])
		}
	}
	switch {
	case len(w) == 8 && allHex(w):
		s.addr4([4]byte(hexOctets(w)), hexForm)
	case len(w) == 32 && allHex(w):
		a := [16]byte(hexOctets(w))
		s.addr16(&a, hexForm)
	}
}

const (
	shortestDecimal = 8  // digits: 16777216 is 1.0.0.0
	longestDecimal  = 39 // digits of 2^128-1
)

// decimalNumber judges one number: as an IPv4 address if it has up to 32 bits, else as an IPv6
// address.
func (s *searcher) decimalNumber(digits []byte) {
	digits = bytes.TrimLeft(digits, "0")
	if len(digits) > longestDecimal {
		return
	}
	var hi, lo uint64
	for _, d := range digits {
		over, low := bits.Mul64(lo, 10)
		low, carry := bits.Add64(low, uint64(d-'0'), 0)
		tooBig, high := bits.Mul64(hi, 10)
		high, carry = bits.Add64(high, over, carry)
		if tooBig+carry > 0 {
			return
		}
		hi, lo = high, low
	}
	if hi == 0 && lo <= 1<<32-1 {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(lo))
		s.addr4(a, decimalForm)
		return
	}
	var a [16]byte
	binary.BigEndian.PutUint64(a[:], hi)
	binary.BigEndian.PutUint64(a[8:], lo)
	s.addr16(&a, decimalForm)
}

// hexOctets reads up to 32 hexadecimal digits.
func hexOctets(digits []byte) []byte {
	var b [16]byte
	for i, d := range digits {
		v, _ := nibble(d | 0x20)
		b[i/2] = b[i/2]<<4 | v
	}
	return b[:len(digits)/2]
}

func (s *searcher) reverseNames(b []byte) {
	for from := 0; ; {
		i := indexFold(b[from:], ".arpa")
		if i < 0 {
			return
		}
		from += i + len(".arpa")
		if r, _ := utf8.DecodeRune(b[from:]); from == len(b) || !isNameRune(r) {
			s.reverseText(b[:from])
		}
	}
}

// reverseText judges the name at the end of text, which ends in ".arpa". It does not write to
// s.name, because text may be part of it.
func (s *searcher) reverseText(text []byte) {
	start := len(text)
	for start > 0 && len(text)-start < dnswire.MaxName-2 {
		r, size := utf8.DecodeLastRune(text[:start])
		if r != '.' && !isNameRune(r) {
			break
		}
		start -= size
	}
	name := s.second[:0]
	for label := range bytes.SplitSeq(text[start:], []byte(".")) {
		if len(label) == 0 {
			name = name[:0] // the name begins after it
			continue
		}
		label = label[:min(len(label), 63)] // a longer label is not a number
		name = append(append(name, byte(len(label))), label...)
	}
	name = append(name, 0)
	dnswire.Lower(name)
	var l labels
	l.split(name)
	if r, _, ok := l.reverseAt(name, l.n-1, s.hosts[:]); ok {
		s.reverse(r)
	}
}

// nibbles judges IPv6 addresses that text has as 32 hexadecimal digits in reverse order, with
// dots between them.
func (s *searcher) nibbles(b []byte) {
	var back [16]byte
	n := 0
	for i, c := range b {
		alone := isHex(c) && (i == 0 || !isAlphanumeric(b[i-1])) && (i+1 == len(b) || !isAlphanumeric(b[i+1]))
		if !alone {
			if c != '.' || i > 0 && b[i-1] == '.' {
				n = 0
			}
			continue
		}
		v, _ := nibble(c | 0x20)
		pushNibble(&back, v)
		if n++; n >= nibblesInAddress {
			s.addr16(&back, asIs)
		}
	}
}

// separated judges addresses with separators inside: four decimal numbers in a row, in either
// order, and groups of hexadecimal digits. The text has n separators.
func (s *searcher) separated(b []byte, separator byte, n int) {
	if n < 2 {
		return
	}
	groups := n >= groupsInAddress-1 || separator == ':' && n >= 6 // four numbers may follow
	for i := 0; ; {
		at := bytes.IndexByte(b[i:], separator)
		if i += at; at < 0 || i+1 == len(b) {
			break
		}
		switch {
		case b[i+1] == separator:
			groups = true
		case separator != ':' && n >= 3 && i > 0 && isDigit(b[i-1]) && isDigit(b[i+1]):
			for i > 0 && isDigit(b[i-1]) {
				i--
			}
			i += s.row(b[i:], separator)
			continue
		}
		i++
	}
	if groups {
		s.groupsBy(b, separator)
	}
}

// row judges every four of the decimal numbers at the beginning of text, in either order, and
// returns the offset after the last number.
func (s *searcher) row(b []byte, separator byte) (end int) {
	var quad [4]byte
	for n := 0; ; {
		v, size, ok := decimal(b[end:])
		copy(quad[:], quad[1:])
		quad[3] = v
		if n++; !ok {
			n = 0
		}
		if n >= 4 {
			s.addr4(quad, asIs)
			s.addr4([4]byte{quad[3], quad[2], quad[1], quad[0]}, backwards)
		}
		if end += size; end+1 >= len(b) || b[end] != separator || !isDigit(b[end+1]) {
			return end
		}
		end++
	}
}

// decimal reads a decimal number up to 255, with any zeros before it; size is the
// number of digits.
func decimal(b []byte) (v byte, size int, ok bool) {
	n := 0
	for size < len(b) && isDigit(b[size]) {
		n = min(n*10+int(b[size]-'0'), 256)
		size++
	}
	return byte(n), size, size > 0 && n < 256
}

// groupsBy judges IPv6 addresses (RFC 4291 section 2.2, in any spelling) with a separator
// between their groups. They may begin and end at any group of a longer row. Only after
// colons may the last 32 bits be four decimal numbers. With other separators, of which two in
// a row have other meanings too, an address has at least three groups.
func (s *searcher) groupsBy(b []byte, separator byte) {
	for i := 0; i < len(b); {
		first := bytes.IndexByte(b[i:], separator)
		if first < 0 {
			return
		}
		start := i + first
		for start > i && isHex(b[start-1]) {
			start--
		}
		end := i + first
		for end < len(b) && (isHex(b[end]) || b[end] == separator || separator == ':' && b[end] == '.') {
			end++
		}
		s.groups(b[start:end], separator)
		i = end + 1
	}
}

// A groupRun is the last groups of an address so far, at most eight, aligned to the right.
type groupRun struct {
	octets [16]byte
	n      int
}

func (g *groupRun) push(hi, lo byte) {
	copy(g.octets[:], g.octets[2:])
	g.octets[14], g.octets[15] = hi, lo
	g.n = min(g.n+1, groupsInAddress)
}

// groups judges the IPv6 addresses in text of hexadecimal digits, separators and dots. With a
// gap (two separators in a row) an address has at least least groups.
func (s *searcher) groups(b []byte, separator byte) {
	var head, tail groupRun // before and after two separators in a row
	gap, least := false, 3
	if separator == ':' {
		least = 1
	}
	for len(b) > 0 && !s.done() {
		v, size, ok := hexGroup(b)
		switch {
		case len(b) > 1 && b[0] == separator && b[1] == separator:
			head, tail, gap = tail, groupRun{}, true
			if b = b[1:]; len(b) == 1 || b[1] != separator {
				b = b[1:] // of three, the last two may begin another gap
			}
		case !ok:
			head, tail, gap = groupRun{}, groupRun{}, false
			b = b[max(size, 1):]
			continue
		default:
			if separator == ':' {
				s.quadAt(b, head, tail, gap)
			}
			tail.push(byte(v>>8), byte(v))
			b = b[size:]
			if len(b) > 0 && b[0] == separator && (len(b) == 1 || b[1] != separator) {
				b = b[1:]
			}
		}
		s.judgeGroups(&head, &tail, gap, least)
	}
}

// quadAt judges an address whose last 32 bits are four decimal numbers.
func (s *searcher) quadAt(b []byte, head, tail groupRun, gap bool) {
	var quad [4]byte
	for i := range quad {
		v, size, ok := decimal(b)
		if !ok || i < 3 && (size >= len(b) || b[size] != '.') {
			return
		}
		quad[i] = v
		b = b[min(size+1, len(b)):]
	}
	tail.push(quad[0], quad[1])
	tail.push(quad[2], quad[3])
	s.judgeGroups(&head, &tail, gap, 1)
}

// judgeGroups judges the addresses that end with the latest group: eight groups, or groups
// before and after a gap, least or more, with zeros between them.
func (s *searcher) judgeGroups(head, tail *groupRun, gap bool, least int) {
	full := tail.octets
	if tail.n == groupsInAddress {
		s.addr16(&full, asIs)
	}
	for n := 0; gap && n <= head.n && n+tail.n < groupsInAddress; n++ {
		copy(full[:2*n], head.octets[16-2*n:])
		if n+tail.n >= least {
			s.addr16(&full, asIs)
		}
	}
}

// hexGroup reads the hexadecimal digits of a group; ok reports that they are one to four.
func hexGroup(b []byte) (v uint16, size int, ok bool) {
	for size < len(b) && isHex(b[size]) {
		d, _ := nibble(b[size] | 0x20)
		v = v<<4 | uint16(d)
		size++
	}
	return v, size, 0 < size && size <= 4
}

func isAlphanumeric(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func allHex(b []byte) bool {
	for _, c := range b {
		if !isHex(c) {
			return false
		}
	}
	return true
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

// indexFold is bytes.Index without regard to ASCII case, for text that begins with a dot.
func indexFold(b []byte, text string) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], text[0])
		if i < 0 || from+i+len(text) > len(b) {
			return -1
		}
		from += i
		if dnswire.EqualFold(b[from:from+len(text)], []byte(text)) {
			return from
		}
		from++
	}
}
