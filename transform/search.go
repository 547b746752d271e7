package transform

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A subject is what a searcher judges: a response that was walked, or a query.
type subject struct {
	name, zone []byte          // lowercase wire form; an empty zone if the source does not state it
	response   *dnswire.Walker // nil: a query without a response
	qtype      uint16
	server     netip.Addr
	rd         bool // in query or response
	forwarded  bool // the peer is a forwarder
}

// nameInMessage returns where the query name is in the response; 0 and 0 if there is no
// response.
func (x *subject) nameInMessage() (from, to int) {
	if x.response == nil {
		return 0, 0
	}
	return dnswire.HeaderLen, x.response.QnameEnd
}

// A searcher searches one message for everything that is local: the policy's local names and
// networks, the resolver's addresses, and the transaction's client subnets. Its methods judge
// parts of the message: they set rule and entry if they find something local there.
// searchname.go, searchtext.go and searchoctets.go find names and addresses in these parts;
// localnames.go and local.go decide whether these are local. Package canary searches for the
// same forms in the same places with code of its own, because it checks this one. A searcher
// is reused from message to message.
type searcher struct {
	policy     *Policy
	configured *addrSet // the resolver's addresses that are configured
	known      *addrSet // the resolver's addresses that all lanes have shared
	fresh      *addrSet // the resolver's addresses that this lane has seen since
	none       addrSet
	stated     [2]netip.Addr // the resolver's addresses that the message and its query state
	subnets    []netip.Prefix
	last       octetSet // the last octets of the resolver's single addresses
	what       needs

	// What was found first. A local name replaces an address.
	rule  Rule
	entry Entry
	place place

	finding Finding // what forbids a record

	name    [dnswire.MaxName + 1]byte
	hosts   [maxLabels]byte
	folded  []byte
	joined  joined
	second  [dnswire.MaxName + 1]byte
	target  [2*dnswire.MaxName + 1]byte
	hits    []hit // by record
	inNames bool  // a name of the response other than the query name contains something forbidden

	// A reverse name was seen. A pointer may point to its end, which is the reverse name of a
	// wider network.
	sawReverse bool
}

// A hit is what was found in one record.
type hit struct {
	entry    Entry
	from, to uint16
	rule     Rule
	chain    bool // the record is part of the answer chain
}

// needs is what has to be searched for, by the policy and the message.
type needs struct {
	names      bool         // local names
	begins     *firstOctets // of the first labels of local names
	addrs      bool         // addresses in names
	addrsInAll bool         // addresses in everything else too
}

// A place is where a searcher searches, with the rule for an address of the resolver there.
type place struct {
	resolver Rule
	isName   bool // local networks count
}

var (
	inName    = place{ResolverInName, true}
	inAddress = place{ResolverInAddress, false}
	inRdata   = place{ResolverInRdata, false}
)

// begin prepares for a message. inMessage and inQuery are the resolver's addresses that the
// message and its query state; invalid if not stated, or if many hosts have the address.
func (s *searcher) begin(p *Policy, known, fresh *addrSet, inMessage, inQuery netip.Addr) {
	if s.policy != p || s.known != known || s.fresh != fresh { // writing pointers costs more
		s.policy, s.configured, s.known, s.fresh = p, &p.resolvers, known, fresh
	}
	s.stated = [2]netip.Addr{inMessage, inQuery}
	if p.keepResolver {
		s.configured, s.known, s.fresh, s.stated = &s.none, &s.none, &s.none, [2]netip.Addr{}
	}
	s.subnets = s.subnets[:0]
	s.sawReverse = false
	s.forget()
}

// release removes pointers to the policy and the lane.
func (s *searcher) release() {
	s.policy, s.configured, s.known, s.fresh = nil, nil, nil, nil
	s.forget()
	clear(s.hits)
}

// clientSubnets adds the client subnets in a response and in its query, if q is not nil.
func (s *searcher) clientSubnets(w *dnswire.Walker, q *pending) {
	if q != nil {
		s.addSubnet(q.subnet())
	}
	p, rest := nextSubnet(options(w))
	for ; p.IsValid() && len(s.subnets) < maxSubnets; p, rest = nextSubnet(rest) {
		if !slices.Contains(s.subnets, p) {
			s.subnets = append(s.subnets, p)
		}
	}
}

// addSubnet adds a client subnet in the form of the pairing table.
func (s *searcher) addSubnet(b []byte) {
	if len(b) == 0 {
		return
	}
	a, _ := netip.AddrFromSlice(b[1:])
	s.subnets = append(s.subnets, netip.PrefixFrom(a, int(b[0])))
}

// maxSubnet is the length of a client subnet in the form of the pairing table: the number of
// bits, and an address of 4 or 16 octets.
const maxSubnet = 1 + 16

// maxSubnets bounds the subnets of one transaction. The query has one, and a server should
// repeat only this one.
const maxSubnets = 8

const optionClientSubnet = 8 // RFC 7871 section 6

// appendSubnet appends the client subnet in the form that the pairing table keeps.
func appendSubnet(b []byte, w *dnswire.Walker) []byte {
	p, _ := nextSubnet(options(w))
	if !p.IsValid() {
		return b
	}
	b = append(b, byte(p.Bits()))
	if p.Addr().Is4() {
		a := p.Addr().As4()
		return append(b, a[:]...)
	}
	a := p.Addr().As16()
	return append(b, a[:]...)
}

// options are the options of the message's OPT record; nil if there is none.
func options(w *dnswire.Walker) []byte {
	if w.OPT < 0 {
		return nil
	}
	return w.Msg[w.Records[w.OPT].Rdata:w.Records[w.OPT].End]
}

// nextSubnet returns the first client subnet of EDNS options (RFC 7871 section 6) that
// is narrow enough to identify a network, and the options after it; the zero Prefix if
// there is none.
func nextSubnet(options []byte) (p netip.Prefix, rest []byte) {
	for len(options) >= 4 {
		code, n := binary.BigEndian.Uint16(options), 4+int(binary.BigEndian.Uint16(options[2:]))
		if n > len(options) {
			break
		}
		option := options[4:n]
		options = options[n:]
		if code == optionClientSubnet && len(option) >= 4 {
			if p := subnetOf(option); isSubnet(p) {
				return p, options
			}
		}
	}
	return netip.Prefix{}, nil
}

// subnetOf reads the option: family, source prefix length, scope prefix length and address.
// A truncated address makes a shorter prefix.
func subnetOf(option []byte) netip.Prefix {
	var octets [16]byte
	address := option[4:]
	bits := min(int(option[2]), 8*len(address))
	switch binary.BigEndian.Uint16(option) {
	case 1:
		copy(octets[:4], address)
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(octets[:])), min(bits, 32)).Masked()
	case 2:
		copy(octets[:], address)
		return netip.PrefixFrom(netip.AddrFrom16(octets), min(bits, 128)).Masked()
	}
	return netip.Prefix{}
}

// isSubnet reports whether a client subnet is narrow enough to identify a network. Most
// addresses in a wider subnet belong to others.
func isSubnet(p netip.Prefix) bool {
	return p.IsValid() && (p.Addr().Is4() && p.Bits() >= 16 || p.Addr().Is6() && p.Bits() >= 32)
}

// judge returns the first reason why names and addresses forbid a record, or Kept, and sets
// s.finding. Forbidden items outside the answer chain do not forbid the record: judge omits
// their RRsets in the walker. Otherwise any server could hide from sensors by adding such an
// RRset.
func (s *searcher) judge(x *subject) Reason {
	s.ready()
	from, to := x.nameInMessage()
	s.judgeWhole(x.name, from, to)
	if len(x.zone) > 0 && !s.done() && !dnswire.IsBelow(x.name, x.zone) {
		s.judgeWhole(x.zone, 0, 0) // it is not in the message
	}
	if x.response != nil && !s.done() {
		s.searchResponse(x)
	}
	if reason := s.rule.ForbidsAs(); reason != Kept {
		return reason
	}
	return s.judgeUse(x)
}

// ready computes what to search for, after all subnets were added.
func (s *searcher) ready() {
	s.what.names, s.what.begins = !s.policy.localNames.empty(), &s.policy.localNames.begins
	s.what.addrsInAll = len(s.subnets) > 0 || s.stated[0].IsValid() || s.stated[1].IsValid() ||
		len(s.configured.members)+len(s.known.members)+len(s.fresh.members)+len(s.policy.identity.all) > 0
	s.what.addrs = s.what.addrsInAll || len(s.policy.localNetworks.all) > 0
	for i := range s.last {
		s.last[i] = s.configured.last[i] | s.known.last[i] | s.fresh.last[i]
	}
	for _, a := range s.stated {
		if a.IsValid() {
			s.last.add(a.As16()[15])
		}
	}
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

// searchResponse judges the records of a response.
func (s *searcher) searchResponse(x *subject) {
	rule, entry := s.rule, s.entry // of the query name or zone, which forbid a record
	s.forget()
	if s.mayBeForbidden(x.response) {
		s.judgeRecords(x)
		if f := s.inChain(x.response); f.Rule != NoRule && (rule == NoRule || f.Rule.ForbidsAs() == LocalName) {
			rule, entry, s.finding = f.Rule, f.Entry, f
		}
		if rule == NoRule {
			s.markRemoved(x.response)
		}
	}
	s.rule, s.entry = rule, entry
}

// mayBeForbidden reports whether a record of the response may contain something forbidden.
// Each label run is checked once; a name that is only a pointer was checked as part of its
// target.
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
	if s.sawReverse && s.rule == NoRule {
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

// mayContinueAddress reports whether the labels that follow a label run, by a pointer, may be
// part of an address.
func mayContinueAddress(w *dnswire.Walker, r dnswire.Run) bool {
	label := w.Continuation(r)
	return label != nil && (label[0] > 63 || isGroup(label) || isReverseZone(label))
}

// checkExtended judges names that continue by a pointer: labels before the reverse name of a
// wide network may make it the reverse name of a local network inside.
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

// judgeRecords judges each record by itself, and marks the answer chain.
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

// maxChain is the number of aliases that are followed.
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

// chainAt marks the records of the chain at a name, and returns the target of an alias, or
// nil.
func (s *searcher) chainAt(w *dnswire.Walker, name []byte, qtype uint16) (target []byte) {
	for i := range w.Records {
		r := w.Records[i]
		typ := w.RRsetType(&r)
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
		case typ == dns.TypeDNAME && dnswire.IsBelow(name, owner):
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

// inChain returns what was found in the answer chain, which forbids a record: the first local
// name, else the first address.
func (s *searcher) inChain(w *dnswire.Walker) (f Finding) {
	for i := range s.hits {
		h := &s.hits[i]
		if !h.chain || h.rule == NoRule {
			continue
		}
		if f.Rule == NoRule || h.rule.ForbidsAs() == LocalName {
			f = Finding{Rule: h.rule, Entry: h.entry, From: int(h.from), To: int(h.to)}
		}
		if h.rule.ForbidsAs() == LocalName {
			return f
		}
	}
	return f
}

// maxRemoved bounds the work for a response with many forbidden RRsets.
const maxRemoved = 32

// markRemoved omits the RRsets that contain something forbidden, with their signatures; if
// there are too many, every RRset outside the answer chain.
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

func (s *searcher) forget() { s.rule, s.entry = NoRule, Entry{} }

// found sets rule and entry, unless they are set already. A local name replaces an address.
func (s *searcher) found(r Rule, e Entry) {
	if s.rule == NoRule || s.rule.ForbidsAs() != LocalName && r.ForbidsAs() == LocalName {
		s.rule, s.entry = r, e
	}
}

// done reports whether further search cannot change the rule.
func (s *searcher) done() bool { return s.rule.ForbidsAs() == LocalName }
