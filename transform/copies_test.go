package transform

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// TestPacketCopies has the orders in which a mirror brings a query, its response
// and their copies, and what comes before duplicate.
func TestPacketCopies(t *testing.T) {
	q := func(edits ...func(*sketch)) *sketch { return aQuery(asPacket).with(edits...) }
	r := func(edits ...func(*sketch)) *sketch { return aResponse(asPacket).with(edits...) }
	private, twice := from("10.0.0.53"), at(time.Second)
	other := func(d *sketch) { d.answer("www.shop.example. 300 IN A 198.51.100.8") }
	upper := asked("WWW.SHOP.EXAMPLE.")
	cancelled := func(d *sketch) { d.wire = func(b []byte) []byte { b[7] = 9; return b } }
	for _, row := range []struct {
		name    string
		packets []*sketch
		want    []Reason
	}{
		{"Q Q' R R'", []*sketch{q(), q(), r(), r()}, []Reason{Kept, Duplicate, Kept, Duplicate}},
		{"Q R Q' R'", []*sketch{q(), r(), q(), r()}, []Reason{Kept, Kept, Duplicate, Duplicate}},
		{"Q R R' Q'", []*sketch{q(), r(), r(), q()}, []Reason{Kept, Kept, Duplicate, Duplicate}},
		{"three of each", []*sketch{q(), r(), q(), r(), q(), r()}, []Reason{Kept, Kept, Duplicate, Duplicate, Duplicate, Duplicate}},
		{"a second later", []*sketch{q(), r(), q(twice), r(twice)}, []Reason{Kept, Kept, Duplicate, Duplicate}},
		{"two seconds later", []*sketch{q(), r(), q(at(2020 * time.Millisecond))}, []Reason{Kept, Kept, Duplicate}},
		{"more than that", []*sketch{q(), r(), q(at(2020*time.Millisecond + 1)), r(at(2021 * time.Millisecond))},
			[]Reason{Kept, Kept, Kept, Kept}},
		{"before a second has passed, as clocks go back", []*sketch{q(twice), r(at(1010 * time.Millisecond)), q(), r()},
			[]Reason{Kept, Kept, Duplicate, Duplicate}},
		{"response, more than that", []*sketch{q(), r(), r(at(2000*time.Millisecond + 1))}, []Reason{Kept, Kept, Unsolicited}},

		{"another answer", []*sketch{q(), r(), r(other), r()}, []Reason{Kept, Kept, Unsolicited, Duplicate}},
		{"another answer's copies", []*sketch{q(), r(), r(other), r(other)}, []Reason{Kept, Kept, Unsolicited, Unsolicited}},
		{"no query", []*sketch{r(), r()}, []Reason{Unsolicited, Unsolicited}},
		{"answer in another letter case", []*sketch{q(upper), r(), q(upper), r()}, []Reason{Kept, Kept, Duplicate, Duplicate}},
		{"another question pending", []*sketch{q(), r(), q(ofType(dns.TypeMX)), r()}, []Reason{Kept, Kept, Kept, Mismatched}},
		{"another type", []*sketch{q(), r(), q(ofType(dns.TypeMX)), r(ofType(dns.TypeMX))}, []Reason{Kept, Kept, Kept, Kept}},
		{"another class", []*sketch{q(), r(), q(func(d *sketch) { d.dns.Question[0].Qclass = dns.ClassCHAOS })}, []Reason{Kept, Kept, Kept}},
		{"another ID", []*sketch{q(), r(), q(withID(1)), r(withID(2))}, []Reason{Kept, Kept, Kept, Unsolicited}},
		{"another name", []*sketch{q(), r(), q(asked("w.shop.example."))}, []Reason{Kept, Kept, Kept}},
		{"another port", []*sketch{q(), r(), q(by("192.0.2.53:1")), r(by("192.0.2.53:2"))}, []Reason{Kept, Kept, Kept, Unsolicited}},
		{"another resolver", []*sketch{q(), r(), q(by("192.0.2.54:40000"))}, []Reason{Kept, Kept, Kept}},
		{"another server", []*sketch{q(), r(), q(from("203.0.113.11"))}, []Reason{Kept, Kept, Kept}},
		{"another transport", []*sketch{q(), r(withTC), q(overTCP), r(overTCP)}, []Reason{Kept, Truncated, Kept, Kept}},

		{"dropped by its rcode", []*sketch{q(), r(rcode(dns.RcodeFormatError)), q(), r(rcode(dns.RcodeFormatError))},
			[]Reason{Kept, Rcode, Duplicate, Rcode}},
		{"truncated", []*sketch{q(), r(withTC), q(), r(withTC)}, []Reason{Kept, Truncated, Duplicate, Truncated}},
		{"malformed", []*sketch{q(), r(cancelled), q(), r(cancelled)}, []Reason{Kept, Malformed, Duplicate, Malformed}},
		{"without a question", []*sketch{q(), r(withoutQuestion), q(), r(withoutQuestion)},
			[]Reason{Kept, NotLookup, Duplicate, NotLookup}},
		{"local name", []*sketch{q(asked("a.test.")), r(asked("a.test.")), q(asked("a.test.")), r(asked("a.test."))},
			[]Reason{Kept, SpecialName, Duplicate, Duplicate}},
		{"forwarded", []*sketch{q(withRD), r(withRD), q(withRD), r(withRD)}, []Reason{Kept, Forwarded, Forwarded, Forwarded}},
		{"local server", []*sketch{q(private), r(private), q(private), r(private)},
			[]Reason{Kept, LocalServer, LocalServer, LocalServer}},
		{"not a lookup", []*sketch{q(ofType(dns.TypeIXFR)), r(ofType(dns.TypeIXFR)), q(ofType(dns.TypeIXFR)), r(ofType(dns.TypeIXFR))},
			[]Reason{Kept, NotLookup, NotLookup, NotLookup}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t))
			var got []Reason
			for _, d := range row.packets {
				got = append(got, l.take(d))
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func rcode(n int) func(*sketch) { return func(d *sketch) { d.dns.Rcode = n } }

// TestDnstapRemembersNoAnswers: resolvers log what they send, and a lane of theirs
// has no room for it either.
func TestDnstapRemembersNoAnswers(t *testing.T) {
	l := newLane(t, testPolicy(t))
	for range 2 {
		for _, d := range []*sketch{aQuery(), aResponse(), aResponse()} {
			if got := l.take(d); got != Kept {
				t.Errorf("got %v", got)
			}
		}
	}
	if l.memory.answers != nil {
		t.Error("a dnstap lane has a memory")
	}
}

// TestTakingPacketsDoesNotAllocate once a lane has its memory; half of these are
// copies.
func TestTakingPacketsDoesNotAllocate(t *testing.T) {
	stream := asPackets(aStream(t))
	policy := testPolicy(t, func(c *Config) { c.LocalNames = []string{"univ.example"} })
	p := NewPairer(NewBudget(131072))
	emit := func(*Record) {}
	round := func() {
		later(stream, 5*second)
		for range 2 {
			for _, m := range stream {
				p.Take(m, policy, emit)
			}
		}
	}
	round()
	if n := testing.AllocsPerRun(10, round); n != 0 {
		t.Errorf("%v allocations for %d messages", n, 2*len(stream))
	}
	if c := p.Counts(); c.Records < c.Paired/2 || c.Dropped[Duplicate] < c.Read/5 || c.Dropped[Unsolicited] != 0 {
		t.Errorf("not what packets bring: %+v", c)
	}
}
