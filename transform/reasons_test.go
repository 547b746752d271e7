package transform

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// TestReasonsAreTheLedgersRows compares names and order with the documented ones.
func TestReasonsAreTheLedgersRows(t *testing.T) {
	want := strings.Fields(`oversize malformed not_outward forwarded local_server not_lookup truncated rcode mismatched
		unsolicited duplicate local_name resolver_address lookup special_name unscrubbable unanswered pairing_full unfinished`)
	var got []string
	for _, r := range Reasons() {
		got = append(got, r.String())
		if r.Meaning() == "" {
			t.Errorf("%v has no meaning", r)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if numReasons.String() != "unknown" || numReasons.Meaning() != "" {
		t.Error("a reason that is none has a name")
	}
}

// TestReasonsByTheirOtherCauses has the causes that are not among the faults.
func TestReasonsByTheirOtherCauses(t *testing.T) {
	configured := func(edit func(*Config)) func(*exchange) {
		return func(x *exchange) { x.configure(edit) }
	}
	server := func(a string) func(*exchange) {
		return func(x *exchange) { x.both(from(a)) }
	}
	response := func(edits ...func(*sketch)) func(*exchange) {
		return func(x *exchange) { x.response.with(edits...) }
	}
	query := func(edits ...func(*sketch)) func(*exchange) {
		return func(x *exchange) { x.query.with(edits...) }
	}
	both := func(edit func(*sketch)) func(*exchange) {
		return func(x *exchange) { x.both(edit) }
	}
	sig := func(covered uint16) func(*sketch) {
		return func(d *sketch) {
			d.dns.Extra = append(d.dns.Extra, &dns.SIG{RRSIG: dns.RRSIG{
				Hdr:         dns.RR_Header{Name: ".", Rrtype: dns.TypeSIG, Class: dns.ClassANY},
				TypeCovered: covered, SignerName: "key.example.", Signature: "AAAA",
			}})
		}
	}
	tsig := func(d *sketch) { d.dns.SetTsig("key.example.", dns.HmacSHA256, 300, 1) }
	edns := func(d *sketch) { d.dns.SetEdns0(1232, false) }
	zone := func(z string) func(*sketch) {
		return func(d *sketch) { d.Zone = []byte(z) }
	}
	const ok, different = numReasons + 1, numReasons + 2 // a record; not judged in this direction

	for _, row := range []struct {
		name     string
		answered Reason // of the response
		expired  Reason // of the query alone
		apply    func(*exchange)
	}{
		{"plain", ok, Unanswered, func(*exchange) {}},
		{"no query", ok, different, func(x *exchange) { x.query = nil }},
		{"no zone", ok, Unanswered, both(zone(""))},
		{"IPv6", ok, Unanswered, server("2001:db8:113::10")},

		{"no response time", NotOutward, different, response(func(d *sketch) { d.ResponseTime = NoTime })},
		{"empty message", Malformed, different, response(func(d *sketch) { d.Wire = []byte{} })},
		{"half a header", Malformed, different, response(func(d *sketch) { d.wire = func(b []byte) []byte { return b[:11] } })},
		{"response that says it is a query", Malformed, different, response(func(d *sketch) { d.dns.Response = false })},
		{"two OPT", Malformed, different, response(edns, edns)},

		{"RD in the response", Forwarded, different, response(withRD)},
		{"RD in the query", Forwarded, Forwarded, query(withRD)},
		{"FORWARDER_QUERY", Forwarded, Forwarded, query(func(d *sketch) { d.Role = ForwarderQuery })},
		{"FORWARDER_RESPONSE", Forwarded, different, response(func(d *sketch) { d.Role = ForwarderResponse })},
		{"forwarded, wanted", ok, Unanswered, func(x *exchange) {
			x.both(withRD)
			x.query.Role, x.response.Role = ForwarderQuery, ForwarderResponse
			x.configure(func(c *Config) { c.Forwarded = true })
		}},

		{"loopback", LocalServer, LocalServer, server("127.0.0.2")},
		{"loopback, IPv6", LocalServer, LocalServer, server("::1")},
		{"link-local", LocalServer, LocalServer, server("169.254.1.1")},
		{"link-local, IPv6", LocalServer, LocalServer, server("fe80::1")},
		{"10/8", LocalServer, LocalServer, server("10.255.255.255")},
		{"172.16/12", LocalServer, LocalServer, server("172.31.0.1")},
		{"172.32/12", ok, Unanswered, server("172.32.0.1")},
		{"192.168/16", LocalServer, LocalServer, server("192.168.0.1")},
		{"100.64/10", LocalServer, LocalServer, server("100.127.255.255")},
		{"100.128/10", ok, Unanswered, server("100.128.0.0")},
		{"ULA", LocalServer, LocalServer, server("fc00::1")},
		{"unspecified", LocalServer, LocalServer, server("0.0.0.0")},
		{"unspecified, IPv6", LocalServer, LocalServer, server("::")},
		{"multicast", LocalServer, LocalServer, server("224.0.0.251")},
		{"multicast, IPv6", LocalServer, LocalServer, server("ff02::fb")},
		{"mapped private", LocalServer, LocalServer, server("::ffff:10.0.0.53")},
		{"mapped shared", LocalServer, LocalServer, server("::ffff:100.64.0.1")},
		{"mapped loopback", LocalServer, LocalServer, server("::ffff:127.0.0.1")},
		{"mapped public", ok, Unanswered, server("::ffff:203.0.113.10")},
		{"local network", LocalServer, LocalServer, configured(func(c *Config) {
			c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		})},
		{"local network, mapped server", LocalServer, LocalServer, func(x *exchange) {
			x.both(from("::ffff:203.0.113.10"))
			x.configure(func(c *Config) { c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
		}},
		{"configured resolver", LocalServer, LocalServer, configured(func(c *Config) {
			c.Resolvers = single(netip.MustParseAddr("203.0.113.10"))
		})},
		{"configured resolver, mapped server", LocalServer, LocalServer, func(x *exchange) {
			x.both(from("::ffff:203.0.113.10"))
			x.configure(func(c *Config) { c.Resolvers = single(netip.MustParseAddr("203.0.113.10")) })
		}},
		{"the message's own query address", LocalServer, LocalServer, both(by("203.0.113.10:40000"))},
		{"the message's own query address, mapped", LocalServer, LocalServer, both(by("[::ffff:203.0.113.10]:40000"))},
		{"learned resolver", LocalServer, different, func(x *exchange) {
			x.before = []*sketch{aResponse(by("203.0.113.10:40000"), from("203.0.113.11"))}
		}},
		{"local server, wanted", ok, Unanswered, func(x *exchange) {
			x.both(from("10.0.0.53"))
			x.configure(func(c *Config) { c.LocalServers = true })
		}},

		{"class CH", NotLookup, NotLookup, both(func(d *sketch) { d.dns.Question[0].Qclass = dns.ClassCHAOS })},
		{"opcode of the response", NotLookup, different, response(func(d *sketch) { d.dns.Opcode = dns.OpcodeStatus })},
		{"opcode of the query", NotLookup, NotLookup, query(func(d *sketch) { d.dns.Opcode = dns.OpcodeUpdate })},
		{"no question in the response", NotLookup, different, response(withoutQuestion)},
		{"two questions in the response", NotLookup, different, response(func(d *sketch) {
			d.dns.Question = append(d.dns.Question, d.dns.Question[0])
		})},
		{"AXFR", NotLookup, NotLookup, both(ofType(dns.TypeAXFR))},
		{"IXFR", NotLookup, NotLookup, both(ofType(dns.TypeIXFR))},
		{"TKEY", NotLookup, NotLookup, both(ofType(dns.TypeTKEY))},
		{"TSIG on the response", NotLookup, different, response(tsig)},
		{"TSIG on the query", NotLookup, NotLookup, query(tsig)},
		{"SIG(0)", NotLookup, different, response(sig(0))},
		{"a SIG of data", ok, Unanswered, response(sig(dns.TypeA))},

		{"extended rcode", Rcode, different, response(edns, func(d *sketch) { d.dns.Rcode = dns.RcodeBadVers })},
		{"rcode that is wanted", ok, different, func(x *exchange) {
			x.response.dns.Rcode = dns.RcodeNotImplemented
			x.configure(func(c *Config) { c.Rcodes = append(c.Rcodes, dns.RcodeNotImplemented) })
		}},
		{"rcode that is not wanted", Rcode, Unanswered, configured(func(c *Config) { c.Rcodes = []uint8{dns.RcodeNameError} })},
		{"SERVFAIL", ok, different, response(func(d *sketch) { d.dns.Rcode = dns.RcodeServerFailure })},
		{"REFUSED", ok, different, response(func(d *sketch) { d.dns.Rcode = dns.RcodeRefused })},

		{"another type", Mismatched, Unanswered, query(ofType(dns.TypeAAAA))},
		{"another name", Mismatched, Unanswered, query(asked("ww.shop.example."))},
		{"another ID", ok, Unanswered, query(withID(1))},
		{"another server", ok, Unanswered, query(from("203.0.113.11"))},
		{"another letter case", ok, Unanswered, query(asked("WwW.sHoP.eXaMpLe."))},
		{"another port, transport and resolver", ok, Unanswered, query(overTCP, by("192.0.2.54:1"))},

		{"unanswered, wanted", ok, ok, configured(func(c *Config) { c.Unanswered = true })},
	} {
		t.Run(row.name, func(t *testing.T) {
			x := newExchange(false)
			row.apply(x)
			want := row.answered
			if want == ok {
				want = Kept
			}
			l, got := x.answered(t)
			if got != want || (want == Kept) != (len(l.records) > len(x.before)) {
				t.Errorf("response: got %v and %d records, want %v", got, len(l.records), want)
			}
			if row.expired == different {
				return
			}
			if want = row.expired; want == ok {
				want = Kept
			}
			if got := x.expired(t); got != want {
				t.Errorf("expiring query: got %v, want %v", got, want)
			}
		})
	}
}

// TestQueriesThatNeverWait has queries that are counted when they arrive.
func TestQueriesThatNeverWait(t *testing.T) {
	two := func(d *sketch) { d.dns.Question = append(d.dns.Question, d.dns.Question[0]) }
	for _, row := range []struct {
		name  string
		want  Reason
		edits []func(*sketch)
	}{
		{"not outward", NotOutward, []func(*sketch){func(d *sketch) { d.Role = OtherRole }}},
		{"malformed", Malformed, []func(*sketch){cutShort}},
		{"malformed, RD", Malformed, []func(*sketch){cutShort, withRD}},
		{"query that says it is a response", Malformed, []func(*sketch){func(d *sketch) { d.dns.Response = true }}},
		{"no question", NotLookup, []func(*sketch){withoutQuestion}},
		{"two questions", NotLookup, []func(*sketch){two}},
		{"two questions, local server", LocalServer, []func(*sketch){two, from("::ffff:10.0.0.1")}},
		{"two questions, RD", Forwarded, []func(*sketch){two, withRD, from("10.0.0.1")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t))
			if got := l.take(aQuery(row.edits...)); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
			if c := l.Counts(); c.Held != 0 || c.Dropped[row.want] != 1 {
				t.Errorf("%d held, dropped %v", c.Held, l.dropped())
			}
		})
	}
}

// TestRepeatedQueryPackets has duplicates, and reasons that precede duplicate.
func TestRepeatedQueryPackets(t *testing.T) {
	for _, row := range []struct {
		name   string
		want   Reason
		edits  []func(*sketch) // of both
		second []func(*sketch)
	}{
		{"same", Duplicate, nil, nil},
		{"later", Duplicate, nil, []func(*sketch){at(5 * time.Second)}},
		{"RD", Forwarded, []func(*sketch){withRD}, nil},
		{"local server", LocalServer, []func(*sketch){from("10.0.0.53")}, nil},
		{"not a lookup", NotLookup, []func(*sketch){ofType(dns.TypeIXFR)}, nil},
		{"local name", Duplicate, []func(*sketch){asked("www.shop.test.")}, nil},
		{"another letter case", Kept, nil, []func(*sketch){asked("WWW.shop.example.")}},
		{"another type", Kept, nil, []func(*sketch){ofType(dns.TypeMX)}},
		{"another port", Kept, nil, []func(*sketch){by("192.0.2.53:40001")}},
		{"another transport", Kept, nil, []func(*sketch){overTCP}},
		{"another ID", Kept, nil, []func(*sketch){withID(1)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t))
			l.take(aQuery(asPacket).with(row.edits...))
			got := l.take(aQuery(asPacket).with(row.edits...).with(row.second...))
			if got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
	l := newLane(t, testPolicy(t))
	l.take(aQuery())
	if got := l.take(aQuery()); got != Kept {
		t.Errorf("the same query twice in dnstap: %v", got) // resolvers log each query that they send
	}
}

// TestPacketsAreHeldToTheirFiveTuple has differences that dnstap lanes ignore.
func TestPacketsAreHeldToTheirFiveTuple(t *testing.T) {
	for _, row := range []struct {
		name string
		want Reason
		edit func(*sketch) // of the response
	}{
		{"same", Kept, func(*sketch) {}},
		{"another name", Mismatched, asked("other.example.")},
		{"another ID", Unsolicited, withID(1)},
		{"another server", Unsolicited, from("203.0.113.11")},
		{"another server port", Unsolicited, func(d *sketch) { d.Server = netip.AddrPortFrom(d.Server.Addr(), 54) }},
		{"another port", Unsolicited, by("192.0.2.53:40001")},
		{"another resolver", Unsolicited, by("192.0.2.54:40000")},
		{"another transport", Unsolicited, overTCP},
		{"another port and name", Unsolicited, func(d *sketch) { d.with(by("192.0.2.53:1"), asked("other.example.")) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t))
			l.take(aQuery(asPacket))
			if got := l.verdict(aResponse(asPacket, row.edit)); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
			if held := l.Counts().Held; (held == 0) != (row.want == Kept) {
				t.Errorf("%d held", held)
			}
		})
	}
}

// TestWhatIsNotJudged has queries that end before their timeout.
func TestWhatIsNotJudged(t *testing.T) {
	bad := []func(*sketch){withRD, from("10.0.0.53"), ofType(dns.TypeAXFR), asked("www.shop.test.")}
	l := newLane(t, testPolicy(t, func(c *Config) { c.Unanswered = true }))
	l.budget.SetMax(1)
	l.take(aQuery(bad...))
	l.take(aQuery())
	l.Finish()
	want := map[Reason]uint64{PairingFull: 1, Unfinished: 1}
	if d := cmp.Diff(want, l.dropped()); d != "" {
		t.Error(d)
	}
	if c := l.Counts(); c.Read != c.Sum() || len(l.records) != 0 || l.budget.Held() != 0 {
		t.Errorf("%+v, %d records, %d of the budget held", c, len(l.records), l.budget.Held())
	}
}

// TestDropCountsWhatNeverBecameAMessage has the reasons that sources use.
func TestDropCountsWhatNeverBecameAMessage(t *testing.T) {
	l := newLane(t, testPolicy(t))
	l.Drop(Oversize)
	l.Drop(Malformed)
	l.Drop(Malformed)
	if d := cmp.Diff(map[Reason]uint64{Oversize: 1, Malformed: 2}, l.dropped()); d != "" {
		t.Error(d)
	}
	if c := l.Counts(); c.Read != 3 || c.Sum() != 3 {
		t.Errorf("%+v", c)
	}
	if l.Clock() != NoTime {
		t.Errorf("clock %d without a message", l.Clock())
	}
}

func TestCountsAdd(t *testing.T) {
	one := Counts{Read: 1000, Records: 1, Paired: 2, Held: 3}
	want := uint64(1 + 2 + 3)
	for r := range one.Dropped {
		one.Dropped[r] = uint64(10 + r)
		want += uint64(10 + r)
	}
	sum := one
	sum.Add(&one)
	if sum.Read != 2*one.Read || sum.Sum() != 2*want || one.Sum() != want {
		t.Errorf("%+v twice is %+v", one, sum)
	}
	if a := one.Account(); a.Total() != one.Read || a.Sum() != want-one.Dropped[Kept] { // which no message is dropped as
		t.Errorf("the account of %+v is %+v", one, a)
	}
	for r := range sum.Dropped {
		if sum.Dropped[r] != 2*one.Dropped[r] {
			t.Errorf("%v: %d", Reason(r), sum.Dropped[r])
		}
	}
}
