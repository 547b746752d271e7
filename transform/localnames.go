package transform

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/unicode/norm"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// localNames finds the entries of scrub.local_names in text: in A-labels, and in
// U-labels in NFC and NFD, without regard to case.
type localNames struct {
	entries []string // as configured
	byText  map[string]int32
	pairs   map[string]pair        // by the first two labels of spellings in ASCII
	single  map[string]int32       // spellings of one label
	unicode map[[4]byte][]spelling // other spellings, by their first octets
	longer  [][]uint8              // lengths, as text, of spellings of three or more labels
	begins  firstOctets            // of first labels, of any spelling
	lengths []byte                 // of first labels

	// aroundDot holds, by the octet before the first dot of spellings in ASCII, the octets
	// after that dot.
	aroundDot [256]octetSet
}

// A pair is two labels that begin a spelling.
type pair struct {
	entry  int32 // the spelling that has no more labels, or -1
	longer int32 // index of the lengths of spellings with more labels; 0: there are none
}

// A spelling is an entry as it may occur in text.
type spelling struct {
	text  string
	entry int32
}

// firstOctets holds, by the length of a label, the octets that such labels begin with.
type firstOctets [64]octetSet

func (f *firstOctets) add(length int, first byte) { f[length].add(first) }

// has reports whether a spelling in ASCII letters, digits, hyphens and underscores may begin
// with a label of this length and first octet.
func (f *firstOctets) has(length, first byte) bool { return f[length&63].has(first) }

// newLocalNames compiles entries in a form that ParseLocalName accepts.
func newLocalNames(entries []string) (*localNames, error) {
	x := &localNames{
		entries: entries,
		byText:  map[string]int32{},
		pairs:   make(map[string]pair, len(entries)),
		single:  map[string]int32{},
		unicode: map[[4]byte][]spelling{},
		longer:  [][]uint8{nil},
	}
	for i, entry := range entries {
		name, err := ParseLocalName(entry)
		if err != nil {
			return nil, err
		}
		x.add(name, int32(i))
		for _, text := range uLabels(name) {
			x.add(string(foldCase(nil, []byte(text))), int32(i))
		}
	}
	return x, nil
}

// uLabels returns the spellings of a name in U-labels, in NFC and NFD. It returns none if the name
// has no A-label.
func uLabels(name string) (all []string) {
	if !strings.Contains(name, aLabelPrefix) {
		return nil
	}
	u, err := idna.Punycode.ToUnicode(name)
	if err != nil || u == name {
		return nil
	}
	c, d := norm.NFC.String(u), norm.NFD.String(u)
	if c == d {
		return []string{c}
	}
	return []string{c, d}
}

func (x *localNames) add(text string, entry int32) {
	label, rest, several := strings.Cut(text, ".")
	x.noteBegin(label)
	if !several {
		x.single[text] = entry
		return
	}
	if !isASCII([]byte(text)) {
		var key [4]byte
		copy(key[:], text) // four octets at least: one label in U-labels, a dot and another label
		x.unicode[key] = append(x.unicode[key], spelling{text, entry})
		return
	}
	second, _, more := strings.Cut(rest, ".")
	key := text[:len(label)+1+len(second)]
	x.aroundDot[label[len(label)-1]].add(second[0])
	p, ok := x.pairs[key]
	if !ok {
		p.entry = -1
	}
	if more {
		x.byText[text] = entry
		if p.longer == 0 {
			p.longer = int32(len(x.longer))
			x.longer = append(x.longer, nil)
		}
		if lengths := &x.longer[p.longer]; bytes.IndexByte(*lengths, uint8(len(text))) < 0 {
			*lengths = append(*lengths, uint8(len(text)))
		}
	} else {
		p.entry = entry
	}
	x.pairs[key] = p
}

// noteBegin notes the first octets and lengths of a label in all letter cases. Outside ASCII
// the cases of a letter may differ in octets and in their number.
func (x *localNames) noteBegin(label string) {
	first, size := utf8.DecodeRuneInString(label)
	lengths := uint64(1) // bit n: the rest of the label may be n octets long
	for _, r := range label[size:] {
		longer := uint64(0)
		eachCase(r, func(r rune) { longer |= lengths << utf8.RuneLen(r) })
		lengths = longer
	}
	eachCase(first, func(r rune) {
		for left := lengths << utf8.RuneLen(r); left != 0; left &= left - 1 {
			n := bits.TrailingZeros64(left)
			x.begins.add(n, string(r)[0])
			if bytes.IndexByte(x.lengths, byte(n)) < 0 {
				x.lengths = append(x.lengths, byte(n))
			}
		}
	})
}

// eachCase calls f for r and each rune that simple case folding makes equal to r.
func eachCase(r rune, f func(rune)) {
	f(r)
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		f(other)
	}
}

// longestEntry is in bytes, and more than the U-labels of any name need. The time to read
// U-labels grows with the square of their length.
const longestEntry = 1024

// ParseLocalName reads an entry of local_names: a host or zone name in A-labels or U-labels
// (RFC 5890), with or without the final dot. It returns the name in lowercase A-labels
// without the final dot.
func ParseLocalName(entry string) (string, error) {
	if len(entry) > longestEntry {
		return "", fmt.Errorf("a local name of %d bytes: longer than any in DNS", len(entry))
	}
	name := strings.TrimSuffix(strings.TrimSpace(entry), ".")
	if strings.HasSuffix(name, ".") {
		return "", fmt.Errorf("local name %q ends in an empty label", entry)
	}
	if isPlain(name) {
		return name, nil
	}
	return localNameByIDNA(entry, name)
}

// localNameByIDNA is ParseLocalName for an entry of any form. name is the entry without spaces and
// the final dot.
func localNameByIDNA(entry, name string) (string, error) {
	ascii, err := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false)).ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("local name %q has no form in DNS: %w", entry, err)
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("local name %q is not UTF-8", entry)
	}
	ascii = strings.TrimSuffix(strings.ToLower(ascii), ".") // there are other full stops
	if ascii == "" {
		return "", fmt.Errorf("local name %q is empty: the root would drop everything", entry)
	}
	if ascii[0] == '.' || strings.Contains(ascii, "..") {
		return "", fmt.Errorf("local name %q has an empty label", entry)
	}
	for _, c := range []byte(ascii) {
		if !isLabelChar(c) && c != '.' {
			return "", fmt.Errorf("local name %q: %q is not allowed in a host name", entry, c)
		}
	}
	if _, err := packName(ascii); err != nil {
		return "", fmt.Errorf("local name %q: %w", entry, err)
	}
	return ascii, nil
}

// aLabelPrefix is the prefix of A-labels (RFC 5890, section 2.3.2.1).
const aLabelPrefix = "xn--"

// isPlain reports whether ParseLocalName returns a name as it is. Files may have a million of such
// names. It is false for some other names that remain the same, with hyphens in a row.
func isPlain(name string) bool {
	if len(name) > dnswire.MaxName-2 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.Contains(label, "--") {
			return false
		}
		for _, c := range []byte(label) {
			if !isLabelChar(c) || c != toLower(c) {
				return false
			}
		}
	}
	return true
}

// packName returns a name in presentation form as uncompressed wire form.
func packName(name string) ([]byte, error) {
	buf := make([]byte, dnswire.MaxName+1)
	n, err := dns.PackDomainName(dns.Fqdn(name), buf, 0, nil, false)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

func (x *localNames) empty() bool { return len(x.entries) == 0 }

// last returns the entry of one label that is the last label of a name's folded text.
func (x *localNames) last(text []byte) (entry int32, ok bool) {
	if len(x.single) == 0 {
		return 0, false
	}
	entry, ok = x.single[string(text[bytes.LastIndexByte(text, '.')+1:])]
	return entry, ok
}

// An occurrence is an entry that was found in text.
type occurrence struct {
	entry int32
	end   int
	tail  bool // at the end of a name
}

// in finds the first occurrence in folded text of an entry of two or more labels, between
// characters that host names do not contain. An occurrence that ends inside the public suffix
// of the name around it does not count, because it is part of the names of others: ksu.edu in
// www.ksu.edu.sa. With isName the text is one name, and an occurrence at its end precedes all
// others. If text is ASCII, only occurrences that begin in the first own octets count.
func (x *localNames) in(text []byte, own int, isName bool) (found occurrence, ok bool) {
	for dot := -1; dot < own; {
		next := bytes.IndexByte(text[dot+1:], '.')
		if next < 0 {
			break
		}
		if dot += 1 + next; !x.mayBeFirstDot(text, dot) {
			continue
		}
		start := dot
		for start > 0 && isLabelChar(text[start-1]) {
			start--
		}
		if start < dot && isBoundary(text, start) {
			if o, hit := x.at(text, start, dot, isName); hit && (!ok || o.tail) {
				found, ok = o, true
				if !isName || o.tail {
					return found, true
				}
			}
		}
	}
	if len(x.unicode) > 0 && !isASCII(text) {
		if o, hit := x.inUnicode(text, isName); hit && (!ok || o.tail) {
			return o, true
		}
	}
	return found, ok
}

// mayOccur reports whether text in ASCII, of any letter case, may hold an entry of two
// or more labels.
func (x *localNames) mayOccur(text []byte) bool {
	for dot := 0; ; dot++ {
		next := bytes.IndexByte(text[dot:], '.')
		if next < 0 {
			return false
		}
		if dot += next; x.mayBeFirstDot(text, dot) {
			return true
		}
	}
}

// mayBeFirstDot reports whether the first dot of a spelling may be at an offset.
func (x *localNames) mayBeFirstDot(text []byte, dot int) bool {
	return dot > 0 && dot+1 < len(text) && x.aroundDot[toLower(text[dot-1])].has(toLower(text[dot+1]))
}

// at finds an occurrence in ASCII that begins at start, where a label ends at dot.
func (x *localNames) at(text []byte, start, dot int, isName bool) (occurrence, bool) {
	if !x.begins.has(byte(min(dot-start, 64)), text[start]) {
		return occurrence{}, false
	}
	second := dot + 1
	for second < len(text) && isLabelChar(text[second]) {
		second++
	}
	p, ok := x.pairs[string(text[start:second])]
	if !ok {
		return occurrence{}, false
	}
	for _, n := range x.longer[p.longer] {
		if end := start + int(n); end <= len(text) {
			if entry, ok := x.byText[string(text[start:end])]; ok && x.counts(text, start, end, isName) {
				return occurrence{entry, end, isName && end == len(text)}, true
			}
		}
	}
	if p.entry >= 0 && x.counts(text, start, second, isName) {
		return occurrence{p.entry, second, isName && second == len(text)}, true
	}
	return occurrence{}, false
}

// inUnicode finds the first occurrence of a spelling in U-labels.
func (x *localNames) inUnicode(text []byte, isName bool) (found occurrence, ok bool) {
	for i := 0; i+4 <= len(text); i++ {
		all := x.unicode[[4]byte(text[i:])]
		if len(all) == 0 || !isBoundary(text, i) {
			continue
		}
		for _, s := range all {
			end := i + len(s.text)
			if end > len(text) || string(text[i:end]) != s.text || !x.counts(text, i, end, isName) {
				continue
			}
			tail := isName && end == len(text)
			if !ok || tail {
				found, ok = occurrence{s.entry, end, tail}, true
			}
			if !isName || tail {
				return found, true
			}
		}
	}
	return found, ok
}

// counts reports whether text from start to end is an occurrence: a boundary follows, and the
// public suffix of the name around it does not begin before end.
func (x *localNames) counts(text []byte, start, end int, isName bool) bool {
	if end == len(text) {
		return true
	}
	if r, _ := utf8.DecodeRune(text[end:]); isNameRune(r) {
		return false
	}
	from, to := 0, len(text)
	if !isName {
		from, to = start, nameEndIn(text, end)
	}
	return end == to || from+suffixStart(text[from:to]) >= end
}

// nameEndIn returns the end of the name in text around an occurrence that ends at end.
func nameEndIn(text []byte, end int) int {
	for i := end; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r != '.' && !isNameRune(r) {
			break
		}
		i += size
		if r != '.' {
			end = i
		}
	}
	return end
}

// suffixStart returns the offset in a name's text of its public suffix by the ICANN section
// of the Public Suffix List, or of its last label if the list has none.
func suffixStart(name []byte) int {
	domain := string(name)
	if _, err := netip.ParseAddr(domain); err == nil {
		return bytes.LastIndexByte(name, '.') + 1 // the list would return all of it as a suffix
	}
	for {
		suffix, icann := publicsuffix.PublicSuffix(domain)
		_, parent, several := strings.Cut(suffix, ".")
		if icann || !several {
			return len(name) - len(suffix)
		}
		domain = parent
	}
}

// begin returns an entry of two or more labels with which a name's folded text begins.
func (x *localNames) begin(text []byte) (entry int32, ok bool) {
	if len(text) >= 4 && !isASCII(text) {
		for _, s := range x.unicode[[4]byte(text)] {
			if n := len(s.text); bytes.HasPrefix(text, []byte(s.text)) && (n == len(text) || text[n] == '.') {
				return s.entry, true
			}
		}
	}
	dot := bytes.IndexByte(text, '.')
	second := dot + 1 + len(firstLabel(text[dot+1:]))
	p, ok := x.pairs[string(text[:second])]
	if ok && p.entry >= 0 {
		return p.entry, true
	}
	for _, n := range x.longer[p.longer] {
		if end := int(n); end == len(text) || end < len(text) && text[end] == '.' {
			if entry, ok := x.byText[string(text[:end])]; ok {
				return entry, true
			}
		}
	}
	return 0, false
}

// hasPair reports whether a spelling begins with text, which is two labels.
func (x *localNames) hasPair(text []byte) bool {
	_, ok := x.pairs[string(text)]
	return ok
}

func firstLabel(text []byte) []byte {
	if dot := bytes.IndexByte(text, '.'); dot >= 0 {
		return text[:dot]
	}
	return text
}

// isBoundary reports whether no label of a host name continues across offset i.
func isBoundary(text []byte, i int) bool {
	r, _ := utf8.DecodeLastRune(text[:i])
	return i == 0 || !isNameRune(r)
}

// isNameRune reports whether a label of a host name may contain the character: a letter of
// any script, a digit, a hyphen or an underscore.
func isNameRune(r rune) bool {
	if r < utf8.RuneSelf {
		return isLabelChar(byte(r))
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// isLabelChar reports whether a label of a host name may contain c, or a label of a service
// name: these have underscores.
func isLabelChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// foldCase appends text with each character replaced by one of its letter cases: the small
// ASCII letter if it is one, else the lowest rune. Octets that are not UTF-8 stay.
func foldCase(dst, text []byte) []byte {
	if isASCII(text) {
		n := len(dst)
		dst = append(dst, text...)
		dnswire.Lower(dst[n:])
		return dst
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, text[0])
		} else {
			dst = utf8.AppendRune(dst, foldRune(r))
		}
		text = text[size:]
	}
	return dst
}

func foldRune(r rune) rune {
	lowest := r
	eachCase(r, func(other rune) { lowest = min(lowest, other) })
	if 'A' <= lowest && lowest <= 'Z' {
		return lowest | 0x20
	}
	return lowest
}

func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
