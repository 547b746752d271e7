package transform

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"
)

// A subject is what is judged: a response that has been walked, or a query.
type subject struct {
	name, zone []byte  // lowercase wire form; an empty zone where the source does not state it
	response   *walker // nil: a query without a response
	qtype      uint16
	server     netip.Addr
	rd         bool // in query or response
	forwarded  bool // the peer is a forwarder
}

// judge returns the first reason why names and addresses forbid a record; s.finding
// says what was found. What is forbidden outside the answer chain does not: its RRsets
// are marked in the walker to be removed, since otherwise any server could hide from
// sensors by adding one.
func (s *searcher) judge(x *subject) Reason {
	s.ready()
	from, to := x.nameInMessage()
	s.judgeWhole(x.name, from, to)
	if len(x.zone) > 0 && !s.done() && !isBelow(x.name, x.zone) {
		s.judgeWhole(x.zone, 0, 0) // it is not in the message
	}
	if x.response != nil && !s.done() {
		s.judgeResponse(x)
	}
	if reason := s.rule.Forbids(); reason != Kept {
		return reason
	}
	return s.judgeUse(x)
}

// nameInMessage returns where the query name is in the response; 0 and 0 if there is no
// response.
func (x *subject) nameInMessage() (from, to int) {
	if x.response == nil {
		return 0, 0
	}
	return headerLen, x.response.qnameEnd
}

// judgeWhole judges the query name or the zone; from and to are its place in the message.
func (s *searcher) judgeWhole(name []byte, from, to int) {
	if may, _ := s.mayHold(name[:len(name)-1]); !may {
		return
	}
	before := s.rule
	if s.checkName(name, len(name)); s.rule != before {
		s.finding = Finding{Rule: s.rule, Entry: s.entry, From: from, To: to}
	}
}

// judgeResponse judges the records of a response.
func (s *searcher) judgeResponse(x *subject) {
	rule, entry := s.rule, s.entry // of the query name or zone, which forbid a record
	s.forget()
	if s.mayBeForbidden(x.response) {
		s.judgeRecords(x)
		if f := s.inChain(x.response); f.Rule != NoRule && (rule == NoRule || f.Rule.Forbids() == LocalName) {
			rule, entry, s.finding = f.Rule, f.Entry, f
		}
		if rule == NoRule {
			s.markRemoved(x.response)
		}
	}
	s.rule, s.entry = rule, entry
}

// isBelow reports whether a name is equal to or below a zone, both in lowercase wire
// form.
func isBelow(name, zone []byte) bool {
	for off := 0; len(name)-off >= len(zone); off += 1 + int(name[off]) {
		if len(name)-off == len(zone) {
			return bytes.Equal(name[off:], zone)
		}
	}
	return false
}

// mayBeForbidden reports whether a record of the response may hold something that is
// forbidden. Each label run is looked at once; a name that is only a pointer was
// looked at as part of its target.
func (s *searcher) mayBeForbidden(w *walker) bool {
	for _, r := range w.runs {
		if int(r.end) <= w.qnameEnd && !r.astray {
			continue // the query name
		}
		if r.astray {
			s.checkNameAt(w, int(r.start), maxName)
			continue
		}
		if may, open := s.mayHold(w.msg[r.start:r.end]); may || open && w.mayContinueAddress(r) {
			s.checkNameAt(w, int(r.start), int(r.end-r.start))
		}
	}
	if s.reversed && s.rule == NoRule {
		s.checkExtended(w)
	}
	if s.inNames = s.rule != NoRule; s.inNames {
		return true
	}
	for i := range w.rrs {
		s.rdataOf(w, &w.rrs[i])
	}
	return s.rule != NoRule
}

// mayContinueAddress reports whether what follows a label run may be part of an address
// as labels.
func (w *walker) mayContinueAddress(r run) bool {
	if w.msg[r.end] == 0 {
		return false
	}
	label := w.msg[int(w.msg[r.end]&0x3f)<<8|int(w.msg[r.end+1]):]
	return label[0] > 63 || isGroup(label) || isReverseZone(label)
}

// checkExtended judges names that continue elsewhere: labels before the reverse name of
// a wide network may make it one of a local network inside.
func (s *searcher) checkExtended(w *walker) {
	for _, r := range w.runs {
		if w.msg[r.end] != 0 {
			s.checkNameAt(w, int(r.start), int(r.end-r.start))
		}
	}
}

// checkNameAt judges the name at off; own is as in checkName.
func (s *searcher) checkNameAt(w *walker, off, own int) {
	name := w.expand(s.name[:0], off)
	lower(name)
	s.checkName(name, own)
}

// rdataOf judges a record's rdata except for names.
func (s *searcher) rdataOf(w *walker, r *rr) {
	switch r.typ {
	case typeA:
		s.place = inAddress
		s.addr4([4]byte(w.msg[r.rdata:r.end]), asIs)
	case typeAAAA:
		s.place = inAddress
		s.addr16((*[16]byte)(w.msg[r.rdata:r.end]), asIs)
	case dns.TypeSOA, dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeMX, dns.TypeSRV, dns.TypeDNAME, typeOPT:
	case dns.TypeTXT:
		s.strings(w.msg[r.rdata:r.end])
	default:
		s.rdata(w.msg, *r)
	}
}

// judgeRecords judges each record by itself, and finds the answer chain.
func (s *searcher) judgeRecords(x *subject) {
	w := x.response
	s.hits = s.hits[:0]
	for i := range w.rrs {
		r := &w.rrs[i]
		h := hit{from: r.owner, to: r.rdata - fixedLen}
		s.forget()
		if i != w.opt {
			if s.inNames {
				s.checkNameAt(w, int(r.owner), maxName)
			}
			owner := s.rule
			if s.inNames && !s.done() {
				s.namesIn(w, *r)
			}
			if !s.done() {
				s.rdataOf(w, r)
			}
			if s.rule != owner {
				h.from, h.to = r.rdata, r.end
			}
		}
		h.rule, h.entry = s.rule, s.entry
		s.hits = append(s.hits, h)
	}
	s.findChain(x)
}

const fixedLen = 10 // octets of type, class, TTL and rdata length

// namesIn judges the names in rdata.
func (s *searcher) namesIn(w *walker, r rr) {
	if r.typ == typeOPT || r.typ == typeTSIG || r.typ == typeTKEY {
		return
	}
	for c := newCursor(w.msg, r); c.next(); {
		if c.isName() {
			s.checkNameAt(w, c.start, maxName)
		}
	}
}

// maxChain bounds the aliases that are followed.
const maxChain = 16

// findChain marks the answer chain: in the answer section the aliases from the query
// name and the RRset that was queried, each with its signatures; in a referral the NS
// RRset. After too many aliases the rest of the answer section counts as chain.
func (s *searcher) findChain(x *subject) {
	w := x.response
	if w.counts[answer] == 0 {
		s.findReferral(w)
		return
	}
	name := append(s.second[:0], x.name...)
	for range maxChain {
		target := s.chainAt(w, name, x.qtype)
		if target == nil {
			return
		}
		name = append(s.second[:0], target...)
	}
	for i := range w.rrs {
		s.hits[i].chain = s.hits[i].chain || w.rrs[i].section == answer
	}
}

// chainAt marks the records of the chain at a name, and returns the name that an
// alias leads to, or nil.
func (s *searcher) chainAt(w *walker, name []byte, qtype uint16) (target []byte) {
	for i := range w.rrs {
		r := w.rrs[i]
		typ := covered(w, &r)
		if r.section != answer || typ != qtype && typ != dns.TypeCNAME && typ != dns.TypeDNAME && qtype != dns.TypeANY && r.typ != qtype {
			continue
		}
		var buf [maxName + 1]byte
		owner := w.expand(buf[:0], int(r.owner))
		lower(owner)
		switch {
		case bytes.Equal(owner, name):
			if s.hits[i].chain = true; r.typ == dns.TypeCNAME && qtype != dns.TypeCNAME && target == nil {
				target = w.expand(s.target[:0], int(r.rdata))
				lower(target)
			}
		case typ == dns.TypeDNAME && isBelow(name, owner):
			if s.hits[i].chain = true; r.typ == dns.TypeDNAME && target == nil {
				prefix := name[:len(name)-len(owner)]
				target = w.expand(append(s.target[:0], prefix...), int(r.rdata))
				if len(target) > maxName {
					return nil
				}
				lower(target)
			}
		}
	}
	return target
}

// findReferral marks the NS RRset of a referral: no answer, and no SOA in authority.
func (s *searcher) findReferral(w *walker) {
	if w.flags&maskRcode != dns.RcodeSuccess {
		return
	}
	for _, r := range w.rrs {
		if r.section == authority && r.typ == dns.TypeSOA {
			return
		}
	}
	for i, r := range w.rrs {
		s.hits[i].chain = r.section == authority && r.typ == dns.TypeNS
	}
}

// covered is the type of the RRset that a record belongs to: a signature to the RRset
// that it covers (RFC 4034 section 3.1.1).
func covered(w *walker, r *rr) uint16 {
	if (r.typ == dns.TypeRRSIG || r.typ == dns.TypeSIG) && r.end-r.rdata >= 2 {
		return binary.BigEndian.Uint16(w.msg[r.rdata:])
	}
	return r.typ
}

// inChain returns what forbids a record of the answer chain: the first local name,
// else the first address.
func (s *searcher) inChain(w *walker) (f Finding) {
	for i := range s.hits {
		h := &s.hits[i]
		if !h.chain || h.rule == NoRule {
			continue
		}
		if f.Rule == NoRule || h.rule.Forbids() == LocalName {
			f = Finding{Rule: h.rule, Entry: h.entry, From: int(h.from), To: int(h.to)}
		}
		if h.rule.Forbids() == LocalName {
			return f
		}
	}
	return f
}

// maxRemoved bounds the work that a response with many forbidden RRsets makes.
const maxRemoved = 32

// markRemoved marks the RRsets that hold something forbidden, with their signatures;
// of too many, every RRset outside the answer chain.
func (s *searcher) markRemoved(w *walker) {
	sets := 0
	for i := range s.hits {
		if s.hits[i].rule == NoRule || w.rrs[i].removed {
			continue
		}
		if sets++; sets > maxRemoved {
			for j := range w.rrs {
				w.remove(j, !s.hits[j].chain && j != w.opt)
			}
			return
		}
		for j := range w.rrs {
			w.remove(j, j == i || j != w.opt && w.sameSet(i, j))
		}
	}
}
