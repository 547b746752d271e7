package transform

import (
	"bytes"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A subject is what is judged: a response that has been walked, or a query.
type subject struct {
	name, zone []byte          // lowercase wire form; an empty zone where the source does not state it
	response   *dnswire.Walker // nil: a query without a response
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
	return dnswire.HeaderLen, x.response.QnameEnd
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
func (s *searcher) mayBeForbidden(w *dnswire.Walker) bool {
	for _, r := range w.Runs {
		if int(r.End) <= w.QnameEnd && !r.Outside {
			continue // the query name
		}
		if r.Outside {
			s.checkNameAt(w, int(r.Start), dnswire.MaxName)
			continue
		}
		if may, open := s.mayHold(w.Msg[r.Start:r.End]); may || open && mayContinueAddress(w, r) {
			s.checkNameAt(w, int(r.Start), int(r.End-r.Start))
		}
	}
	if s.reversed && s.rule == NoRule {
		s.checkExtended(w)
	}
	if s.inNames = s.rule != NoRule; s.inNames {
		return true
	}
	for i := range w.Records {
		s.rdataOf(w, &w.Records[i])
	}
	return s.rule != NoRule
}

// mayContinueAddress reports whether what follows a label run may be part of an address
// as labels.
func mayContinueAddress(w *dnswire.Walker, r dnswire.Run) bool {
	if w.Msg[r.End] == 0 {
		return false
	}
	label := w.Msg[int(w.Msg[r.End]&0x3f)<<8|int(w.Msg[r.End+1]):]
	return label[0] > 63 || isGroup(label) || isReverseZone(label)
}

// checkExtended judges names that continue elsewhere: labels before the reverse name of
// a wide network may make it one of a local network inside.
func (s *searcher) checkExtended(w *dnswire.Walker) {
	for _, r := range w.Runs {
		if w.Msg[r.End] != 0 {
			s.checkNameAt(w, int(r.Start), int(r.End-r.Start))
		}
	}
}

// checkNameAt judges the name at off; own is as in checkName.
func (s *searcher) checkNameAt(w *dnswire.Walker, off, own int) {
	name := w.Expand(s.name[:0], off)
	dnswire.Lower(name)
	s.checkName(name, own)
}

// rdataOf judges a record's rdata except for names.
func (s *searcher) rdataOf(w *dnswire.Walker, r *dnswire.Record) {
	switch r.Type {
	case dns.TypeA:
		s.place = inAddress
		s.addr4([4]byte(w.Msg[r.Rdata:r.End]), asIs)
	case dns.TypeAAAA:
		s.place = inAddress
		s.addr16((*[16]byte)(w.Msg[r.Rdata:r.End]), asIs)
	case dns.TypeSOA, dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeMX, dns.TypeSRV, dns.TypeDNAME, dns.TypeOPT:
	case dns.TypeTXT:
		s.strings(w.Msg[r.Rdata:r.End])
	default:
		s.rdata(w, r)
	}
}

// judgeRecords judges each record by itself, and finds the answer chain.
func (s *searcher) judgeRecords(x *subject) {
	w := x.response
	s.hits = s.hits[:0]
	for i := range w.Records {
		r := &w.Records[i]
		h := hit{from: r.Owner, to: r.Rdata - dnswire.FixedLen}
		s.forget()
		if i != w.OPT {
			if s.inNames {
				s.checkNameAt(w, int(r.Owner), dnswire.MaxName)
			}
			owner := s.rule
			if s.inNames && !s.done() {
				s.namesIn(w, *r)
			}
			if !s.done() {
				s.rdataOf(w, r)
			}
			if s.rule != owner {
				h.from, h.to = r.Rdata, r.End
			}
		}
		h.rule, h.entry = s.rule, s.entry
		s.hits = append(s.hits, h)
	}
	s.findChain(x)
}

// namesIn judges the names in rdata.
func (s *searcher) namesIn(w *dnswire.Walker, r dnswire.Record) {
	if r.Type == dns.TypeOPT || r.Type == dns.TypeTSIG || r.Type == dns.TypeTKEY {
		return
	}
	for f := w.Fields(&r); f.Next(); {
		if f.IsName() {
			s.checkNameAt(w, f.Start, dnswire.MaxName)
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
	if w.Counts[dnswire.Answer] == 0 {
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
	for i := range w.Records {
		s.hits[i].chain = s.hits[i].chain || w.Records[i].Section == dnswire.Answer
	}
}

// chainAt marks the records of the chain at a name, and returns the name that an
// alias leads to, or nil.
func (s *searcher) chainAt(w *dnswire.Walker, name []byte, qtype uint16) (target []byte) {
	for i := range w.Records {
		r := w.Records[i]
		typ := w.Covered(&r)
		if r.Section != dnswire.Answer || typ != qtype && typ != dns.TypeCNAME && typ != dns.TypeDNAME && qtype != dns.TypeANY && r.Type != qtype {
			continue
		}
		var buf [dnswire.MaxName + 1]byte
		owner := w.Expand(buf[:0], int(r.Owner))
		dnswire.Lower(owner)
		switch {
		case bytes.Equal(owner, name):
			if s.hits[i].chain = true; r.Type == dns.TypeCNAME && qtype != dns.TypeCNAME && target == nil {
				target = w.Expand(s.target[:0], int(r.Rdata))
				dnswire.Lower(target)
			}
		case typ == dns.TypeDNAME && isBelow(name, owner):
			if s.hits[i].chain = true; r.Type == dns.TypeDNAME && target == nil {
				prefix := name[:len(name)-len(owner)]
				target = w.Expand(append(s.target[:0], prefix...), int(r.Rdata))
				if len(target) > dnswire.MaxName {
					return nil
				}
				dnswire.Lower(target)
			}
		}
	}
	return target
}

// findReferral marks the NS RRset of a referral: no answer, and no SOA in authority.
func (s *searcher) findReferral(w *dnswire.Walker) {
	if w.Flags&dnswire.MaskRcode != dns.RcodeSuccess {
		return
	}
	for _, r := range w.Records {
		if r.Section == dnswire.Authority && r.Type == dns.TypeSOA {
			return
		}
	}
	for i, r := range w.Records {
		s.hits[i].chain = r.Section == dnswire.Authority && r.Type == dns.TypeNS
	}
}

// inChain returns what forbids a record of the answer chain: the first local name,
// else the first address.
func (s *searcher) inChain(w *dnswire.Walker) (f Finding) {
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
func (s *searcher) markRemoved(w *dnswire.Walker) {
	sets := 0
	for i := range s.hits {
		if s.hits[i].rule == NoRule || w.Records[i].Omitted {
			continue
		}
		if sets++; sets > maxRemoved {
			for j := range w.Records {
				if !s.hits[j].chain && j != w.OPT {
					w.Omit(j)
				}
			}
			return
		}
		for j := range w.Records {
			if j == i || j != w.OPT && w.SameRRset(i, j) {
				w.Omit(j)
			}
		}
	}
}
