package transform

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// TestEarlyResponses has the orders in which a query Q, its response R, another response F (of an
// attacker, perhaps) and copies are captured. Times are seconds after epoch.
func TestEarlyResponses(t *testing.T) {
	const trueData, falseData = "198.51.100.7", "192.0.2.66"
	q := func(s float64, edits ...func(*sketch)) *sketch {
		return aQuery(asPacket, func(d *sketch) { d.QueryTime = epoch + Time(s*1e9) }).with(edits...)
	}
	r := func(s float64, edits ...func(*sketch)) *sketch {
		return aResponse(asPacket, func(d *sketch) { d.ResponseTime = epoch + Time(s*1e9) }).with(edits...)
	}
	f := func(s float64) *sketch {
		return r(s, func(d *sketch) { d.dns.Answer = []dns.RR{record("www.shop.example. 300 IN A " + falseData)} })
	}
	clock := func(s float64) *sketch { return q(s, withRD, withID(99), from("203.0.113.250")) } // stays held
	none := map[Reason]uint64{}
	drops := func(all ...Reason) map[Reason]uint64 {
		m := map[Reason]uint64{}
		for _, why := range all {
			m[why]++
		}
		return m
	}
	for _, row := range []struct {
		name    string
		packets []*sketch
		data    []string // of the records
		held    int      // in addition to those of clock
		dropped map[Reason]uint64
	}{
		{"held before the query", []*sketch{r(0)}, nil, 1, none},
		{"held after the query", []*sketch{r(0), q(0.1)}, nil, 2, none},
		{"R Q", []*sketch{r(0), q(0.1), clock(2.1)}, []string{trueData}, 0, none},
		{"R Q, not yet", []*sketch{r(0), q(0.1), clock(2.099)}, nil, 2, none},
		{"R Q, 2 s apart", []*sketch{r(0), q(1.999), clock(3.999)}, []string{trueData}, 0, none},
		{"R Q, more than that", []*sketch{r(0), q(2), clock(5)}, nil, 1, drops(Unsolicited)},
		{"no query", []*sketch{r(0), clock(2)}, nil, 0, drops(Unsolicited)},
		{"R Q and a minute of silence", []*sketch{r(0), q(0.1), clock(59)}, []string{trueData}, 0, none},
		{"R Q and copies", []*sketch{r(0), r(0.001), q(0.1), q(0.2), clock(3)},
			[]string{trueData}, 0, drops(Duplicate, Duplicate)},
		{"R Q R'", []*sketch{r(0), q(0.1), r(0.2), clock(3)}, []string{trueData}, 0, drops(Duplicate)},
		{"Q R", []*sketch{q(0), r(0.1), clock(3)}, []string{trueData}, 0, none},

		{"F Q R", []*sketch{f(0), q(0.1), r(0.2), clock(3)}, []string{trueData}, 0, drops(Unsolicited)},
		{"F Q R, the query at the last moment", []*sketch{f(0), q(1.999), r(3.9), clock(9)}, []string{trueData}, 0, drops(Unsolicited)},
		{"F Q R, the response too late", []*sketch{f(0), q(0.1), r(2.1), clock(9)}, []string{falseData}, 0, drops(Unsolicited)},
		{"F F' Q R", []*sketch{f(0), f(0.1), q(0.2), r(0.3), clock(9)}, []string{trueData}, 0, drops(Duplicate, Unsolicited)},
		{"F R Q", []*sketch{f(0), r(0.1), q(0.2), clock(9)}, nil, 1, drops(Unsolicited, Unsolicited)},
		{"R F Q", []*sketch{r(0), f(0.1), q(0.2), clock(9)}, nil, 1, drops(Unsolicited, Unsolicited)},
		{"R F Q R'", []*sketch{r(0), f(0.1), q(0.2), r(0.3), clock(9)}, []string{trueData}, 0, drops(Duplicate, Unsolicited)},
		{"Q R F", []*sketch{q(0), r(0.1), f(0.2), clock(9)}, []string{trueData}, 0, drops(Unsolicited)},

		{"truncated", []*sketch{r(0, withTC), q(0.1), clock(9)}, nil, 0, drops(Truncated)},
		{"truncated, no query", []*sketch{r(0, withTC), r(0.1, withTC), clock(9)}, nil, 0, drops(Truncated, Truncated)},
		{"rcode", []*sketch{r(0, rcode(dns.RcodeFormatError)), q(0.1), clock(9)}, nil, 0, drops(Rcode)},
		{"forwarded", []*sketch{r(0, withRD), q(0.1), clock(9)}, nil, 1, drops(Forwarded)},
		{"forwarded, as the query shows", []*sketch{r(0), q(0.1, withRD), clock(9)}, nil, 0, drops(Forwarded)},
		{"local server", []*sketch{r(0, from("10.0.0.53")), clock(9)}, nil, 0, drops(LocalServer)},
		{"malformed", []*sketch{r(0, cutShort), clock(9)}, nil, 0, drops(Malformed)},
		{"without a question", []*sketch{r(0, withoutQuestion), clock(9)}, nil, 0, drops(NotLookup)},
		{"a local name", []*sketch{r(0, asked("a.test.")), q(0.1, asked("a.test.")), clock(9)}, nil, 0, drops(SpecialName)},
		{"another letter case", []*sketch{r(0), q(0.1, asked("WWW.SHOP.example.")), clock(9)}, []string{trueData}, 0, none},
		{"another type", []*sketch{r(0), q(0.1, ofType(dns.TypeMX)), clock(9)}, nil, 1, drops(Unsolicited)},
		{"another name", []*sketch{r(0), q(0.1, asked("w.shop.example.")), clock(9)}, nil, 1, drops(Unsolicited)},
		{"another ID", []*sketch{r(0), q(0.1, withID(1)), clock(9)}, nil, 1, drops(Unsolicited)},
		{"another port", []*sketch{r(0), q(0.1, by("192.0.2.53:1")), clock(9)}, nil, 1, drops(Unsolicited)},
		{"another server", []*sketch{r(0), q(0.1, from("203.0.113.11")), clock(9)}, nil, 1, drops(Unsolicited)},
		{"another transport", []*sketch{r(0), q(0.1, overTCP), clock(9)}, nil, 1, drops(Unsolicited)},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t))
			clocks := 0
			for _, d := range row.packets {
				l.take(d)
				if d.dns.Id == 99 {
					clocks++
				}
			}
			var data []string
			for _, x := range l.records {
				var m dns.Msg
				if err := m.Unpack(x.Response); err != nil {
					t.Fatal(err)
				}
				data = append(data, m.Answer[0].(*dns.A).A.String())
				if !x.HasQuery || x.QueryTime == NoTime {
					t.Errorf("a record without its query: %+v", x)
				}
			}
			if d := cmp.Diff(row.data, data); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
			if d := cmp.Diff(row.dropped, l.dropped()); d != "" {
				t.Errorf("dropped (-want +got):\n%s", d)
			}
			if held := int(l.Counts().Held) - clocks; held != row.held {
				t.Errorf("%d held, want %d", held, row.held)
			}
			l.Finish()
			if c := l.Counts(); c.Held != 0 || c.Read != c.Sum() || l.budget.Held() != 0 {
				t.Errorf("after the end: %+v, %d of the budget held", c, l.budget.Held())
			}
		})
	}
}

// TestEarlyResponsesAtTheEnd of a lane close their queries: no other response can follow.
func TestEarlyResponsesAtTheEnd(t *testing.T) {
	l := newLane(t, testPolicy(t))
	l.take(aResponse(asPacket))
	l.take(aResponse(asPacket, withID(1)))
	l.take(aQuery(asPacket))
	l.take(aQuery(asPacket, withID(2)))
	l.Finish()
	if d := cmp.Diff(map[Reason]uint64{Unsolicited: 1, Unfinished: 1}, l.dropped()); d != "" {
		t.Error(d)
	}
	if c := l.Counts(); c.Records != 1 || c.Paired != 1 || c.Held != 0 || len(l.records) != 1 {
		t.Errorf("%+v, %d records", c, len(l.records))
	}
}

// TestAPairingTimeoutBelowTheTimeOfEarlyResponses shortens that time, so that the query is still
// pending.
func TestAPairingTimeoutBelowTheTimeOfEarlyResponses(t *testing.T) {
	l := newLane(t, testPolicy(t, func(c *Config) { c.PairingTimeout = time.Second }))
	l.take(aResponse(asPacket))
	l.take(aQuery(asPacket, at(20*time.Millisecond)))
	l.take(aQuery(asPacket, withID(1), at(1020*time.Millisecond)))
	if c := l.Counts(); c.Records != 1 || c.Held != 1 {
		t.Errorf("%+v", c)
	}
}

// TestEarlyResponsesOfEveryLength are returned as they were.
func TestEarlyResponsesOfEveryLength(t *testing.T) {
	l := newLane(t, testPolicy(t))
	for _, n := range []int{0, pieceText - 1, pieceText, pieceText + 1, 2 * pieceText, smallMessage, smallMessage + 1, dnswire.MaxMessage} {
		response := aResponse(asPacket, func(d *sketch) {
			d.wire = func(b []byte) []byte { return append(b, make([]byte, max(0, n-len(b)))...) } // cut off again
		})
		wire := response.message().Wire
		l.take(response)
		i := l.early.oldest
		if got := l.early.appendWire(nil, i); string(got) != string(wire) || !l.early.hasWire(i, wire) {
			t.Errorf("%d octets are %d others", len(wire), len(got))
		}
		for _, at := range []int{0, len(wire) / 2, len(wire) - 1} {
			other := slices.Clone(wire)
			other[at]++
			if l.early.hasWire(i, other) {
				t.Errorf("%d octets: a difference at %d is not seen", len(wire), at)
			}
		}
		l.take(aQuery(asPacket))
		l.Finish()
		if len(l.records) != 1 || l.budget.Held() != 0 {
			t.Fatalf("%d octets: %d records, dropped %v, %d of the budget held", len(wire), len(l.records), l.dropped(), l.budget.Held())
		}
		l.records, l.memory = nil, memory{}
	}
}

// TestEarlyResponsesAreBounded: they take half of the budget and leave to queries what these
// need.
func TestEarlyResponsesAreBounded(t *testing.T) {
	const budget = 1000
	l := newLane(t, testPolicy(t))
	cost := 1 + pieceCost(len(aResponse().message().Wire))
	for i := range budget {
		l.take(aResponse(asPacket, withID(uint16(i))))
	}
	n := (budget/earlyShare-slotCost-cost)/cost + 1 // the last one might have had a long name
	if held := l.Counts().Held; held != uint64(n) || l.early.used != n*cost || l.budget.Held() != int64(n*cost) {
		t.Errorf("%d held, want %d; %d of the budget, %d in all", held, n, l.early.used, l.budget.Held())
	}
	if d := cmp.Diff(map[Reason]uint64{PairingFull: uint64(budget - n)}, l.dropped()); d != "" {
		t.Error(d)
	}
	if _, refused := l.BudgetUse(); refused > 0 {
		t.Error("the budget refused room, although half of it is free")
	}
	for i := range budget {
		l.take(aQuery(asPacket, withID(uint16(i))))
	}
	if c := l.Counts(); l.pending.live != budget || l.early.live != 0 || c.Dropped[PairingFull] != budget {
		t.Errorf("%d queries and %d responses held, dropped %v", l.pending.live, l.early.live, l.dropped())
	}
	if got := l.take(aResponse(asPacket, withID(budget))); got != PairingFull {
		t.Errorf("a response to a table full of queries: %v", got)
	}
	l.Finish()
	if l.budget.Held() != 0 {
		t.Errorf("%d of the budget held at the end", l.budget.Held())
	}
}

// TestAFullEarlyTablesMemory is bounded, with small and with large responses, and released.
func TestAFullEarlyTablesMemory(t *testing.T) {
	const maxQueries = 131072
	policy := testPolicy(t)
	for _, length := range []int{0, pieceText, smallMessage, dnswire.MaxMessage} {
		m := aResponse(asPacket, func(d *sketch) {
			d.wire = func(b []byte) []byte { return append(b, make([]byte, max(0, length-len(b)))...) }
		}).message()
		a := &asking{*m, m.Wire}
		before := usedHeap()
		p := NewPairer(NewBudget(maxQueries))
		for n := range maxQueries/4 + 1000 {
			p.Take(a.response(n), policy, nil)
		}
		full := usedHeap() - before
		t.Logf("%d responses of %d octets in %d octets", p.early.live, len(m.Wire), full)
		if p.early.used > maxQueries/earlyShare || p.early.used < maxQueries/earlyShare*9/10 || full > 200*maxQueries/earlyShare {
			t.Errorf("%d of the budget, %d octets", p.early.used, full)
		}
		p.Finish(policy, nil)
		if left := usedHeap() - before; left > 600_000 { // the budget keeps a scratch for long messages
			t.Errorf("%d octets left of %d", left, full)
		}
		runtime.KeepAlive(p)
	}
}

// response is query for responses.
func (a *asking) response(n int) *Message {
	a.query(n)
	return &a.m
}

// TestEarlyResponsesOfOneServerWithOneIDAreBounded, so that a search takes no long time.
func TestEarlyResponsesOfOneServerWithOneIDAreBounded(t *testing.T) {
	l := newLane(t, testPolicy(t))
	for i := range maxSameKey + 10 {
		l.take(aResponse(asPacket, asked(fmt.Sprintf("n%d.example.", i))))
	}
	if c := l.Counts(); c.Held != maxSameKey || c.Dropped[PairingFull] != 10 {
		t.Errorf("%d held, dropped %v", c.Held, l.dropped())
	}
}

// TestEarlyResponsesDoNotAllocate in a steady state.
func TestEarlyResponsesDoNotAllocate(t *testing.T) {
	policy := testPolicy(t)
	p := NewPairer(NewBudget(10000))
	var stream []*Message
	for i := range 1000 { // a hundred each second
		when := time.Duration(i) * 10 * time.Millisecond
		response := aResponse(asPacket, withID(uint16(i)), during(when, when))
		if i%10 == 0 {
			response.with(func(d *sketch) {
				d.wire = func(b []byte) []byte { return append(b, make([]byte, 2*smallMessage)...) }
			})
		}
		stream = append(stream, response.message(), aQuery(asPacket, withID(uint16(i)), during(when, 0)).message())
	}
	records := 0
	emit := func(*Record) { records++ }
	round := func() {
		later(stream, 10*second)
		for _, m := range stream {
			p.Take(m, policy, emit)
		}
	}
	round()
	const rounds = 10
	if n := testing.AllocsPerRun(rounds, round); n != 0 {
		t.Errorf("%v allocations for %d messages", n, len(stream))
	}
	if want := (rounds+2)*len(stream)/2 - p.early.live; records != want || p.early.live < 150 {
		t.Errorf("%d records, want %d; %d responses held", records, want, p.early.live)
	}
}

// TestVerdictsOfEarlyResponses: one for each response, when it is settled or evicted.
func TestVerdictsOfEarlyResponses(t *testing.T) {
	l := newLane(t, testPolicy(t))
	var book notebook
	l.Trace(&book)
	l.take(aResponse(asPacket, withID(1)))
	l.take(aResponse(asPacket, withID(2)))
	l.take(aResponse(asPacket, withID(3)))
	l.take(aQuery(asPacket, withID(3)))
	l.giveUpEarly(l.early.oldest)
	l.Finish()
	want := []struct {
		reason   Reason
		response bool
		message  bool
		record   bool
	}{
		{Kept, false, true, false}, // the query, held
		{PairingFull, true, false, false},
		{Unsolicited, true, true, false},
		{Kept, true, true, true},
	}
	if len(book.verdicts) != len(want) {
		t.Fatalf("%d verdicts, want %d", len(book.verdicts), len(want))
	}
	for i, v := range book.verdicts {
		w := want[i]
		if v.Reason != w.reason || v.Response != w.response || v.Message != nil != w.message || v.Record != nil != w.record ||
			string(v.Name) != string(mustPackName("www.shop.example.")) || v.Time < epoch {
			t.Errorf("verdict %d: %+v, want %+v", i, v, w)
		}
		if v.Record != nil {
			checkEdits(t, book.wires[i], &v)
		}
	}
}
