package transform

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// A notebook is a Trace that keeps verdicts.
type notebook struct {
	verdicts []Verdict
	wires    [][]byte // copies of their messages
}

func (n *notebook) Verdict(v *Verdict) {
	c := *v
	c.Name = bytes.Clone(v.Name)
	c.Edits = nil
	for _, e := range v.Edits {
		e.Replacement = bytes.Clone(e.Replacement)
		c.Edits = append(c.Edits, e)
	}
	if v.Record != nil {
		r := cloneRecord(v.Record)
		c.Record = &r
	}
	n.verdicts = append(n.verdicts, c)
	var wire []byte
	if v.Message != nil {
		wire = bytes.Clone(v.Message.Wire)
	}
	n.wires = append(n.wires, wire)
}

// applied makes the edits in a message, from the last octet to the first.
func applied(wire []byte, edits []Edit) []byte {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int { return b.From - a.From })
	for _, e := range edits {
		if e.To > e.From {
			wire = slices.Replace(bytes.Clone(wire), e.From, e.To, e.Replacement...)
		}
	}
	return wire
}

// checkEdits fails unless the edits of a message give the response of the record.
func checkEdits(t *testing.T, wire []byte, v *Verdict) {
	t.Helper()
	edits := v.Edits
	if i := slices.IndexFunc(edits, func(e Edit) bool { return e.Rule == Rebuilt }); i >= 0 {
		edits = edits[i : i+1]
	}
	if got := applied(wire, edits); !bytes.Equal(got, v.Record.Response) {
		t.Errorf("edits %+v\nof      % x\nmake    % x\nleaves  % x", edits, wire, got, v.Record.Response)
	}
}

// TestRulesAreTheLedgersRows compares names and order with the documented ones.
func TestRulesAreTheLedgersRows(t *testing.T) {
	want := strings.Fields(`resolver_zeroed id_zeroed opt_removed query_reduced case_lowered header_bits_cleared trailing_cut
		time_truncated zone_omitted rrset_removed rebuilt local_name_in_name local_name_inside local_name_in_rdata local_network resolver_in_address resolver_in_name
		resolver_in_rdata client_subnet list_lookup special_use no_tld`)
	var got []string
	for _, r := range Rules() {
		got = append(got, r.String())
		if r.Meaning() == "" {
			t.Errorf("%v has no meaning", r)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if numRules.String() != "unknown" || numRules.Meaning() != "" || numRules.ForbidsAs() != Kept {
		t.Error("a rule that is none has a name")
	}
}

// TestVerdictsOfRealResolvers checks that there is one verdict for each message, and one more
// for each query that ends without a response; that their sums are the counts; and that the
// edits give the response of the record.
func TestVerdictsOfRealResolvers(t *testing.T) {
	for _, resolver := range []string{"unbound", "bind", "pdns"} {
		t.Run(resolver, func(t *testing.T) {
			policy := scrubPolicy(t, func(c *Config) { c.Unanswered = true; c.PairingTimeout = 100 * time.Millisecond })
			p := NewPairer(NewBudget(16)) // so that some queries are evicted
			var book notebook
			p.Trace(&book)
			taken := 0
			for _, m := range loadCapture(t, resolver) {
				p.Take(m, policy, func(*Record) {})
				taken++
			}
			p.Drop(Oversize)
			p.Finish(policy, func(*Record) {})
			c := p.Counts()
			var traced Counts
			for i, v := range book.verdicts {
				switch {
				case v.Record != nil:
					traced.Records++
				case v.Reason != Kept:
					traced.Dropped[v.Reason]++
				}
				if v.Record != nil && v.Response {
					checkEdits(t, book.wires[i], &v)
				}
				rules := ruleSet(0)
				for _, e := range v.Edits {
					rules.add(e.Rule, true)
				}
				rules.add(v.Finding.Rule, v.Finding.Rule != NoRule)
				traced.scrubbed(rules)
			}
			if traced.Records != c.Records || traced.Dropped != c.Dropped || traced.Scrubbed != c.Scrubbed {
				t.Errorf("traced %+v\ncounted %+v", traced, c)
			}
			if c.Records < 20 || c.Scrubbed[OPTRemoved] == 0 || c.Scrubbed[QueryReduced] == 0 || c.Scrubbed[ResolverZeroed] == 0 {
				t.Errorf("not what a resolver sends: %+v", c)
			}
			p.Trace(nil)
			before := len(book.verdicts)
			p.Drop(Oversize)
			if len(book.verdicts) != before {
				t.Error("a verdict after the end of the trace")
			}
		})
	}
}

// TestFindings checks which rule forbade a record, and the place of the finding.
func TestFindings(t *testing.T) {
	local := wiretest.Name("www.univ.example")
	for _, row := range []struct {
		name string
		wire []byte
		rule Rule
		want string // octets at that place
	}{
		{"query name", wiretest.New("www.Univ.example", dns.TypeA).Wire, LocalNameInName, "\x03www\x04Univ\x07example\x00"},
		{"name in an answer", answering(dns.TypeNS, local), LocalNameInName, string(local)},
		{"name inside a foreign name", wiretest.New("univ.example.fritz.box", dns.TypeA).Wire, LocalNameInside, "\x04univ\x07example\x05fritz\x03box\x00"},
		{"list", wiretest.New("4.3.2.1.list.example.net", dns.TypeA).Wire, ListLookup, "\x014\x013\x012\x011\x04list\x07example\x03net\x00"},
		{"text", answering(dns.TypeTXT, charStrings("see www.univ.example")), LocalNameInRdata, "\x14see www.univ.example"},
		{"labels in unknown data", answering(65280, local), LocalNameInRdata, string(local)},
		{"reverse name of a local network", wiretest.New("7.100.51.198.in-addr.arpa", dns.TypePTR).Wire, LocalNetwork,
			"\x017\x03100\x0251\x03198\x07in-addr\x04arpa\x00"},
		{"own address", answering(dns.TypeA, []byte{192, 0, 2, 53}), ResolverInAddress, "\xc0\x00\x02\x35"},
		{"own address, IPv6", answering(dns.TypeAAAA, ownAddr6.AsSlice()), ResolverInAddress, string(ownAddr6.AsSlice())},
		{"own reverse name", wiretest.New("53.2.0.192.in-addr.arpa", dns.TypePTR).Wire, ResolverInName, "\x0253\x012\x010\x03192\x07in-addr\x04arpa\x00"},
		{"own address in text", answering(dns.TypeTXT, charStrings("192.0.2.53")), ResolverInRdata, "\x0a192.0.2.53"},
		{"own address first, a local name after it", wiretest.New("q.example.net", dns.TypeA).
			With(dnswire.Answer, "q.example.net", dns.TypeA, []byte{192, 0, 2, 53}).
			With(dnswire.Answer, "q.example.net", dns.TypeCNAME, wiretest.Name("univ.example")).Wire, LocalNameInName, "\x04univ\x07example\x00"},
		{"own address twice", wiretest.New("q.example.net", dns.TypeA).
			With(dnswire.Answer, "q.example.net", dns.TypeCNAME, wiretest.Name("ip-192-0-2-53.example.net")).
			With(dnswire.Answer, "q.example.net", dns.TypeA, []byte{192, 0, 2, 53}).Wire, ResolverInName, "\x0dip-192-0-2-53\x07example\x03net\x00"},
		{"special-use name", wiretest.New("printer.local", dns.TypeA).Wire, SpecialUse, "\x07printer\x05local\x00"},
		{"no such TLD", nxdomain("fileserver"), NoTLD, "\x0afileserver\x00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := NewPairer(NewBudget(8))
			var book notebook
			p.Trace(&book)
			reason := p.Take(asResponse(row.wire), scrubPolicy(t), func(*Record) { t.Error("a record") })
			v := book.verdicts[0]
			f := v.Finding
			if v.Reason != reason || f.Rule != row.rule || f.Rule.ForbidsAs() != reason || string(row.wire[f.From:f.To]) != row.want {
				t.Errorf("%v by %v at %q, want %v at %q", v.Reason, f.Rule, row.wire[f.From:f.To], row.rule, row.want)
			}
			if c := p.Counts(); c.Scrubbed[row.rule] != 1 {
				t.Errorf("counted %v", c.Scrubbed)
			}
		})
	}
}

func nxdomain(name string) []byte {
	b := wiretest.New(name, dns.TypeA).Wire
	b[3] |= dns.RcodeNameError
	return b
}

func TestFindingInTheZone(t *testing.T) {
	p := NewPairer(NewBudget(8))
	var book notebook
	p.Trace(&book)
	m := asResponse(wiretest.New("www.example.net", dns.TypeA).Wire)
	m.Zone = wiretest.Name("univ.example")
	if r := p.Take(m, scrubPolicy(t), func(*Record) {}); r != LocalName {
		t.Fatal(r)
	}
	if got := book.verdicts[0].Finding; got != (Finding{Rule: LocalNameInName, Entry: Entry{Name: "univ.example"}}) {
		t.Errorf("%+v", got)
	}
}

// TestEditsByRule has the edits of each rule.
func TestEditsByRule(t *testing.T) {
	exchange := func(edits ...func(q, r *sketch)) (q, r *sketch) {
		q, r = aQuery(withID(0)), aResponse(withID(0))
		for _, d := range []*sketch{q, r} {
			d.QueryTime, d.ResponseTime = second, NoTime
			d.Resolver = netip.AddrPort{}
		}
		r.ResponseTime = second
		for _, edit := range edits {
			edit(q, r)
		}
		return q, r
	}
	for rule, edit := range map[Rule]func(q, r *sketch){
		NoRule:            func(q, r *sketch) {},
		ResolverZeroed:    func(q, r *sketch) { r.Resolver = someResolver },
		IDZeroed:          func(q, r *sketch) { q.dns.Id, r.dns.Id = 7, 7 },
		OPTRemoved:        func(q, r *sketch) { r.dns.SetEdns0(1232, true) },
		QueryReduced:      func(q, r *sketch) { q.dns.SetEdns0(1232, true) },
		CaseLowered:       func(q, r *sketch) { q.with(asked("wWw.shop.example.")); r.with(asked("wWw.shop.example.")) },
		HeaderBitsCleared: func(q, r *sketch) { r.dns.AuthenticatedData = true },
		TrailingCut:       func(q, r *sketch) { r.wire = func(b []byte) []byte { return append(b, 1, 2, 3) } },
		TimeTruncated:     func(q, r *sketch) { r.QueryTime = second + 1 },
		ZoneOmitted:       func(q, r *sketch) { r.Zone = []byte("shop.example.") },
	} {
		t.Run(rule.String(), func(t *testing.T) {
			q, r := exchange(edit)
			l := newLane(t, testPolicy(t, func(*Config) {}))
			var book notebook
			l.Trace(&book)
			l.take(q)
			l.take(r)
			if len(book.verdicts) != 2 || book.verdicts[1].Record == nil {
				t.Fatalf("%+v", book.verdicts)
			}
			checkEdits(t, book.wires[1], &book.verdicts[1])
			got, want := ruleSet(0), ruleSet(0)
			for _, e := range book.verdicts[1].Edits {
				got.add(e.Rule, true)
			}
			want.add(rule, rule != NoRule)
			if got != want {
				t.Errorf("rules %b, want %b: %+v", got, want, book.verdicts[1].Edits)
			}
		})
	}
}

// TestCaseOfTheQueryAloneIsReported: the case in a response may differ from that of its query.
func TestCaseOfTheQueryAloneIsReported(t *testing.T) {
	l := newLane(t, testPolicy(t, func(*Config) {}))
	var book notebook
	l.Trace(&book)
	l.take(aQuery(asked("wWw.shop.example.")))
	l.take(aResponse(asked("www.shop.example.")))
	v := book.verdicts[1]
	if v.Record == nil || !slices.ContainsFunc(v.Edits, func(e Edit) bool { return e.Rule == CaseLowered && e.From == e.To }) {
		t.Fatalf("%+v", v)
	}
	checkEdits(t, book.wires[1], &v)
	if n := l.Counts().Scrubbed[CaseLowered]; n != 1 {
		t.Errorf("counted %d times", n)
	}
}

func TestRecordOfAnUnansweredQueryHasEdits(t *testing.T) {
	l := newLane(t, testPolicy(t, func(c *Config) { c.Unanswered = true }))
	var book notebook
	l.Trace(&book)
	l.take(aQuery(asked("WWW.shop.example."), func(d *sketch) { d.dns.SetEdns0(1232, true); d.dns.CheckingDisabled = true }))
	l.pass(2 * time.Minute)
	i := slices.IndexFunc(book.verdicts, func(v Verdict) bool { return v.Record != nil && !v.Response })
	if i < 0 {
		t.Fatal("no record")
	}
	v := book.verdicts[i]
	var rules []string
	for _, e := range v.Edits {
		rules = append(rules, e.Rule.String())
	}
	got := fmt.Sprintf("%q %v %s", v.Name, v.Message == nil, strings.Join(rules, " "))
	want := `"\x03www\x04shop\aexample\x00" true resolver_zeroed id_zeroed query_reduced case_lowered header_bits_cleared time_truncated`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
