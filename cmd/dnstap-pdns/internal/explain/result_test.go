package explain_test

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// TestNothingForbiddenLeaves draws policies with several entries, and messages with several items
// in all forms and places. Nothing forbidden leaves. The RRsets that leave are as miekg/dns reads
// them in the input. Each RRset that does not leave contains something forbidden, and so do the
// deciding parts of each dropped response.
func TestNothingForbiddenLeaves(t *testing.T) {
	outcomes := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		g := newGen(rt)
		s := g.site()
		for range visits {
			m := s.anyResponse(g)
			outcomes[m.checkResponse(g)]++
			outcomes[m.checkQuery(g)]++
		}
	})
	for _, o := range []string{"dropped", "removed", "all removed", "whole", "query dropped", "query whole"} {
		if outcomes[o] == 0 {
			t.Errorf("never %s: %v", o, outcomes)
		}
	}
}

// site draws a policy.
func (g gen) site() site {
	s := site{keepInside: g.below(4) == 0, keepResolver: g.below(5) == 0, asked: g.bool()}
	var once [numKinds]bool // kinds of which a transaction has at most one item, and has it
	for range 1 + g.below(6) {
		k := kind(g.r.IntN(int(wideSubnet)))
		if k >= ownAddress && once[k] {
			k = localName
		}
		once[k] = true
		e := g.entry(k, g.bool())
		s.add(g, &e)
	}
	s.config.Unanswered = true
	if err := s.compile(); err != nil {
		g.Fatal(err)
	}
	return s
}

// anyResponse draws a response with items of the site, and with similar items that are not.
func (s *site) anyResponse(g gen) response {
	m := s.response(g)
	items := g.r.IntN(12) // some of these fit a place
	if m.outsideChain = g.r.IntN(50) == 0; m.outsideChain {
		items = 400 // enough of these fit to exceed mostRemoved
	}
	for range items {
		e := pick(g, s.entries...)
		name := e.name
		f := g.form(&e)
		x, _ := f.item(g, &e, g.r.IntN(3) == 0)
		p := pick(g, allPlaces...)
		if x.labels != nil && g.r.IntN(4) == 0 {
			m.records = append(m.records, record{answer, []string{g.word()}, dns.TypeNULL, []any{hidden(x.labels[g.r.IntN(len(x.labels)):])}})
		}
		if e.name == name && p.fits(&x) && (!m.outsideChain || p.kind != inName) { // the form did not change the name
			p.put(&m, x, g)
		}
	}
	if len(m.records) == 0 {
		m.answered()
	}
	return m
}

// form draws a form of an entry.
func (g gen) form(e *entry) form {
	for {
		f := pick(g, forms...)
		if slices.Contains(f.kinds, e.kind) && (!f.four || !e.is6()) && (!f.plain || !f.six || e.is6()) {
			return f
		}
	}
}

// checkResponse checks what the scrubber did with a response, and returns this outcome.
func (m *response) checkResponse(g gen) string {
	o, hits := m.scrub(), m.input()
	fail := func(format string, args ...any) {
		g.Logf("question %+q, zone %+q, records %#v\nscrubber: %v %v\nsearch: %+v", m.name, m.zone, m.records, o.reason, o.rule, hits)
		g.Fatalf(format, args...)
	}
	isDrop := o.reason == transform.LocalName || o.reason == transform.ResolverAddress
	switch {
	case o.record == nil && !isDrop:
		fail("dropped for another reason")
	case isDrop != (len(m.decidingParts().input()) > 0):
		fail("dropped: %v; the deciding parts contain the opposite", isDrop)
	case isDrop:
		return "dropped"
	}
	if out := m.output(o.record); len(out) > 0 {
		fail("in the output: %+v", out)
	}
	received, left := recordsOf(m.pack(false)), recordsOf(o.record.Response)
	gone, stays := map[string]bool{}, map[string]bool{} // RRsets
	for _, r := range received {
		if len(left) > 0 && left[0].equals(r) {
			left = left[1:]
			stays[r.set()] = true
		} else {
			gone[r.set()] = true
		}
	}
	if len(left) > 0 {
		fail("not in the input, or in another order: %v", left[0].rr)
	}
	forbidden := map[string]bool{}
	for i, r := range received {
		alone := *m
		alone.zone, alone.records = nil, []record{m.records[i]}
		alone.name = []string{"question"}
		if len(alone.input()) > 0 {
			forbidden[r.set()] = true
		}
	}
	for set := range forbidden {
		if stays[set] {
			fail("%s leaves", set)
		}
	}
	for set := range gone {
		if stays[set] || !forbidden[set] && len(forbidden) <= mostRemoved {
			fail("%s does not leave; of %d: %v", set, len(forbidden), gone)
		}
	}
	switch {
	case len(forbidden) > mostRemoved:
		return "all removed"
	case len(gone) > 0:
		return "removed"
	}
	return "whole"
}

// mostRemoved is how many RRsets the scrubber removes one by one. If there are more, it removes
// all RRsets outside the answer chain.
const mostRemoved = 32

// mostAliases is how many aliases the scrubber follows.
const mostAliases = 16

// decidingParts returns the parts of a response whose items drop the response: question, zone,
// and the answer chain, or the NS records of a referral.
func (m *response) decidingParts() *response {
	d := *m
	d.records = nil
	at := func(section int, typ uint16) bool {
		return slices.ContainsFunc(m.records, func(r record) bool { return r.section == section && (typ == 0 || r.typ == typ) })
	}
	if !at(answer, 0) {
		if !at(authority, dns.TypeSOA) {
			d.records = slices.DeleteFunc(slices.Clone(m.records), func(r record) bool { return r.section != authority || r.typ != dns.TypeNS })
		}
		return &d
	}
	name := m.name
	for range mostAliases {
		var target []string
		for _, r := range m.records {
			typ := r.typ
			if signed, ok := r.rdata[0].(string); ok && (typ == dns.TypeRRSIG || typ == dns.TypeSIG) {
				typ = binary.BigEndian.Uint16([]byte(signed)) // the type that it covers
			}
			above := len(name) - len(r.owner) // labels of name that are below the owner
			if r.section != answer || above < 0 || !strings.EqualFold(strings.Join(r.owner, "\x00"), strings.Join(name[above:], "\x00")) ||
				!(typ == dns.TypeDNAME || above == 0 && (typ == m.qtype || typ == dns.TypeCNAME || r.typ == m.qtype)) {
				continue
			}
			d.records = append(d.records, r)
			switch {
			case target != nil:
			case above == 0 && r.typ == dns.TypeCNAME && m.qtype != dns.TypeCNAME:
				target = r.names()[0]
			case above > 0 && r.typ == dns.TypeDNAME:
				target = slices.Concat(name[:above], r.names()[0])
			}
		}
		if target == nil || len(wireName(target)) > 255 {
			return &d
		}
		name = target
	}
	// After mostAliases, the whole answer section counts.
	d.records = slices.DeleteFunc(slices.Clone(m.records), func(r record) bool { return r.section != answer })
	return &d
}

// names returns the names in rdata.
func (r *record) names() (all [][]string) {
	for _, part := range r.rdata {
		if name, ok := part.([]string); ok {
			all = append(all, name)
		}
	}
	return all
}

// A readRecord is a record as miekg/dns reads it.
type readRecord struct {
	section int
	rr      dns.RR
}

// recordsOf reads a message. Rdata that does not match its type is read as rdata of an unknown
// type.
func recordsOf(wire []byte) (all []readRecord) {
	_, at, err := dns.UnpackDomainName(wire, 12)
	at += 4
	for section := range 3 {
		for range binary.BigEndian.Uint16(wire[6+2*section:]) {
			if err != nil {
				panic(err)
			}
			rr, end, failed := dns.UnpackRR(wire, at)
			if failed != nil {
				var h dns.RR_Header
				var fixed int
				h.Name, fixed, err = dns.UnpackDomainName(wire, at)
				h.Rrtype, h.Class = binary.BigEndian.Uint16(wire[fixed:]), binary.BigEndian.Uint16(wire[fixed+2:])
				h.Ttl, h.Rdlength = binary.BigEndian.Uint32(wire[fixed+4:]), binary.BigEndian.Uint16(wire[fixed+8:])
				end = fixed + fixedFields + int(h.Rdlength)
				rr = &dns.RFC3597{Hdr: h, Rdata: hex.EncodeToString(wire[end-int(h.Rdlength) : end])}
			}
			if rr, is := rr.(*dns.RFC3597); is && rr.Hdr.Rrtype == typeA6 && strings.HasPrefix(rr.Rdata, "78") {
				rr.Rdata, _, err = dns.UnpackDomainName(wire, end-int(rr.Hdr.Rdlength)+2) // the name may be compressed
			}
			all = append(all, readRecord{section, rr})
			at = end
		}
	}
	return all
}

// set returns the RRset of a record: section, owner and type, or the type that it signs.
func (r *readRecord) set() string {
	h := r.rr.Header()
	typ := h.Rrtype
	switch rr := r.rr.(type) {
	case *dns.RRSIG:
		typ = rr.TypeCovered
	case *dns.SIG:
		typ = rr.TypeCovered
	case *dns.RFC3597:
		if typ == dns.TypeRRSIG {
			b, _ := hex.DecodeString(rr.Rdata[:4])
			typ = binary.BigEndian.Uint16(b)
		}
	}
	return strings.ToLower(h.Name) + " " + dns.Type(typ).String() + " in " + []string{"answer", "authority", "additional"}[r.section]
}

// lowered are the types in whose rdata the scrubber changes names to lower case.
var lowered = map[uint16]bool{
	dns.TypeNS: true, dns.TypeMD: true, dns.TypeMF: true, dns.TypeCNAME: true, dns.TypeSOA: true, dns.TypeMB: true,
	dns.TypeMG: true, dns.TypeMR: true, dns.TypePTR: true, dns.TypeMINFO: true, dns.TypeMX: true, dns.TypeRP: true,
	dns.TypeAFSDB: true, dns.TypeRT: true, dns.TypeSIG: true, dns.TypePX: true, dns.TypeNXT: true, dns.TypeNAPTR: true,
	dns.TypeKX: true, dns.TypeSRV: true, dns.TypeDNAME: true, typeA6: true, dns.TypeRRSIG: true,
}

// equals reports whether a record of the output equals a received record, except for case that
// the scrubber lowers.
func (r *readRecord) equals(received readRecord) bool {
	left, in := *r.rr.Header(), *received.rr.Header()
	data := func(rr dns.RR) string {
		rr = dns.Copy(rr)
		*rr.Header() = dns.RR_Header{}
		return rr.String()
	}
	is, was := data(r.rr), data(received.rr)
	in.Name, left.Rdlength, in.Rdlength = strings.ToLower(in.Name), 0, 0
	if lowered[in.Rrtype] {
		return left == in && r.section == received.section && strings.EqualFold(is, was)
	}
	return left == in && r.section == received.section && is == was
}

// An unanswered is the outcome of a query without a response.
type unanswered struct{ outcome }

func (e *unanswered) Verdict(v *transform.Verdict) {
	if v.Message == nil {
		e.outcome.Verdict(v)
	}
}

// checkQuery checks what the scrubber does with the query if it has no response.
func (m *response) checkQuery(g gen) string {
	var e unanswered
	lane := transform.NewPairer(transform.NewBudget(10))
	lane.Trace(&e)
	query := transform.Message{Role: transform.ResolverQuery, Server: server, Resolver: netip.AddrPortFrom(m.queryOwn, 4000),
		QueryTime: began, ResponseTime: transform.NoTime, Zone: m.wireZone(), Wire: m.query()}
	lane.Take(&query, m.policy, func(*transform.Record) {})
	query.QueryTime += 30e9
	lane.Take(&query, m.policy, func(*transform.Record) {})
	r := canary.Record{Name: wireName(m.name), Zone: m.wireZone(), Resolvers: []netip.Addr{m.queryOwn}, Subnets: canary.ClientSubnets(m.query())}
	hits := m.forbidden.Record(&r)
	left := e.record != nil
	if left {
		r.Name, r.Zone, r.Messages = e.record.Name, e.record.Zone, [][]byte{e.record.Query}
	}
	if left != (len(hits) == 0) || left && len(m.forbidden.Record(&r)) > 0 {
		g.Logf("query %+q, zone %+q, subnet %v\nscrubber: %v %v\nsearch: %+v", m.name, m.zone, m.querySubnet, e.reason, e.rule, hits)
		g.Fatalf("scrubber and search differ")
	}
	if left {
		return "query whole"
	}
	return "query dropped"
}
