package explain

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

var (
	server   = netip.MustParseAddrPort("198.51.100.7:53")
	resolver = netip.MustParseAddrPort("192.0.2.53:40000")
	began    = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC).UnixNano()
)

// site returns a policy with entries of every kind.
func site() transform.Config {
	return transform.Config{
		PairingTimeout: time.Minute,
		Rcodes:         []uint8{dns.RcodeSuccess, dns.RcodeNameError},
		LocalNames:     []string{"corp.example"},
		LocalNetworks:  []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		LookupZones:    []string{"list.test-tld"},
		SpecialNames:   true,
		TimeResolution: time.Second,
	}
}

// response returns a response to a question, with records in zone file form.
func response(tb testing.TB, name string, qtype uint16, answer ...string) *dns.Msg {
	tb.Helper()
	m := new(dns.Msg)
	m.Id, m.Response, m.Authoritative = 0x1234, true, true
	m.Question = []dns.Question{{Name: name, Qtype: qtype, Qclass: dns.ClassINET}}
	for _, text := range answer {
		rr, err := dns.NewRR(text)
		if err != nil {
			tb.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func pack(tb testing.TB, m *dns.Msg) []byte {
	tb.Helper()
	wire, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return wire
}

func answered(wire []byte) *transform.Message {
	return &transform.Message{Role: transform.ResolverResponse, Server: server, Resolver: resolver,
		QueryTime: transform.Time(began), ResponseTime: transform.Time(began + 9000), Wire: wire}
}

func asked(wire []byte) *transform.Message {
	return &transform.Message{Role: transform.ResolverQuery, Server: server, Resolver: resolver,
		QueryTime: transform.Time(began), ResponseTime: transform.NoTime, Wire: wire}
}

// contained returns a container with one record.
func contained(tb testing.TB, r *transform.Record) []byte {
	tb.Helper()
	_, payload, err := nmsg.AppendPayload(nil, nmsg.DNSQR, nmsg.IDs{}, r)
	if err != nil {
		tb.Fatal(err)
	}
	var out nmsg.Container
	return out.Seal(out.Add(out.Begin(nil), payload), 1)
}

// explained returns the report on messages that a lane takes and whose records are sent.
func explained(tb testing.TB, c transform.Config, canaries []string, messages ...*transform.Message) Report {
	tb.Helper()
	var all []canary.Canary
	for _, text := range canaries {
		parsed, err := canary.Parse(text)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, parsed)
	}
	policy, err := transform.NewPolicy(c)
	if err != nil {
		tb.Fatal(err)
	}
	e := New(c, Options{Canaries: all})
	p := transform.NewPairer(transform.NewBudget(100))
	p.Trace(e.Trace("test"))
	var left [][]byte // sent after the lane took all messages, as by a sink
	emit := func(r *transform.Record) { left = append(left, contained(tb, r)) }
	for _, m := range messages {
		p.Take(m, policy, emit)
	}
	p.Finish(policy, emit)
	for _, c := range left {
		e.Sent(nmsg.DNSQR.String(), c, false)
	}
	counts := p.Counts()
	return e.Report(&counts, Origin{Version: "test", Command: []string{"explain"}, Configuration: "none"})
}

// withOPT adds an OPT record with many options.
func withOPT(m *dns.Msg) *dns.Msg {
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(1232)
	opt.SetDo()
	opt.Option = []dns.EDNS0{
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: netip.MustParseAddr("198.18.5.0").AsSlice()},
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac0000000000"},
		&dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "6e7331"},
		&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeOther, ExtraText: "\x1b[2Joops"},
		&dns.EDNS0_PADDING{Padding: make([]byte, 7)},
		&dns.EDNS0_LOCAL{Code: 65001, Data: []byte("hush")},
	}
	m.Extra = append(m.Extra, opt)
	return m
}

// examplesOfRules returns, for each rule, messages to which it applies.
func examplesOfRules(t *testing.T) map[transform.Rule][]*transform.Message {
	plain := func(m *dns.Msg) []*transform.Message { return []*transform.Message{answered(pack(t, m))} }
	www := response(t, "www.shop.test-tld.", dns.TypeA, "www.shop.test-tld. 60 A 198.51.100.80")
	cleared := www.Copy()
	cleared.RecursionDesired, cleared.AuthenticatedData, cleared.CheckingDisabled = false, true, true
	query := new(dns.Msg)
	query.Id, query.Question = www.Id, www.Question
	middle := withOPT(www.Copy())
	rr, err := dns.NewRR("ns.shop.test-tld. 60 A 198.51.100.53")
	if err != nil {
		t.Fatal(err)
	}
	middle.Extra = append(middle.Extra, rr)
	stray := www.Copy()
	rr, err = dns.NewRR(`other.test-tld. 60 TXT "see https://web.corp.example/"`)
	if err != nil {
		t.Fatal(err)
	}
	stray.Extra = append(stray.Extra, rr)
	nowhere := response(t, "printer3.", dns.TypeA)
	nowhere.Rcode = dns.RcodeNameError
	badZone := answered(pack(t, www))
	badZone.Zone = []byte("test-tld.")
	return map[transform.Rule][]*transform.Message{
		transform.ResolverZeroed:    plain(www),
		transform.IDZeroed:          plain(www),
		transform.OPTRemoved:        plain(withOPT(www.Copy())),
		transform.QueryReduced:      {asked(pack(t, withOPT(query))), answered(pack(t, www))},
		transform.CaseLowered:       plain(response(t, "wWw.Shop.test-tld.", dns.TypeA, "wWw.Shop.test-tld. 60 CNAME Other.test-tld.")),
		transform.HeaderBitsCleared: plain(cleared),
		transform.TrailingCut:       {answered(append(pack(t, www), "after\x07"...))},
		transform.TimeTruncated:     plain(www),
		transform.ZoneOmitted:       {badZone},
		transform.RRsetRemoved:      plain(stray),
		transform.Rebuilt:           plain(middle),

		transform.LocalNameInName:   plain(response(t, "www.shop.test-tld.", dns.TypeCNAME, "www.shop.test-tld. 60 CNAME web.corp.example.")),
		transform.LocalNameInside:   plain(response(t, "web.corp.example.shop.test-tld.", dns.TypeA)),
		transform.LocalNameInRdata:  plain(response(t, "shop.test-tld.", dns.TypeTXT, `shop.test-tld. 60 TXT "see https://web.corp.example/"`)),
		transform.LocalNetwork:      plain(response(t, "7.113.0.203.in-addr.arpa.", dns.TypePTR)),
		transform.ResolverInAddress: plain(response(t, "whoami.test-tld.", dns.TypeA, "whoami.test-tld. 60 A 192.0.2.53")),
		transform.ResolverInName:    plain(response(t, "53.2.0.192.in-addr.arpa.", dns.TypePTR)),
		transform.ResolverInRdata:   plain(response(t, "whoami.test-tld.", dns.TypeTXT, `whoami.test-tld. 60 TXT "you are 192.0.2.53"`)),
		transform.ClientSubnet:      plain(withOPT(response(t, "shop.test-tld.", dns.TypeTXT, `shop.test-tld. 60 TXT "for 198.18.5.0"`))),
		transform.ListLookup:        plain(response(t, "spam.list.test-tld.", dns.TypeA)),
		transform.SpecialUse:        plain(response(t, "Printer.local.", dns.TypeA)),
		transform.NoTLD:             plain(nowhere),
	}
}

// TestEachRuleIsShownBeforeAndAfter compares the report on each rule's examples with rules.txt.
func TestEachRuleIsShownBeforeAndAfter(t *testing.T) {
	all := examplesOfRules(t)
	var shown strings.Builder
	for _, rule := range transform.Rules() {
		messages := all[rule]
		if messages == nil {
			t.Errorf("%v has no example", rule)
			continue
		}
		r := explained(t, site(), nil, messages...)
		for _, got := range r.Rules {
			if got.Rule != rule.String() {
				continue
			}
			if got.Records != 1 || len(got.Examples) != 1 || len(got.Examples[0].Changes) == 0 {
				t.Errorf("%v: got %+v, want one record and its example", rule, got)
			}
			r.Rules = []Rule{got}
		}
		w := text{octets: true}
		w.matchedRules(&r, rule.ForbidsAs() != transform.Kept)
		shown.WriteString(w.b.String())
	}
	golden.Assert(t, shown.String(), "rules.txt")
}

// TestLoweredQueriesAndZonesAreShown lowers the case of a name outside the response.
func TestLoweredQueriesAndZonesAreShown(t *testing.T) {
	www := response(t, "www.shop.test-tld.", dns.TypeA)
	query := new(dns.Msg).SetQuestion("wWw.Shop.test-tld.", dns.TypeA)
	query.Id = www.Id
	query.RecursionDesired = false
	zoned := answered(pack(t, www))
	zoned.Zone = []byte("\x04Shop\x08test-tld\x00")
	for want, messages := range map[Change][]*transform.Message{
		{What: "name in the query", Before: "as in the query", After: "www.shop.test-tld."}: {asked(pack(t, query)), answered(pack(t, www))},
		{What: "zone", Before: "Shop.test-tld.", After: "shop.test-tld."}:                   {zoned},
	} {
		r := explained(t, site(), nil, messages...)
		for _, rule := range r.Rules {
			if rule.Rule != transform.CaseLowered.String() {
				continue
			}
			if len(rule.Examples) != 1 || !cmp.Equal(rule.Examples[0].Changes, []Change{want}) {
				t.Errorf("got %+v, want %+v", rule.Examples, want)
			}
		}
	}
}

// TestACanaryIsCountedInEachRecord: counts continue after the last example, and canaries do not
// affect each other.
func TestACanaryIsCountedInEachRecord(t *testing.T) {
	var messages []*transform.Message
	for range 20 {
		messages = append(messages, answered(pack(t, response(t, "secret.test-tld.", dns.TypeA, "secret.test-tld. 60 A 198.51.100.80"))),
			answered(pack(t, response(t, "other.test-tld.", dns.TypeA))))
	}
	r := explained(t, site(), []string{"secret.test-tld", "nothing.test-tld"}, messages...)
	for i, want := range []string{
		`canary "secret.test-tld" appears in 20 of 40 output records`,
		`canary "nothing.test-tld" appears in 0 of 40 output records`,
		`resolver address appears in 0 of 40 output records`,
	} {
		if r.Verdicts[i].Verdict != want {
			t.Errorf("got %q, want %q", r.Verdicts[i].Verdict, want)
		}
	}
	if !r.Found || len(r.Verdicts[0].Findings) != maxFindings || r.Verdicts[0].Findings[1].Record != 3 {
		t.Errorf("found %v: %+v", r.Found, r.Verdicts[0].Findings)
	}
	for _, rule := range r.Rules {
		if len(rule.Examples) > maxSamples {
			t.Errorf("%s has %d examples", rule.Rule, len(rule.Examples))
		}
	}
}

// TestFindingsDoNotDependOnTheOrderOfSinks: as many findings of each message type are kept.
func TestFindingsDoNotDependOnTheOrderOfSinks(t *testing.T) {
	c, err := canary.Parse("secret.test-tld")
	if err != nil {
		t.Fatal(err)
	}
	record := &transform.Record{Server: server, Resolver: resolver, HasResponse: true, Name: []byte("\x06secret\x08test-tld\x00"),
		Type: dns.TypeA, Class: dns.ClassINET, Response: pack(t, response(t, "secret.test-tld.", dns.TypeA))}
	var containers [][]byte
	for _, m := range []nmsg.MessageType{nmsg.DNSQR, nmsg.DNSObs} {
		_, payload, err := nmsg.AppendPayload(nil, m, nmsg.IDs{}, record)
		if err != nil {
			t.Fatal(err)
		}
		var out nmsg.Container
		containers = append(containers, out.Seal(out.Add(out.Begin(nil), payload), 1))
	}
	findings := func(order ...int) []Finding {
		e := New(site(), Options{Canaries: []canary.Canary{c}})
		for _, i := range order {
			for range maxFindings + 1 {
				e.Sent([]string{"dnsqr", "dnsobs"}[i], containers[i], false)
			}
		}
		return e.Report(&transform.Counts{}, Origin{}).Verdicts[0].Findings
	}
	got, want := findings(1, 0), findings(0, 1)
	if len(got) != 2*maxFindings {
		t.Errorf("%d findings", len(got))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-dnsqr first +dnsobs first):\n%s", diff)
	}
}

// TestRecordsBeforeAnAddressWasKnownAreReported: these were not searched for it.
func TestRecordsBeforeAnAddressWasKnownAreReported(t *testing.T) {
	e := New(site(), Options{})
	e.Sent("dnsqr", contained(t, &transform.Record{Server: server, HasResponse: true, Name: []byte("\x01a\x00"),
		Resolver: resolver, Response: pack(t, response(t, "a.", dns.TypeA))}), false)
	e.search.learn(netip.MustParseAddr("192.0.2.77"), true)
	r := e.Report(&transform.Counts{}, Origin{})
	var b strings.Builder
	if err := r.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	const want = "appears in 0 of 0 output records\n  192.0.2.77: known from messages\n" +
		"  1 records had left when it became known, and were not searched for it\n"
	if !strings.Contains(b.String(), want) || strings.Count(b.String(), "became known") != 1 {
		t.Errorf("no %q in\n%.1000s", want, b.String())
	}
}

// TestAKeptAddressIsAFaultOnlyAsACanary keeps the resolver's address by configuration.
func TestAKeptAddressIsAFaultOnlyAsACanary(t *testing.T) {
	keep := site()
	keep.KeepResolver = true
	wire := pack(t, response(t, "www.test-tld.", dns.TypeA))
	for _, c := range []struct {
		canaries []string
		found    bool
	}{{nil, false}, {[]string{"192.0.2.53"}, true}} {
		r := explained(t, keep, c.canaries, answered(wire))
		if v := r.Verdicts[0]; v.Found != 1 || r.Found != c.found {
			t.Errorf("%v: got %+v, %v", c.canaries, v, r.Found)
		}
	}
}

// TestACanaryOutsideTheRecordsIsFound has the canary in another field of the container.
func TestACanaryOutsideTheRecordsIsFound(t *testing.T) {
	c, err := canary.Parse("\x11\x22\x33\x44\x55")
	if err != nil {
		t.Fatal(err)
	}
	e := New(site(), Options{Canaries: []canary.Canary{c}})
	var out nmsg.Container
	container := out.Seal(out.Begin(nil), 0)
	container = append(container, 0x32, 5, 0x11, 0x22, 0x33, 0x44, 0x55) // field 6
	binary.BigEndian.PutUint32(container[6:], uint32(len(container)-nmsgHeader))
	e.Sent("dnsqr", container, false)
	r := e.Report(&transform.Counts{}, Origin{})
	if v := r.Verdicts[0]; v.Found != 0 || v.Outside != 1 || !r.Found {
		t.Errorf("got %+v, %v", v, r.Found)
	}
}

// TestUnsearchedContainersAreAProblem: octets that were not searched prove nothing.
func TestUnsearchedContainersAreAProblem(t *testing.T) {
	for _, container := range []string{"", "NMSG", "NMSG\x01\x02\x00\x00\x00\x00", "NMSG\x00\x02\x00\x00\x00\x02\x0a\x09"} {
		e := New(site(), Options{})
		e.Sent("dnsqr", []byte(container), false)
		if r := e.Report(&transform.Counts{}, Origin{}); len(r.Problems) == 0 {
			t.Errorf("%q: no problem", container)
		}
	}
}

func TestEntriesThatMatchNothingAreListed(t *testing.T) {
	c := site()
	c.LocalNames = []string{"corp.example", "text.example", "zone.example", "rdata.example", "Wrong.example", "bücher.example"}
	c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:7::/48"),
		netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("10.0.0.0/8")}
	c.Resolvers = []netip.Prefix{netip.PrefixFrom(resolver.Addr(), 32), netip.MustParsePrefix("192.0.2.99/32"), netip.MustParsePrefix("192.0.2.54/32")}
	local := func(m *transform.Message) *transform.Message {
		m.Server = netip.MustParseAddrPort("198.51.100.7:53")
		return m
	}
	public := func(m *transform.Message) *transform.Message {
		m.Server = netip.MustParseAddrPort("192.88.99.1:53")
		return m
	}
	zoned := public(answered(pack(t, response(t, "www.test-tld.", dns.TypeA))))
	zoned.Zone = []byte("\x04zone\x07example\x00")
	r := explained(t, c, nil,
		public(answered(pack(t, response(t, "a.CORP.example.", dns.TypeA)))),
		public(answered(pack(t, response(t, "x.test-tld.", dns.TypeTXT, `x.test-tld. TXT "at www.text.example."`)))),
		public(answered(pack(t, response(t, "y.test-tld.", dns.TypeCNAME, "y.test-tld. CNAME www.rdata.example.")))),
		public(answered(pack(t, response(t, "4.113.0.203.in-addr.arpa.", dns.TypePTR)))),
		public(answered(pack(t, response(t, "1.0.7.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", dns.TypePTR)))),
		public(answered(pack(t, response(t, "whoami.test-tld.", dns.TypeTXT, `whoami.test-tld. TXT "192.0.2.54"`)))),
		zoned,
		local(answered(pack(t, response(t, "www.test-tld.", dns.TypeA)))),
	)
	want := []Entry{
		{"scrub.local_names", "Wrong.example"},
		{"scrub.local_names", `"b\u00fccher.example"`},
		{"scrub.local_networks", "10.0.0.0/8"},
		{"scrub.resolvers", "192.0.2.99"},
	}
	if diff := cmp.Diff(want, r.Unmatched); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestEntriesThatMatchInRareFormsAreNotListed: entries are listed only if the scrubber found them
// in no form.
func TestEntriesThatMatchInRareFormsAreNotListed(t *testing.T) {
	c := site()
	c.LocalNames = []string{"strings.example", "labels.example", "query.example", "unknown.example"}
	c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("10.51.0.0/16")}
	c.Resolvers = []netip.Prefix{netip.MustParsePrefix("192.0.2.99/32"), netip.MustParsePrefix("192.0.2.98/32")}
	zoned := answered(pack(t, response(t, "www.test-tld.", dns.TypeA)))
	zoned.Zone = []byte("\x0298\x012\x010\x03192\x07in-addr\x04arpa\x00")
	query := response(t, "99.2.0.192.in-addr.arpa.", dns.TypePTR)
	query.Response, query.Authoritative = false, false
	expired := asked(pack(t, query))
	query.Question[0].Name = "www.test-tld."
	late := asked(pack(t, query))
	late.QueryTime += transform.Time(time.Hour)
	messages := []*transform.Message{
		answered(pack(t, response(t, "x.test-tld.", dns.TypeTXT, `x.test-tld. TXT "at str" "ings.example."`))),
		answered(pack(t, response(t, "y.test-tld.", 65280, `y.test-tld. TYPE65280 \# 18 `+fmt.Sprintf("%x", "\x00\x01\x06labels\x07example\x00")))),
		answered(pack(t, response(t, "z.test-tld.", 65400, `z.test-tld. TYPE65400 \# 23 `+fmt.Sprintf("%x", "\x07x=unkno\x0ewn.example end")))),
		answered(pack(t, response(t, "z.test-tld.", dns.TypeCNAME, "z.test-tld. CNAME ip-10-51-3-4.pool.test-tld."))),
		answered(pack(t, response(t, "203.query.example.", dns.TypePTR, "203.query.example. PTR 203.in-addr.arpa."))),
		zoned, expired,
	}
	for i := range 17 { // a single message does not advance the clock
		m := *late
		m.QueryTime += transform.Time(i)
		messages = append(messages, &m)
	}
	r := explained(t, c, nil, messages...)
	want := []Entry{{"scrub.local_networks", "203.0.113.0/24"}}
	if diff := cmp.Diff(want, r.Unmatched); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFieldsThatAreNeverCopiedAreListed includes fields without a known name.
func TestFieldsThatAreNeverCopiedAreListed(t *testing.T) {
	e := New(site(), Options{})
	frame := []byte("\x0a\x09resolver1\x12\x03abc\x1a\x02xy\x7a\x00\x78\x01\x72\x06\x7a\x04rule\x9a\x06\x04hush")
	e.addFrame(frame)
	e.addFrame(frame)
	e.addFrame([]byte("\x0a\xff")) // damaged
	payload := "\x08\x01\x10\x09\x18\x00\x25\x00\x00\x00\x00\x2a\x0c...resolver1"
	var out nmsg.Container
	buf := out.Add(out.Begin(nil), nmsg.Payload{Bytes: []byte(payload)})
	e.Sent("dnsqr", out.Seal(buf, 0), false)
	r := e.Report(&transform.Counts{}, Origin{})
	type listed struct {
		Field, Value string
		Frames       uint64
		Searched     bool
		Found        uint64
	}
	var got []listed
	for _, b := range r.NeverCopied {
		got = append(got, listed{b.Field, b.Value, b.Frames, b.Searched, b.Found})
	}
	want := []listed{
		{"extra", `"xy"`, 2, false, 0},
		{"field 99", `"hush"`, 2, true, 0},
		{"identity", `"resolver1"`, 2, true, 1},
		{"message.policy", `"rule"`, 2, true, 0},
		{"version", `"abc"`, 2, true, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.Found {
		t.Error("it counts as found")
	}
}

// TestAnAddressAsIdentityIsSearchedForInAllForms: the resolver's address is also the identity,
// which is searched for as a text.
func TestAnAddressAsIdentityIsSearchedForInAllForms(t *testing.T) {
	e := New(site(), Options{})
	e.addFrame([]byte("\x0a\x0a192.0.2.53"))
	e.Learner().Take(answered(nil))
	var out nmsg.Container
	buf := out.Add(out.Begin(nil), nmsg.Payload{Bytes: []byte("\x2a\x05.\xc0\x00\x02\x35")})
	e.Sent("dnsqr", out.Seal(buf, 0), false)
	if r := e.Report(&transform.Counts{}, Origin{}); len(r.Verdicts) != 1 || r.Verdicts[0].Loose != 1 || r.Found {
		t.Errorf("got %+v, found %v", r.Verdicts, r.Found)
	}
}

// TestUnreadableRecordsAreReported: they are searched as octets only. That is a problem if a canary
// is given, because the report is to prove its absence.
func TestUnreadableRecordsAreReported(t *testing.T) {
	for line, asked := range map[string][]canary.Canary{
		"\n1 records of dnsqr hold a message":             nil,
		"\nIncomplete: 1 records of dnsqr hold a message": {canary.OfText("secret")},
	} {
		unreadable(t, line, asked)
	}
}

func unreadable(t *testing.T, line string, asked []canary.Canary) {
	t.Helper()
	e := New(site(), Options{Canaries: asked})
	e.Sent("dnsqr", contained(t, &transform.Record{
		Server: server, Resolver: netip.AddrPortFrom(netip.IPv4Unspecified(), 0), Name: []byte("\x01x\x00"),
		HasResponse: true, ResponseTime: transform.Time(began), QueryTime: transform.NoTime,
		Response: []byte("............ no message, and a SECRET"),
	}), false)
	r := e.Report(&transform.Counts{Records: 1}, Origin{})
	if len(r.Problems) != len(asked) || r.Output[0].Unreadable != 1 || len(asked) > 0 && r.Verdicts[0].Found != 1 {
		t.Errorf("got %+v, %+v, %v", r.Output, r.Verdicts, r.Problems)
	}
	var said strings.Builder
	if err := r.WriteText(&said, false); err != nil {
		t.Fatal(err)
	}
	if strings.Count(said.String(), "hold a message") != 1 || !strings.Contains(said.String(), line) {
		t.Errorf("not reported:\n%s", &said)
	}
}

// TestMemoryIsBounded has values that differ in every message, of which only some are kept.
func TestMemoryIsBounded(t *testing.T) {
	e := New(site(), Options{})
	for i := range uint32(10000) {
		id := binary.BigEndian.AppendUint32(nil, i)
		frame := append([]byte{0x0a, 4}, id...)
		frame = binary.AppendUvarint(frame, uint64(100+i)<<3|2)
		e.addFrame(append(frame, 0))
		e.Verdict(&transform.Verdict{Message: &transform.Message{
			Resolver: netip.AddrPortFrom(netip.AddrFrom4([4]byte(id)), 1)}, Reason: transform.Malformed})
	}
	r := e.Report(&transform.Counts{}, Origin{})
	if n := len(r.NeverCopied); n > maxFields*(maxValues+1) {
		t.Errorf("%d values", n)
	}
	if n := len(r.Verdicts); n != maxListed || r.ResolverUnlisted != maxLearned-maxListed || !r.ResolverMore {
		t.Errorf("%d addresses listed, %d not, more: %v", n, r.ResolverUnlisted, r.ResolverMore)
	}
}

func TestCommandLinesAreQuotedForAShell(t *testing.T) {
	for want, words := range map[string][]string{
		"explain -c a.hcl":                  {"explain", "-c", "a.hcl"},
		"explain --canary 'it'\\''s me' ''": {"explain", "--canary", "it's me", ""},
		`explain $'b\xc3\xbc\'\\\x0a'`:      {"explain", "bü'\\\n"},
	} {
		if got := commandLine(words); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
