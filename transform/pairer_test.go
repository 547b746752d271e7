package transform

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// heldTimes lists the times of the pending queries of a lane, oldest first, in seconds after
// epoch.
func heldTimes(p *Pairer) []int {
	var held []int
	t := p.pending
	for i := t.oldest; i != noIndex; i = t.link(i).newer {
		held = append(held, int((t.at(i).sent-epoch)/second))
	}
	return held
}

// TestWhichQueryAResponseCloses has queries one second apart, and states which of them are
// still pending after the response.
func TestWhichQueryAResponseCloses(t *testing.T) {
	ask := func(names ...string) []*sketch {
		var queries []*sketch
		for i, name := range names {
			queries = append(queries, aQuery(asked(name), at(time.Duration(i)*time.Second)))
		}
		return queries
	}
	const lower, mixed, other = "www.shop.example.", "wWw.sHop.example.", "mail.shop.example."
	for _, row := range []struct {
		name     string
		queries  []*sketch
		response *sketch
		want     Reason
		held     []int
	}{
		{"oldest of equals", ask(lower, lower, lower), aResponse(), Kept, []int{1, 2}},
		{"exact letter case preferred", ask(mixed, lower, lower), aResponse(), Kept, []int{0, 2}},
		{"exact letter case preferred over newer", ask(lower, mixed), aResponse(), Kept, []int{1}},
		{"oldest of other cases", ask(mixed, strings.ToUpper(lower)), aResponse(), Kept, []int{1}},
		{"among others", ask(other, lower, other), aResponse(), Kept, []int{0, 2}},
		{"mismatched closes nothing", ask(other, other), aResponse(), Mismatched, []int{0, 1}},
		{"to a query never seen", nil, aResponse(), Kept, nil},

		{"without question, one pending", ask(lower), aResponse(withoutQuestion), NotLookup, nil},
		{"without question, two pending", ask(lower, other), aResponse(withoutQuestion), NotLookup, []int{0, 1}},
		{"without question, two equal pending", ask(lower, lower), aResponse(withoutQuestion), NotLookup, []int{0, 1}},
		{"without question, none pending", nil, aResponse(withoutQuestion), NotLookup, nil},
		{"without question, another ID", ask(lower), aResponse(withoutQuestion, withID(9)), NotLookup, []int{0}},
		{"without readable question", ask(lower), aResponse(func(d *sketch) {
			d.wire = func(b []byte) []byte { return b[:dnswire.HeaderLen+3] }
		}), Malformed, nil},
		{"without readable header", ask(lower), aResponse(func(d *sketch) {
			d.wire = func(b []byte) []byte { return b[:dnswire.HeaderLen-1] }
		}), Malformed, []int{0}},

		{"malformed closes its own", ask(lower, other), aResponse(cutShort), Malformed, []int{1}},
		{"malformed to another question closes nothing", ask(other), aResponse(cutShort), Malformed, []int{0}},
		{"QR missing closes its own", ask(lower), aResponse(func(d *sketch) { d.dns.Response = false }), Malformed, nil},
		{"bad zone closes its own", ask(lower), aResponse(func(d *sketch) { d.Zone = []byte{1} }), Kept, nil},
		{"forwarded closes its own", ask(lower), aResponse(withRD), Forwarded, nil},
		{"truncated closes its own", ask(lower), aResponse(withTC), Truncated, nil},
		{"rcode closes its own", ask(lower), aResponse(func(d *sketch) { d.dns.Rcode = dns.RcodeFormatError }), Rcode, nil},
		{"special name closes its own", ask("a.test."), aResponse(asked("a.test.")), SpecialName, nil},
		{"unscrubbable closes its own", ask(lower), aResponse(func(d *sketch) { d.wire = growsTooLong(nil) }), Unscrubbable, nil},
		{"not outward closes nothing", ask(lower), aResponse(func(d *sketch) { d.Role = OtherRole }), NotOutward, []int{0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t))
			for _, q := range row.queries {
				l.take(q)
			}
			if got := l.take(row.response); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
			if d := cmp.Diff(row.held, heldTimes(l.Pairer)); d != "" {
				t.Errorf("held after it (-want +got):\n%s", d)
			}
			if c := l.Counts(); int(c.Paired) != len(row.queries)-len(row.held) {
				t.Errorf("%d paired", c.Paired)
			}
		})
	}
}

// TestZoneThatIsNotANameIsOmitted: the message becomes a record, with the zone of the other
// message if that is valid, and counts under zone_omitted.
func TestZoneThatIsNotANameIsOmitted(t *testing.T) {
	valid := mustPackName("shop.example")
	for name, bad := range map[string]string{
		"no end":              "\x04shop",
		"a pointer":           "\x04shop\xc0\x0c",
		"an octet too many":   "\x04shop\x00\x00",
		"presentation form":   "shop.example.",
		"the root as text":    ".",
		"the root twice":      "\x00\x00",
		"label of 64 octets":  "\x40" + strings.Repeat("a", 64) + "\x00",
		"name of 256 octets":  strings.Repeat("\x03abc", 63) + "\x02ab\x00",
		"many more than 256":  strings.Repeat("\x03abc", 1000),
		"pointer to itself":   "\xc0\x00",
		"reserved label type": "\x80",
	} {
		zone := func(z []byte) func(*sketch) { return func(d *sketch) { d.Zone = z } }
		// From the root this would be a name under no top-level domain.
		nosuch := func(d *sketch) { asked("www.nosuchtld.")(d); d.dns.Answer, d.dns.Rcode = nil, dns.RcodeNameError }
		for _, row := range []struct {
			name     string
			query    *sketch // nil: none
			response *sketch // nil: the query expires
			want     []byte  // zone of the record
			omitted  uint64
		}{
			{"response", nil, aResponse(zone([]byte(bad))), nil, 1},
			{"both", aQuery(zone([]byte(bad))), aResponse(zone([]byte(bad))), nil, 1},
			{"response, not query", aQuery(zone(valid)), aResponse(zone([]byte(bad))), valid, 1},
			{"query, not response", aQuery(zone([]byte(bad))), aResponse(zone(valid)), valid, 1},
			{"query, none in response", aQuery(zone([]byte(bad))), aResponse(zone(nil)), nil, 1},
			{"query without response", aQuery(zone([]byte(bad))), nil, nil, 1},
			{"neither", aQuery(), aResponse(), valid, 0},
			{"not treated as the root", aQuery(nosuch, zone([]byte(bad))), aResponse(nosuch, zone([]byte(bad))), nil, 1},
		} {
			l := newLane(t, testPolicy(t, func(c *Config) { c.Unanswered = true }))
			if row.query != nil {
				l.take(row.query)
			}
			if row.response != nil {
				l.take(row.response)
			} else {
				l.pass(2 * time.Minute)
			}
			at := slices.IndexFunc(l.records, func(r Record) bool { return r.Server == someServer }) // pass makes others
			if at < 0 {
				t.Errorf("%s, %s: no record, drops %v", name, row.name, l.dropped())
			} else if got := l.records[at].Zone; !bytes.Equal(got, row.want) {
				t.Errorf("%s, %s: zone %q, want %q", name, row.name, got, row.want)
			}
			if n := l.Counts().Scrubbed[ZoneOmitted]; n != row.omitted {
				t.Errorf("%s, %s: %d under zone_omitted, want %d", name, row.name, n, row.omitted)
			}
		}
	}
	l := newLane(t, testPolicy(t))
	special := func(d *sketch) { asked("www.nosuchtld.")(d); d.dns.Answer, d.dns.Rcode = nil, dns.RcodeNameError }
	l.take(aQuery(special, func(d *sketch) { d.Zone = []byte{0} }))
	if got := l.take(aResponse(special, func(d *sketch) { d.Zone = []byte("junk") })); got != SpecialName {
		t.Errorf("the query's zone is the root: got %v, want %v", got, SpecialName)
	}
}

// TestExactCaseQueryIsTheOneInTheRecord checks which query became part of the record.
func TestExactCaseQueryIsTheOneInTheRecord(t *testing.T) {
	l := newLane(t, testPolicy(t))
	l.take(aQuery(asked("WWW.shop.example.")))
	l.take(aQuery(at(5 * time.Second)))
	l.take(aResponse(func(d *sketch) { d.QueryTime = NoTime }))
	if len(l.records) != 1 || l.records[0].QueryTime != (epoch+5*second)/second*second {
		t.Errorf("records %+v", l.records)
	}
}

func TestRetryOverTCPReplacesTruncated(t *testing.T) {
	for _, packets := range []bool{false, true} {
		l := newLane(t, testPolicy(t))
		var got []Reason
		for _, d := range []*sketch{
			aQuery(), aResponse(withTC),
			aQuery(withID(7), overTCP), aResponse(withID(7), overTCP),
		} {
			if packets {
				d.with(asPacket)
			}
			got = append(got, l.take(d))
		}
		if d := cmp.Diff([]Reason{Kept, Truncated, Kept, Kept}, got); d != "" {
			t.Errorf("packets %v: %s", packets, d)
		}
		if c := l.Counts(); c.Paired != 2 || c.Records != 1 || c.Held != 0 || l.records[0].Transport != TCP {
			t.Errorf("packets %v: %+v", packets, c)
		}
	}
}

// TestResponseAfterExpiry is a record from dnstap, and unsolicited from packets.
func TestResponseAfterExpiry(t *testing.T) {
	l := newLane(t, testPolicy(t))
	l.take(aQuery())
	l.take(aQuery(withID(1), at(30*time.Second)))
	if got := l.take(aResponse(at(60 * time.Second))); got != Kept {
		t.Errorf("dnstap: %v", got)
	}
	if c := l.Counts(); c.Records != 1 || c.Paired != 0 || c.Dropped[Unanswered] != 1 || l.records[0].HasQuery {
		t.Errorf("%+v", c)
	}
	l = newLane(t, testPolicy(t))
	l.take(aQuery(asPacket))
	if got := l.take(aResponse(asPacket, at(59*time.Second))); got != Kept {
		t.Errorf("packets in time: %v", got)
	}
	l.take(aQuery(asPacket, at(59*time.Second)))
	if got := l.verdict(aResponse(asPacket, at(119*time.Second))); got != Unsolicited {
		t.Errorf("packets, late: %v", got)
	}
}

// TestResolversRetry has one question, several queries and one response; the other queries are
// unanswered.
func TestResolversRetry(t *testing.T) {
	l := newLane(t, testPolicy(t, func(c *Config) { c.Unanswered = true }))
	for i := range 3 {
		l.take(aQuery(withID(uint16(i)), at(time.Duration(i)*time.Second)))
	}
	l.take(aResponse(withID(1), at(3*time.Second)))
	l.pass(62 * time.Second)
	var unanswered []Time
	for _, r := range l.records {
		if !r.HasResponse {
			unanswered = append(unanswered, (r.QueryTime-epoch/second*second)/second)
		}
	}
	if d := cmp.Diff([]Time{0, 2}, unanswered); d != "" {
		t.Error(d)
	}
}

// TestQueriesToOneServerWithOneIDAreBounded, which does not affect real resolvers.
func TestQueriesToOneServerWithOneIDAreBounded(t *testing.T) {
	l := newLane(t, testPolicy(t))
	const n = maxSameKey + 10
	for i := range n {
		l.take(aQuery(asked(fmt.Sprintf("n%d.example.", i))))
	}
	l.take(aQuery(withID(1)))
	if c := l.Counts(); c.Held != maxSameKey+1 || c.Dropped[PairingFull] != n-maxSameKey {
		t.Errorf("%d held, dropped %v", c.Held, l.dropped())
	}
	if p := l.Pairer; p.refused > 0 || !strings.Contains(PairingFull.Meaning(), fmt.Sprintf("%d queries to its server", maxSameKey)) {
		t.Errorf("the table was full: %v; the meaning %q must name the other cause", p.refused, PairingFull.Meaning())
	}
	for i := range n {
		want := Kept
		if i < n-maxSameKey {
			want = Mismatched // the query was evicted
		}
		if got := l.take(aResponse(asked(fmt.Sprintf("n%d.example.", i)))); got != want && i != n-1 {
			t.Errorf("%d: got %v, want %v", i, got, want)
		}
	}
}

// TestUnansweredSingleLabelsAreDropped: nothing shows that such a top-level domain exists.
func TestUnansweredSingleLabelsStay(t *testing.T) {
	l := newLane(t, testPolicy(t, func(c *Config) { c.Unanswered = true }))
	l.take(aQuery(asked("printer.")))
	l.take(aQuery(asked("www.example.")))
	l.pass(time.Minute)
	unanswered := slices.DeleteFunc(l.records, func(r Record) bool { return r.HasResponse })
	if len(unanswered) != 1 || string(unanswered[0].Name) != string(mustPackName("www.example.")) {
		t.Errorf("records %+v, want www.example alone", unanswered)
	}
	if n := l.Counts().Dropped[SpecialName]; n != 1 {
		t.Errorf("%d dropped, want 1", n)
	}
}

// TestLongNames checks that names of every length are preserved.
func TestLongNames(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 61)+".", 4)
	atTheEdge := strings.Repeat("x", inlineText/2-2) + "." // twice this just fits
	for _, name := range []string{".", "a.", atTheEdge, "abc." + long, "abcd." + long} {
		for _, zone := range []string{"", ".", long, atTheEdge, "y" + atTheEdge, name} {
			l := newLane(t, testPolicy(t, func(c *Config) { c.Unanswered, c.SpecialNames = true, false }))
			var z []byte
			if zone != "" {
				z = mustPackName(zone)
			}
			l.take(aQuery(asked(name), func(d *sketch) { d.Zone = z }))
			wire := mustPackName(name)
			want := int64(1)
			if len(wire)+len(z) > inlineText {
				want += slotCost
			}
			if l.budget.Held() != want {
				t.Errorf("%d and %d octets cost %d, want %d", len(wire), len(z), l.budget.Held(), want)
			}
			l.pass(time.Minute)
			if l.budget.Held() != 0 {
				t.Errorf("%d held", l.budget.Held())
			}
			i := slices.IndexFunc(l.records, func(r Record) bool { return !r.HasResponse })
			if i < 0 {
				t.Fatal("no record")
			}
			r := l.records[i]
			if string(r.Name) != string(wire) || string(r.Zone) != string(z) {
				t.Errorf("got %q in %q, want %q in %q", r.Name, r.Zone, wire, z)
			}
		}
	}
}

func TestLanesShareABudget(t *testing.T) {
	budget := NewBudget(10)
	policy := testPolicy(t)
	a, b := newLane(t, policy), newLane(t, policy)
	a.Pairer, b.Pairer = NewPairer(budget), NewPairer(budget)
	held := func(wantA, wantB uint64) {
		t.Helper()
		if a.Counts().Held != wantA || b.Counts().Held != wantB || budget.Held() != int64(wantA+wantB) {
			t.Errorf("held %d and %d, %d of the budget, want %d and %d",
				a.Counts().Held, b.Counts().Held, budget.Held(), wantA, wantB)
		}
	}
	for i := range 7 {
		a.take(aQuery(withID(uint16(i))))
	}
	for i := range 3 {
		b.take(aQuery(withID(uint16(i))))
	}
	held(7, 3)
	for i := range 5 { // each lane drops its own queries
		b.take(aQuery(withID(uint16(100 + i))))
	}
	held(7, 3)
	if b.Counts().Dropped[PairingFull] != 5 || a.Counts().Dropped[PairingFull] != 0 {
		t.Errorf("dropped %v and %v", a.dropped(), b.dropped())
	}
	a.take(aQuery(withID(50)))
	held(7, 3)
	budget.SetMax(5)
	a.take(aQuery(withID(51)))
	held(2, 3)
	budget.SetMax(12)
	for i := range 20 {
		a.take(aQuery(withID(uint16(200 + i))))
	}
	held(9, 3)
	b.Finish()
	held(9, 0)
	a.Finish()
	held(0, 0)
	if b.Counts().Dropped[Unfinished] != 3 || a.Counts().Dropped[Unfinished] != 9 {
		t.Errorf("dropped %v and %v", a.dropped(), b.dropped())
	}
}

// TestWhatALaneIsRefused counts what it would hold in addition, once.
func TestWhatALaneIsRefused(t *testing.T) {
	long := asked(strings.Repeat("x.", 100)) // costs 1 + slotCost
	l := newLane(t, testPolicy(t))
	l.budget.SetMax(10)
	refused := func(want int) {
		t.Helper()
		if _, got := l.BudgetUse(); got != want {
			t.Errorf("%d of the budget were refused, want %d", got, want)
		}
	}
	for i := range 10 {
		l.take(aQuery(withID(uint16(i))))
	}
	refused(0)
	l.take(aQuery(withID(10)))
	l.take(aQuery(withID(11), long))
	refused(1 + 1 + slotCost)
	refused(0)
	l.Shrink(4)
	refused(0)
	l.budget.Ration(slotCost)
	l.take(aQuery(withID(12), long)) // evicts all, and does not fit
	refused(4 + 1 + slotCost)
}

// TestABudgetTooSmallForAnything loses queries, not responses.
func TestABudgetTooSmallForAnything(t *testing.T) {
	for _, n := range []int{-1, 0} {
		l := newLane(t, testPolicy(t))
		l.budget.SetMax(n)
		if got := l.take(aQuery()); got != PairingFull {
			t.Errorf("query: %v", got)
		}
		if got := l.take(aResponse()); got != Kept {
			t.Errorf("response: %v", got)
		}
	}
	l := newLane(t, testPolicy(t))
	l.budget.SetMax(slotCost) // a long one needs more
	l.take(aQuery())
	if got := l.take(aQuery(asked(strings.Repeat("x.", 100)))); got != PairingFull {
		t.Errorf("long query: %v", got)
	}
	if l.budget.Held() != 0 || l.Counts().Dropped[PairingFull] != 2 {
		t.Errorf("%d held, dropped %v", l.budget.Held(), l.dropped())
	}
}

// TestAFinishedLaneHoldsNothing checks also that the lane may be used further.
func TestAFinishedLaneHoldsNothing(t *testing.T) {
	l := newLane(t, testPolicy(t))
	l.Finish()
	for i := range 300 {
		l.take(aQuery(withID(uint16(i))))
	}
	l.Finish()
	l.Finish()
	if c := l.Counts(); c.Held != 0 || c.Dropped[Unfinished] != 300 || c.Read != c.Sum() || l.budget.Held() != 0 {
		t.Errorf("%+v, %d of the budget held", c, l.budget.Held())
	}
	l.take(aQuery())
	if got := l.take(aResponse()); got != Kept || l.Counts().Paired != 1 {
		t.Errorf("after it: %v", got)
	}
}

// TestLanesShareABudgetAtTheSameTime checks that the budget is never exceeded, and that all of
// it is returned.
func TestLanesShareABudgetAtTheSameTime(t *testing.T) {
	const maxQueries = 50
	budget := NewBudget(maxQueries)
	policy := testPolicy(t)
	var lanes sync.WaitGroup
	for range 4 {
		lanes.Go(func() {
			p := NewPairer(budget)
			for i := range 2000 {
				p.Take(aQuery(withID(uint16(i))).message(), policy, nil)
				if held := budget.Held(); held > maxQueries {
					t.Errorf("%d held", held)
				}
			}
			p.Finish(policy, nil)
			if c := p.Counts(); c.Read != c.Sum() || c.Dropped[PairingFull]+c.Dropped[Unfinished] != 2000 {
				t.Errorf("%+v", c)
			}
		})
	}
	lanes.Wait()
	if held := budget.Held(); held != 0 {
		t.Errorf("%d held at the end", held)
	}
}

// ofLength returns responses of length octets that take the most memory: by records,
// by names, by text, and by names in a message that is rebuilt.
func ofLength(length int) [][]byte {
	records := wiretest.New("q", 65280)
	for len(records.Wire)+11 <= length {
		records.With(dnswire.Answer, "", 65280, nil)
	}
	filled := func(d *wiretest.Message, section int, typ uint16, rdata []byte, pattern string) []byte {
		room := length - len(d.Wire) - 11 - len(rdata)
		return d.With(section, "", typ, append(rdata, bytes.Repeat([]byte(pattern), room/len(pattern))...)).Wire
	}
	hip := make([]byte, 4) // no identity and no key: names follow
	return [][]byte{
		records.Wire,
		filled(wiretest.New("q", dns.TypeHIP), dnswire.Answer, dns.TypeHIP, hip, "\x01a\x00"),
		filled(wiretest.New("q", dns.TypeTXT), dnswire.Answer, dns.TypeTXT, nil, "\x03abc"),
		filled(wiretest.New("q", dns.TypeHIP).With(dnswire.Additional, "", dns.TypeOPT, nil), dnswire.Additional, dns.TypeHIP, hip, "\x01a\x00"),
	}
}

func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestALaneKeepsLittleMemory has any messages, of which the lane must keep nothing.
func TestALaneKeepsLittleMemory(t *testing.T) {
	const (
		lanes       = 16
		least, most = 32 << 10, 64 << 10
	)
	policy, budget := scrubPolicy(t), NewBudget(8)
	emit := func(*Record) {}
	messages := slices.Concat(ofLength(smallMessage), ofLength(dnswire.MaxMessage))
	use := func(p *Pairer) *Pairer {
		for _, wire := range messages {
			if reason := p.Take(asResponse(bytes.Clone(wire)), policy, emit); reason != Kept {
				t.Fatalf("a response of %d octets, %x...: %v", len(wire), wire[:40], reason)
			}
		}
		return p
	}
	use(NewPairer(budget)) // so that the budget has a scratch to lend
	before := liveHeap()
	var all []*Pairer
	for range lanes {
		all = append(all, use(NewPairer(budget)))
	}
	each := (liveHeap() - before) / lanes
	t.Logf("%d bytes in each lane", each)
	if each < least || each > most {
		t.Errorf("each of %d lanes keeps %d bytes, want %d to %d", lanes, each, least, most)
	}
	runtime.KeepAlive(budget)
	runtime.KeepAlive(all)
	runtime.KeepAlive(messages)
}

// TestLongMessagesDoNotAllocate measures a budget that has a scratch to lend.
func TestLongMessagesDoNotAllocate(t *testing.T) {
	policy, p := scrubPolicy(t), NewPairer(NewBudget(8))
	var messages []*Message
	for _, length := range []int{512, smallMessage, smallMessage + 1, dnswire.MaxMessage} {
		for _, wire := range ofLength(length) {
			messages = append(messages, asResponse(wire))
		}
	}
	kept, rebuilt := 0, 0
	emit := func(*Record) {
		kept++
		if p.rewriter.rebuilt {
			rebuilt++
		}
	}
	round := func() {
		for _, m := range messages {
			p.Take(m, policy, emit)
		}
	}
	const rounds = 5
	round()
	if n := testing.AllocsPerRun(rounds, round); n != 0 {
		t.Errorf("%v allocations for %d messages", n, len(messages))
	}
	if all := (rounds + 2) * len(messages); kept != all || rebuilt != all/4 {
		t.Errorf("%d records of %d messages, %d rebuilt, want a quarter", kept, all, rebuilt)
	}
}

func TestABudgetKeepsFewScratches(t *testing.T) {
	b := NewBudget(8)
	lent := map[*scratch]bool{}
	for range maxScratches + 2 {
		lent[b.lend()] = true
	}
	for s := range lent {
		b.takeBack(s)
	}
	again := 0
	for range len(lent) {
		if lent[b.lend()] {
			again++
		}
	}
	if len(lent) != maxScratches+2 || again != maxScratches {
		t.Errorf("%d scratches were lent at once, %d kept, want %d and %d", len(lent), again, maxScratches+2, maxScratches)
	}
}

// TestABudgetKeepsNothingOfALane checks the scratch that a lane has borrowed and returned.
func TestABudgetKeepsNothingOfALane(t *testing.T) {
	policy, b := scrubPolicy(t), NewBudget(8)
	p := NewPairer(b)
	for i, wire := range ofLength(dnswire.MaxMessage) {
		p.Take(asResponse(wire), policy, func(*Record) {})
		s := b.lend()
		if cap(s.walker.Records) == 0 {
			t.Fatal("the lane has not borrowed the scratch")
		}
		if s.walker.Msg != nil || s.searcher.policy != nil || s.searcher.known != nil {
			t.Errorf("message %d: the scratch holds what the lane used", i)
		}
		b.takeBack(s)
	}
}
