package transform

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// judge returns the first reason why names and addresses forbid a record:
// of a response that has been walked, or of a query whose name this is. The name
// and the zone are in lowercase wire form.
func (s *searcher) judge(name, zone []byte, response *walker) Reason {
	underARPA := endsInARPA(name)
	from, to := 0, 0 // the query name's place
	if response != nil {
		from, to = headerLen, response.qnameEnd
	}
	s.checkName(name, underARPA)
	if s.found() {
		s.note(inName, from, to)
	}
	if len(zone) > 0 {
		s.checkName(zone, endsInARPA(zone))
		if s.found() {
			s.note(inName, 0, 0)
		}
	}
	rootSOA := false
	if response != nil {
		s.checkNames(response)
		rootSOA = s.checkRecords(response)
	}
	switch {
	case s.local:
		return LocalName
	case s.address:
		return ResolverAddress
	case !s.policy.specialNames:
		return Kept
	case isSpecial(name, underARPA):
		s.finding = Finding{Rule: SpecialUse, From: from, To: to}
		return SpecialName
	case response == nil && isSingleLabel(name), // nothing shows that there is such a top-level domain
		response != nil && response.flags&maskRcode == dns.RcodeNameError && (rootSOA || isSingleLabel(name) || isRoot(zone)):
		s.finding = Finding{Rule: NoTLD, From: from, To: to}
		return SpecialName
	}
	return Kept
}

func endsInARPA(name []byte) bool {
	return len(name) > 6 && isARPA(name[len(name)-6:len(name)-1])
}

func isSingleLabel(name []byte) bool { return name[0] != 0 && len(name) == int(name[0])+2 }

func isRoot(name []byte) bool { return len(name) == 1 }

// checkNames looks at every name of a message. Each stretch of labels is looked
// at once, with what follows it; a name that is but a pointer is the end of one
// that was looked at, unless it leads astray. Nor do labels in front of more than
// a reverse name say anything new of an address.
func (s *searcher) checkNames(w *walker) {
	locals := s.policy.localNames
	for _, r := range w.runs {
		underARPA := w.marks[r.start]&markARPA != 0 && (r.astray || w.marks[r.end]&markLen < longestReverse)
		if underARPA || !locals.empty() && (r.astray || mayBeLocal(w, r, locals)) {
			s.checkNameAt(w, int(r.start), underARPA)
			if s.found() {
				s.note(inName, int(r.start), int(r.end))
			}
		}
	}
}

// mayBeLocal goes by lengths alone.
func mayBeLocal(w *walker, r run, set *nameSet) bool {
	for off := r.start; off < r.end; off += 1 + uint16(w.msg[off]) {
		if set.wireLens[w.marks[off]&markLen] {
			return true
		}
	}
	return false
}

func (s *searcher) checkNameAt(w *walker, off int, underARPA bool) {
	name := w.expand(s.name[:0], off)
	lower(name)
	s.checkName(name, underARPA)
}

// checkRecords looks at all rdata but names, and reports whether the root's SOA
// stands in authority.
func (s *searcher) checkRecords(w *walker) (rootSOA bool) {
	for i := range w.rrs {
		if s.local {
			break // nothing else matters
		}
		r := &w.rrs[i]
		where := inRdata
		switch r.typ {
		case typeA:
			where = inAddress
			s.address = s.address || s.isOwn4(w.msg[r.rdata:r.end])
		case typeAAAA:
			where = inAddress
			s.address = s.address || s.isOwn16(w.msg[r.rdata:r.end])
		case dns.TypeSOA:
			rootSOA = rootSOA || r.section == authority && w.marks[r.owner]&markLen == 1
		case dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeMX, dns.TypeSRV, dns.TypeDNAME, typeOPT:
		default:
			s.checkRdata(w.msg, *r)
		}
		if s.found() {
			s.note(where, int(r.rdata), int(r.end))
		}
	}
	return rootSOA
}

// checkRdata searches rdata that is more than names and numbers: each field as
// text, neighbouring character-strings joined too, and what stands between names
// as octets.
func (s *searcher) checkRdata(msg []byte, r rr) {
	from, random, strings := int(r.rdata), false, 0
	c := newCursor(msg, r)
	whole := c.steps == "x"
	for c.next() {
		if c.step != 's' {
			s.endStrings(&strings)
		}
		switch c.step {
		case 'n', 'N':
			s.opaque(msg[from:c.start], random)
			from, random = c.at, false
		case 's':
			strings++
			s.joined = append(s.joined, c.data()...)
			s.text(c.data())
		case 'z':
			random = true
			s.text(c.data())
		case 'a':
			s.own4s(c.data())
		case 'A':
			s.own16s(c.data())
		case 'p':
			s.parameters(c.data())
		case 'x', 'h':
			s.text(c.data())
			if whole {
				s.asStrings(c.data())
			}
		}
	}
	s.endStrings(&strings)
	s.opaque(msg[from:r.end], random)
}

// endStrings looks at character-strings in a row as one text.
func (s *searcher) endStrings(n *int) {
	if *n > 1 {
		s.text(s.joined)
	}
	*n = 0
	s.joined = s.joined[:0]
}

const (
	svcIPv4Hint = uint16(dns.SVCB_IPV4HINT)
	svcIPv6Hint = uint16(dns.SVCB_IPV6HINT)
)

// parameters looks at SVCB's: key, length, value (RFC 9460 section 2.2).
func (s *searcher) parameters(b []byte) {
	for len(b) >= 4 {
		end := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if end > len(b) {
			break
		}
		switch binary.BigEndian.Uint16(b) {
		case svcIPv4Hint:
			s.own4s(b[4:end])
		case svcIPv6Hint:
			s.own16s(b[4:end])
		}
		s.text(b[4:end])
		s.asStrings(b[4:end])
		b = b[end:]
	}
	s.text(b)
}

// own4s looks at IPv4 addresses in a row, own16s at IPv6 addresses.
func (s *searcher) own4s(b []byte) {
	for ; len(b) >= 4; b = b[4:] {
		s.address = s.address || s.isOwn4(b[:4])
	}
}

func (s *searcher) own16s(b []byte) {
	for ; len(b) >= 16; b = b[16:] {
		s.address = s.address || s.isOwn16(b[:16])
	}
}

// asStrings takes octets that are not known for character-strings as such, if
// they can be: a length octet may look like part of a name.
func (s *searcher) asStrings(b []byte) {
	end := 0
	for end < len(b) {
		end += 1 + int(b[end])
	}
	if end > len(b) {
		return
	}
	n := 0
	for len(b) > 0 {
		text := b[1 : 1+int(b[0])]
		n++
		s.joined = append(s.joined, text...)
		s.text(text)
		b = b[1+len(text):]
	}
	s.endStrings(&n)
}
