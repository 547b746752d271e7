package transform

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"
)

// show compares records, and their messages as text.
func show(t *testing.T, want, got Record) {
	t.Helper()
	addr := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if d := cmp.Diff(want, got, addr, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Record{}, "Query", "Response")); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
}

func showMessage(t *testing.T, want *dns.Msg, got []byte) {
	t.Helper()
	if want == nil {
		if got != nil {
			t.Errorf("got a message of %d octets, want none", len(got))
		}
		return
	}
	var m dns.Msg
	if err := m.Unpack(got); err != nil {
		t.Errorf("%x: %v", got, err)
		return
	}
	if d := cmp.Diff(want.String(), m.String()); d != "" {
		t.Errorf("message (-want +got):\n%s", d)
	}
}

var (
	inWholeSeconds = epoch / second * second
	zeroResolver   = netip.MustParseAddrPort("0.0.0.0:0")
)

// plainRecord returns the record of aQuery and aResponse.
func plainRecord() Record {
	return Record{
		Server: someServer, Resolver: zeroResolver, Zeroed: true,
		HasResponse: true, HasQuery: true,
		Name: mustPackName("www.shop.example."), Type: dns.TypeA, Class: dns.ClassINET,
		Zone:      mustPackName("shop.example."),
		QueryTime: inWholeSeconds, ResponseTime: inWholeSeconds,
	}
}

// TestFieldsOfARecord has exchanges, and the differences from plainRecord.
func TestFieldsOfARecord(t *testing.T) {
	keep := func(c *Config) { c.KeepResolver = true }
	noQueryTime := func(d *sketch) { d.QueryTime = NoTime }
	zone := func(name string) func(*sketch) {
		return func(d *sketch) {
			if d.Zone = nil; name != "" {
				d.Zone = mustPackName(name)
			}
		}
	}
	kept := func(r *Record) { r.Resolver, r.ID, r.Zeroed = someResolver, 0x1234, false }
	alone := func(r *Record) { r.HasQuery = false }

	for _, row := range []struct {
		name            string
		config          func(*Config)
		query, response *sketch
		want            func(*Record)
	}{
		{"plain", nil, aQuery(), aResponse(), func(*Record) {}},
		{"response alone", nil, nil, aResponse(), alone},
		{"letter case", nil, aQuery(asked("WWW.shop.example.")), aResponse(asked("wWw.sHoP.example."), zone("SHOP.example.")), func(*Record) {}},

		{"response's own query time first", nil, aQuery(), aResponse(at(3 * time.Second)), func(r *Record) {
			r.QueryTime += 3 * second
			r.ResponseTime += 3 * second
		}},
		{"else the query's", nil, aQuery(at(2 * time.Second)), aResponse(at(3*time.Second), noQueryTime), func(r *Record) {
			r.QueryTime += 2 * second
			r.ResponseTime += 3 * second
		}},
		{"else none", nil, nil, aResponse(noQueryTime), func(r *Record) { r.HasQuery, r.QueryTime = false, NoTime }},
		{"in nanoseconds", func(c *Config) { c.TimeResolution = 1 }, aQuery(), aResponse(), func(r *Record) {
			r.QueryTime, r.ResponseTime = epoch, epoch+20e6
		}},
		{"in minutes", func(c *Config) { c.TimeResolution = time.Minute }, aQuery(), aResponse(), func(r *Record) {
			r.QueryTime -= 20 * second // 22:13:20
			r.ResponseTime -= 20 * second
		}},
		{"before 1970", nil, aQuery(outOfTime(-1)), aResponse(outOfTime(-1)), func(r *Record) {
			r.QueryTime, r.ResponseTime = -second, -second
		}},

		{"zone of the query", nil, aQuery(), aResponse(zone("")), func(*Record) {}},
		{"zone of the response first", nil, aQuery(), aResponse(zone("Example.")), func(r *Record) { r.Zone = mustPackName("example.") }},
		{"zone of neither", nil, aQuery(zone("")), aResponse(zone("")), func(r *Record) { r.Zone = nil }},
		{"root zone", nil, aQuery(zone(".")), aResponse(zone("")), func(r *Record) { r.Zone = []byte{0} }},

		{"TCP", nil, aQuery(), aResponse(overTCP), func(r *Record) { r.Transport = TCP }},
		{"encrypted", nil, nil, aResponse(func(d *sketch) { d.Transport = Encrypted }), func(r *Record) {
			r.HasQuery, r.Transport = false, Encrypted
		}},
		{"type and rcode", nil, aQuery(ofType(dns.TypeMX)), aResponse(ofType(dns.TypeMX), func(d *sketch) { d.dns.Rcode = dns.RcodeRefused }),
			func(r *Record) { r.Type, r.Rcode = dns.TypeMX, dns.RcodeRefused }},

		{"IPv6", nil, aQuery(from("2001:db8:113::10")), aResponse(from("2001:db8:113::10")), func(r *Record) {
			r.Server, r.Resolver = someServer6, netip.MustParseAddrPort("[::]:0")
		}},
		{"IPv4-mapped", nil, aQuery(from("::ffff:203.0.113.10")), aResponse(from("::ffff:203.0.113.10")), func(*Record) {}},

		{"kept", keep, aQuery(), aResponse(), kept},
		{"kept, stated by the query", keep, aQuery(), aResponse(func(d *sketch) { d.Resolver = netip.AddrPort{} }), kept},
		{"kept, stated by the response first", keep, aQuery(by("192.0.2.54:1")), aResponse(), kept},
		{"kept, mapped", keep, nil, aResponse(by("[::ffff:192.0.2.53]:40000")), func(r *Record) { kept(r); alone(r) }},
		{"kept, not stated", keep, nil, aResponse(func(d *sketch) { d.Resolver = netip.AddrPort{} }), func(r *Record) {
			kept(r)
			alone(r)
			r.Resolver = zeroResolver
		}},
		{"kept, of the other family", keep, nil, aResponse(by("[2001:db8::53]:1")), func(r *Record) {
			kept(r)
			alone(r)
			r.Resolver = zeroResolver
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var edits []func(*Config)
			if row.config != nil {
				edits = append(edits, row.config)
			}
			l := newLane(t, testPolicy(t, edits...))
			if row.query != nil {
				l.take(row.query)
			}
			if got := l.take(row.response); got != Kept || len(l.records) != 1 {
				t.Fatalf("%v, %d records", got, len(l.records))
			}
			want, got := plainRecord(), l.records[0]
			row.want(&want)
			show(t, want, got)

			response := row.response.dns.Copy()
			response.Id = want.ID
			response.Question[0].Name = "www.shop.example."
			showMessage(t, response, got.Response)
			if !want.HasQuery {
				showMessage(t, nil, got.Query)
				return
			}
			query := row.query.dns.Copy()
			query.Id = want.ID
			query.Question[0].Name = "www.shop.example."
			showMessage(t, query, got.Query)
		})
	}
}

// TestFieldsOfAnUnansweredRecord has queries without responses.
func TestFieldsOfAnUnansweredRecord(t *testing.T) {
	unanswered := func(r *Record) {
		r.HasResponse = false
		r.ResponseTime = NoTime
	}
	for _, row := range []struct {
		name  string
		keep  bool
		query *sketch
		want  func(*Record)
	}{
		{"plain", false, aQuery(), unanswered},
		{"letter case", false, aQuery(asked("WWW.shop.example."), func(d *sketch) { d.Zone = mustPackName("Shop.Example.") }), unanswered},
		{"header bits and OPT", false, aQuery(func(d *sketch) {
			d.dns.SetEdns0(1232, true)
			d.dns.CheckingDisabled, d.dns.AuthenticatedData, d.dns.Zero = true, true, true
		}), unanswered},
		{"no zone", false, aQuery(func(d *sketch) { d.Zone = nil }), func(r *Record) { unanswered(r); r.Zone = nil }},
		{"IPv6, TCP", false, aQuery(from("2001:db8:113::10"), overTCP), func(r *Record) {
			unanswered(r)
			r.Server, r.Resolver, r.Transport = someServer6, netip.MustParseAddrPort("[::]:0"), TCP
		}},
		{"IPv4-mapped", false, aQuery(from("::ffff:203.0.113.10")), unanswered},
		{"kept", true, aQuery(), func(r *Record) {
			unanswered(r)
			r.Resolver, r.ID, r.Zeroed = someResolver, 0x1234, false
		}},
		{"kept, not stated", true, aQuery(func(d *sketch) { d.Resolver = netip.AddrPort{} }), func(r *Record) {
			unanswered(r)
			r.ID, r.Zeroed = 0x1234, false
		}},
		{"no time", false, aQuery(func(d *sketch) { d.QueryTime = NoTime }), func(r *Record) {
			unanswered(r)
			r.QueryTime = NoTime
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t, func(c *Config) { c.Unanswered, c.KeepResolver = true, row.keep }))
			l.take(aQuery(at(-time.Second), withID(1), from("10.0.0.53"))) // sets the clock; dropped
			l.take(row.query)
			l.take(aQuery(at(30*time.Second), withID(2), from("10.0.0.53")))
			l.take(aQuery(at(62*time.Second), withID(3), from("10.0.0.53")))
			if len(l.records) != 1 {
				t.Fatalf("%d records", len(l.records))
			}
			want, got := plainRecord(), l.records[0]
			row.want(&want)
			show(t, want, got)
			query := new(dns.Msg)
			query.Id = want.ID
			query.Question = []dns.Question{{Name: "www.shop.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}
			showMessage(t, query, got.Query)
			showMessage(t, nil, got.Response)
		})
	}
}

// TestARecordsTime checks that it is the query's time, else the response's.
func TestARecordsTime(t *testing.T) {
	for _, row := range []struct{ query, response, want Time }{
		{1, 2, 1}, {NoTime, 2, 2}, {1, NoTime, 1}, {0, 2, 0}, {NoTime, NoTime, NoTime},
	} {
		r := Record{QueryTime: row.query, ResponseTime: row.response}
		if got := r.Time(); got != row.want {
			t.Errorf("%d and %d: got %d, want %d", row.query, row.response, got, row.want)
		}
	}
}

// TestTakeLeavesItsMessageAsItIs, because the lane only borrows it.
func TestTakeLeavesItsMessageAsItIs(t *testing.T) {
	l := newLane(t, testPolicy(t))
	for _, d := range []*sketch{aQuery(asked("WWW.Shop.Example.")), aResponse(asked("WWW.Shop.Example."))} {
		d.Zone = mustPackName("Shop.Example.")
		m, want := d.message(), d.message()
		l.takeMessage(m)
		addr := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
		if d := cmp.Diff(want, m, addr); d != "" {
			t.Errorf("message (-before +after):\n%s", d)
		}
	}
}

// TestForwardedRecordsAreMarked because scrubbing clears the bit RD.
func TestForwardedRecordsAreMarked(t *testing.T) {
	forwarder := func(d *sketch) {
		if d.Role = ForwarderQuery; d.ResponseTime != NoTime {
			d.Role = ForwarderResponse
		}
	}
	for _, row := range []struct {
		name            string
		query, response *sketch
		want            bool
	}{
		{"no", aQuery(), aResponse(), false},
		{"RD in the query", aQuery(withRD), aResponse(), true},
		{"RD in the response", aQuery(), aResponse(withRD), true},
		{"RD in the response alone", nil, aResponse(withRD), true},
		{"a forwarder", aQuery(forwarder), aResponse(forwarder), true},
		{"a forwarder's query", aQuery(forwarder), aResponse(), true},
		{"unanswered", aQuery(), nil, false},
		{"unanswered, RD", aQuery(withRD), nil, true},
		{"unanswered, a forwarder", aQuery(forwarder), nil, true},
	} {
		l := newLane(t, testPolicy(t, func(c *Config) { c.Forwarded, c.Unanswered = true, true }))
		for _, d := range []*sketch{row.query, row.response} {
			if d != nil {
				l.take(d)
			}
		}
		l.pass(2 * time.Minute)
		i := slices.IndexFunc(l.records, func(r Record) bool { return r.Server == someServer }) // others pass the time
		if i < 0 || l.records[i].Forwarded != row.want {
			t.Errorf("%s: record %d, want forwarded: %v", row.name, i, row.want)
		}
	}
}
