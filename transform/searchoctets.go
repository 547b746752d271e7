package transform

import (
	"bytes"
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// strings judges rdata of character-strings only.
func (s *searcher) strings(b []byte) {
	s.place = inRdata
	s.octets(b, s.eachString(b), false)
}

// eachString judges character-strings, and if there are several, also their text joined. It
// reports whether all are printable ASCII.
func (s *searcher) eachString(b []byte) (printable bool) {
	for len(b) > 0 {
		text := b[1 : 1+int(b[0])]
		if b = b[1+len(text):]; len(b) > 0 || s.joined.n > 0 {
			s.join(text)
		} else {
			return !s.text(text).odd
		}
	}
	return s.endStrings()
}

// joined is the text of adjacent character-strings.
type joined struct {
	n      int
	text   []byte
	survey textSurvey
}

// join judges a character-string, and appends it to s.joined.
func (s *searcher) join(text []byte) {
	s.joined.n++
	s.joined.text = append(s.joined.text, text...)
	s.joined.survey.add(s.text(text))
}

// endStrings judges s.joined as one text, reports whether it is printable ASCII, and empties it.
func (s *searcher) endStrings() (printable bool) {
	j := &s.joined
	if j.n > 1 {
		s.surveyed(j.text, j.survey)
	}
	printable = !j.survey.odd
	j.n, j.text, j.survey = 0, j.text[:0], textSurvey{}
	return printable
}

// rdata judges rdata except for names: each field as text, adjacent character-strings joined
// too, and the octets between names.
func (s *searcher) rdata(w *dnswire.Walker, r *dnswire.Record) {
	s.place = inRdata
	from, random, printable := int(r.Rdata), false, true // of the octets since the last name
	for f := w.Fields(r); f.Next(); {
		if f.Kind == dnswire.String {
			s.join(f.Data())
			continue
		}
		printable = s.endStrings() && printable && f.IsName()
		switch f.Kind {
		case dnswire.Name, dnswire.CasedName:
			s.octets(w.Msg[from:f.Start], printable, random)
			from, random, printable = f.End, false, true
		case dnswire.Random:
			random = true
			s.text(f.Data())
		case dnswire.IPv4, dnswire.IPv6:
			s.addresses(f.Data(), f.Kind == dnswire.IPv4)
		case dnswire.Params:
			s.parameters(f.Data())
		case dnswire.HIPHeader:
			s.text(f.Data())
		case dnswire.Opaque:
			s.text(f.Data())
			if f.Start == int(r.Rdata) { // the layout is unknown
				s.asStrings(f.Data())
			}
		}
	}
	printable = s.endStrings() && printable
	s.octets(w.Msg[from:r.End], printable, random)
	if r.Type == dns.TypeAPL {
		s.prefixList(w.Msg[r.Rdata:r.End])
	}
}

// parameters judges SvcParams: key, length, value (RFC 9460 section 2.2).
func (s *searcher) parameters(b []byte) {
	for len(b) >= 4 {
		end := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if end > len(b) {
			break
		}
		switch key := dns.SVCBKey(binary.BigEndian.Uint16(b)); key {
		case dns.SVCB_IPV4HINT, dns.SVCB_IPV6HINT:
			s.addresses(b[4:end], key == dns.SVCB_IPV4HINT)
		}
		s.text(b[4:end])
		s.asStrings(b[4:end])
		b = b[end:]
	}
	s.text(b)
}

// addresses judges octets that are addresses, one after another.
func (s *searcher) addresses(b []byte, four bool) {
	for ; four && len(b) >= 4; b = b[4:] {
		s.addr4([4]byte(b), asIs)
	}
	for ; !four && len(b) >= 16; b = b[16:] {
		s.addr16((*[16]byte)(b), asIs)
	}
}

// prefixList judges the addresses of an APL record (RFC 3123 section 4), which omits zeros at
// their end.
func (s *searcher) prefixList(b []byte) {
	for len(b) >= 4 {
		n := int(b[3] & 0x7f)
		if 4+n > len(b) {
			return
		}
		var a [16]byte
		switch family := binary.BigEndian.Uint16(b); {
		case family == 1 && n <= 4:
			copy(a[:], b[4:4+n])
			s.addr4([4]byte(a[:]), asIs)
		case family == 2 && n <= 16:
			copy(a[:], b[4:4+n])
			s.addr16(&a, asIs)
		}
		b = b[4+n:]
	}
}

// asStrings judges octets as character-strings if they parse as such: in text, a length octet
// may look like part of a name.
func (s *searcher) asStrings(b []byte) {
	end := 0
	for end < len(b) {
		end += 1 + int(b[end])
	}
	if end == len(b) {
		s.eachString(b)
	}
}

// octets judges octets that are not a name by their layout: names in wire form and, unless the
// octets are printable text, addresses. In random octets it does not judge IPv4 addresses,
// because any four octets occur by chance.
func (s *searcher) octets(b []byte, printable, random bool) {
	if s.what.names {
		s.wireNames(b)
	}
	if printable || !s.what.addrsInAll || s.done() {
		return
	}
	s.wireReverseNames(b)
	for i, last := range b {
		if !s.last.has(last) {
			continue
		}
		if i >= 3 && !random {
			if e, ok := s.single4([4]byte(b[i-3:])); ok {
				s.found(s.place.resolver, e)
			}
		}
		if i >= 15 {
			if e, ok := s.single16((*[16]byte)(b[i-15:])); ok {
				s.found(s.place.resolver, e)
			}
		}
	}
	if len(s.policy.identity.all) > 0 {
		s.wirePrefixes(b)
	}
}

// wireNames judges the local names in wire form that begin at any offset of b.
func (s *searcher) wireNames(b []byte) {
	x := s.policy.localNames
	for _, n := range x.lengths {
		for at := 0; ; at++ {
			next := bytes.IndexByte(b[at:], n)
			if next < 0 || at+next+1+int(n) > len(b) {
				break
			}
			at += next
			if x.begins.has(n, b[at+1]) && s.wireName(b[at:]) {
				return
			}
		}
	}
}

// wireName judges the local name in wire form that b begins with, and reports whether there is
// one.
func (s *searcher) wireName(b []byte) bool {
	x := s.policy.localNames
	text, root := labelsText(s.second[:0], b, 2)
	s.folded = foldCase(s.folded[:0], text)
	entry, ok := x.single[string(s.folded)]
	if ok = ok && root; !ok {
		if bytes.IndexByte(text, '.') < 0 || isASCII(text) && !x.hasPair(text) {
			return false
		}
		text, _ = labelsText(s.second[:0], b, maxLabels)
		s.folded = foldCase(s.folded[:0], text)
		entry, ok = x.begin(s.folded)
	}
	if ok {
		s.found(LocalNameInRdata, Entry{Name: x.entries[entry]})
	}
	return ok
}

// labelsText appends up to n labels in wire form as lowercase text. It stops at a label with a
// dot, which no entry has. root reports that the root follows.
func labelsText(text, b []byte, n int) (_ []byte, root bool) {
	for range n {
		if len(b) == 0 || b[0] == 0 || b[0] > 63 || 1+int(b[0]) > len(b) || len(text)+1+int(b[0]) > dnswire.MaxName {
			break
		}
		label := b[1 : 1+b[0]]
		if bytes.IndexByte(label, '.') >= 0 {
			break
		}
		if len(text) > 0 {
			text = append(text, '.')
		}
		text = append(text, label...)
		b = b[1+len(label):]
	}
	dnswire.Lower(text)
	return text, len(b) > 0 && b[0] == 0
}

// wireReverseNames judges the reverse names in wire form in b.
func (s *searcher) wireReverseNames(b []byte) {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], 4)
		if i < 0 {
			return
		}
		at := from + i
		from = at + 1
		if at+5 > len(b) || !isARPA(b[at:at+5]) || !endsFold(b[:at], "\x07in-addr") && !endsFold(b[:at], "\x03ip6") {
			continue
		}
		name := append(append(s.name[:0], b[labelsBefore(b, at):at+5]...), 0)
		dnswire.Lower(name)
		var l labels
		l.split(name)
		if r, _, ok := l.reverseAt(name, l.n-1, s.hosts[:]); ok {
			s.reverse(r)
		}
	}
}

// labelsBefore returns the offset of the first of the labels that precede off, within the
// length of a name. At each step it takes the shortest possible label, because a length up to
// 44 is not a character of host names.
func labelsBefore(b []byte, off int) int {
	least := max(0, off+len("\x04arpa\x00")-dnswire.MaxName)
	for start := off; ; {
		n := 1
		for n < 64 && start-1-n >= least && int(b[start-1-n]) != n {
			n++
		}
		if n == 64 || start-1-n < least {
			return start
		}
		start -= 1 + n
	}
}

// isARPA reports whether a label with its length octet is "arpa".
func isARPA(label []byte) bool {
	return len(label) == 5 && label[0] == 4 && binary.BigEndian.Uint32(label[1:])|0x20202020 == 'a'<<24|'r'<<16|'p'<<8|'a'
}

func endsFold(b []byte, suffix string) bool {
	return len(b) >= len(suffix) && dnswire.EqualFold(b[len(b)-len(suffix):], []byte(suffix))
}

// wirePrefixes judges the IPv6 addresses at any offset of b by the resolver's prefixes. Near
// the end of b, where an address does not fit, the octets of a prefix suffice.
func (s *searcher) wirePrefixes(b []byte) {
	const shortest = 6 // octets: 48 bits
	for i := range max(0, len(b)-shortest+1) {
		switch rest := b[i:]; {
		case !s.policy.identity.first.has(rest[0]):
		case len(rest) >= 16:
			s.network(s.policy.identity.longest16((*[16]byte)(rest)), 0, s.place.resolver)
		default:
			for _, p := range s.policy.identity.all {
				if a := p.Addr().As16(); p.Addr().Is6() && bytes.HasPrefix(rest, a[:p.Bits()/8]) {
					s.found(s.place.resolver, Entry{Prefix: p})
				}
			}
		}
	}
}
