package transform

import "github.com/miekg/dns"

// judge returns the first reason why names and addresses forbid a record:
// of a response that has been walked, or of a query whose name this is. The name
// and the zone are in lowercase wire form.
func (s *searcher) judge(name, zone []byte, response *walker) Reason {
	underARPA := endsInARPA(name)
	s.checkName(name, underARPA)
	if len(zone) > 0 {
		s.checkName(zone, endsInARPA(zone))
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
		return SpecialName
	case response != nil && response.flags&maskRcode == dns.RcodeNameError && (rootSOA || isSingleLabel(name) || isRoot(zone)):
		return SpecialName // there is no such top-level domain
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
// that was looked at.
func (s *searcher) checkNames(w *walker) {
	if w.pointsOutsideNames {
		s.checkEachName(w)
		return
	}
	locals := s.policy.localNames
	for _, r := range w.runs {
		underARPA := w.marks[r.start]&markARPA != 0
		if !underARPA && (locals.empty() || !mayBeLocal(w, r, locals)) {
			continue
		}
		s.checkNameAt(w, int(r.start), underARPA)
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

// checkEachName is for messages whose names overlap with other data.
func (s *searcher) checkEachName(w *walker) {
	for i := range w.rrs {
		if i == w.opt {
			continue
		}
		r := w.rrs[i]
		s.checkNameAt(w, int(r.owner), true)
		for c := newCursor(w.msg, r); c.next(); {
			if c.isName() {
				s.checkNameAt(w, c.start, true)
			}
		}
	}
}

// checkRecords looks at all rdata but names, and reports whether the root's SOA
// stands in authority.
func (s *searcher) checkRecords(w *walker) (rootSOA bool) {
	for i := range w.rrs {
		r := &w.rrs[i]
		switch r.typ {
		case typeA:
			s.address = s.address || s.isOwn4(w.msg[r.rdata:r.end])
		case typeAAAA:
			s.address = s.address || s.isOwn16(w.msg[r.rdata:r.end])
		case dns.TypeSOA:
			rootSOA = rootSOA || r.section == authority && w.marks[r.owner]&markLen == 1
		case dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeMX, dns.TypeSRV, dns.TypeDNAME, typeOPT:
		default:
			s.checkRdata(w.msg, *r)
		}
	}
	return rootSOA
}

// checkRdata searches rdata that is more than names and numbers: each field as
// text, neighbouring character-strings joined too, and the whole as octets.
func (s *searcher) checkRdata(msg []byte, r rr) {
	random := false
	strings := 0
	s.joined = s.joined[:0]
	c := newCursor(msg, r)
	for c.next() {
		if c.step != 's' {
			s.endStrings(&strings)
		}
		switch c.step {
		case 's':
			strings++
			s.joined = append(s.joined, c.data()...)
			s.text(c.data())
		case 'z':
			random = true
			s.text(c.data())
		case 'x', 'h':
			s.text(c.data())
		}
	}
	s.endStrings(&strings)
	rdata := msg[r.rdata:r.end]
	s.wire(rdata)
	if !random {
		s.octets(rdata)
	}
	if layoutOf(r.typ, rdata) == "x" {
		s.checkAsStrings(rdata)
	}
}

// endStrings looks at character-strings in a row as one text.
func (s *searcher) endStrings(n *int) {
	if *n > 1 {
		s.text(s.joined)
	}
	*n = 0
	s.joined = s.joined[:0]
}

// checkAsStrings takes rdata of a type that is not known for character-strings,
// if it can be: a length octet may look like part of a name.
func (s *searcher) checkAsStrings(rdata []byte) {
	for off := 0; off < len(rdata); off += 1 + int(rdata[off]) {
		if off+1+int(rdata[off]) > len(rdata) {
			return
		}
		s.joined = append(s.joined, rdata[off+1:off+1+int(rdata[off])]...)
		s.text(rdata[off+1 : off+1+int(rdata[off])])
	}
	s.text(s.joined)
	s.joined = s.joined[:0]
}
