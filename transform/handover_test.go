package transform

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// A capture of these tests lasts from 100 s to 200 s after epoch.
const (
	spanOn  = epoch + 100*second
	spanOff = epoch + 200*second
)

// during sets the times of a message, as durations after epoch. A query has only the first.
func during(query, response time.Duration) func(*sketch) {
	return func(d *sketch) {
		d.QueryTime = epoch + Time(query)
		if d.Role.response() {
			d.ResponseTime = epoch + Time(response)
		}
	}
}

// captured runs packets through a lane of a capture, and returns its log.
func captured(t *testing.T, policy *Policy, packets ...*sketch) *KeyLog {
	t.Helper()
	log := NewKeyLog(spanOn)
	l := newLane(t, policy)
	l.KeepKeys(log)
	for _, d := range packets {
		query, response := d.QueryTime, d.ResponseTime
		d.with(asPacket)
		d.QueryTime, d.ResponseTime = query, response
		if d.Role.response() {
			d.QueryTime = NoTime
		}
		l.take(d)
	}
	return log
}

const s, ns = time.Second, time.Nanosecond

// TestDnstapInsideACaptureIsDuplicate covers the edges, without keys.
func TestDnstapInsideACaptureIsDuplicate(t *testing.T) {
	h := (*Handover)(nil).With(Span{On: spanOn, Off: spanOff})
	noQuery := func(d *sketch) { d.QueryTime = NoTime }
	for _, row := range []struct {
		name            string
		query, response time.Duration
		edit            func(*sketch)
		want            Reason
	}{
		{"in the middle", 150 * s, 151 * s, nil, Duplicate},
		{"begins at the edge", 102 * s, 150 * s, nil, Kept},
		{"begins inside it", 102*s + ns, 150 * s, nil, Duplicate},
		{"ends at the edge", 150 * s, 198 * s, nil, Kept},
		{"ends inside it", 150 * s, 198*s - ns, nil, Duplicate},
		{"from edge to edge", 102*s + ns, 198*s - ns, nil, Duplicate},
		{"before", 50 * s, 51 * s, nil, Kept},
		{"after", 250 * s, 251 * s, nil, Kept},
		{"all around", 50 * s, 250 * s, nil, Kept},
		{"begins before", 99 * s, 150 * s, nil, Kept},
		{"ends after", 150 * s, 201 * s, nil, Kept},
		{"query time not known", 0, 150 * s, noQuery, Duplicate},
		{"query time not known, at the edge", 0, 102 * s, noQuery, Kept},
		{"query time not known, inside the edge", 0, 102*s + ns, noQuery, Duplicate},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t))
			l.HandOver(h)
			d := aResponse(during(row.query, row.response))
			if row.edit != nil {
				d.with(row.edit)
			}
			if got := l.take(d); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

// TestTransactionsThatPacketsCannotShowAreKept has transactions that are encrypted or use another
// port than 53, and similar ones.
func TestTransactionsThatPacketsCannotShowAreKept(t *testing.T) {
	to := func(port uint16) func(*sketch) {
		return func(d *sketch) { d.Server = netip.AddrPortFrom(d.Server.Addr(), port) }
	}
	encrypted := func(d *sketch) { d.Transport = Encrypted }
	for _, row := range []struct {
		name string
		edit func(*sketch)
		want Reason
	}{
		{"UDP", to(53), Duplicate},
		{"TCP", overTCP, Duplicate},
		{"a port that is not stated", to(0), Duplicate},
		{"another port", to(5300), Kept},
		{"DoT", func(d *sketch) { d.with(to(853), encrypted) }, Kept},
		{"encrypted, to a port that is not stated", func(d *sketch) { d.with(to(0), encrypted) }, Kept},
		{"DNSCrypt", encrypted, Kept},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t, func(c *Config) { c.Unanswered = true }))
			l.HandOver((*Handover)(nil).With(Span{On: spanOn, Off: spanOff}))
			if got := l.take(aResponse(during(150*s, 151*s), row.edit)); got != row.want {
				t.Errorf("response: got %v, want %v", got, row.want)
			}
			l.take(aQuery(during(110*s, 0), row.edit))
			for i := range 2 * agreement {
				l.take(aQuery(withRD, withID(uint16(i)), during(300*s, 0)))
			}
			if got := l.Counts().Dropped[Duplicate] == 2; got != (row.want == Duplicate) {
				t.Errorf("unanswered query: %+v, want %v", l.Counts(), row.want)
			}
		})
	}
}

// TestPacketLanesIgnoreAHandover, because they may be of another source.
func TestPacketLanesIgnoreAHandover(t *testing.T) {
	l := newLane(t, testPolicy(t))
	l.HandOver((*Handover)(nil).With(Span{On: spanOn, Off: spanOff}))
	l.take(aQuery(asPacket, during(150*s, 0)))
	if got := l.take(aResponse(during(150*s, 151*s), asPacket)); got != Kept {
		t.Errorf("got %v", got)
	}
}

// TestHandoverUsesTheTimeOfTheQuery has a response that does not state it. It closes the query.
func TestHandoverUsesTheTimeOfTheQuery(t *testing.T) {
	for query, want := range map[time.Duration]Reason{102 * s: Kept, 103 * s: Duplicate} {
		l := newLane(t, testPolicy(t))
		l.HandOver((*Handover)(nil).With(Span{On: spanOn, Off: spanOff}))
		l.take(aQuery(during(query, 0)))
		got := l.take(aResponse(during(0, 150*s), func(d *sketch) { d.QueryTime = NoTime }))
		if c := l.Counts(); got != want || c.Paired != 1 || c.Held != 0 {
			t.Errorf("query at %v: got %v, want %v; %+v", query, got, want, c)
		}
	}
}

// TestForwarderResponsesWithoutTimes checks that these do not count as inside a capture.
func TestForwarderResponsesWithoutTimes(t *testing.T) {
	forwarded := func(d *sketch) { d.Role, d.ResponseTime = ForwarderResponse, NoTime }
	noQuery := func(d *sketch) { d.QueryTime = NoTime }
	for _, row := range []struct {
		d    *sketch
		want Reason
	}{
		{aResponse(during(150*s, 0), forwarded), Duplicate},
		{aResponse(during(102*s, 0), forwarded), Kept},
		{aResponse(forwarded, noQuery), Kept},
	} {
		l := newLane(t, testPolicy(t, func(c *Config) { c.Forwarded = true }))
		l.HandOver((*Handover)(nil).With(Span{On: spanOn, Off: spanOff}))
		if got := l.take(row.d); got != row.want {
			t.Errorf("query at %v: got %v, want %v", row.d.QueryTime-epoch, got, row.want)
		}
	}
}

// TestKeysDecideAtTheEdges has one transaction that packets recorded near the beginning, and
// dnstap messages.
func TestKeysDecideAtTheEdges(t *testing.T) {
	log := captured(t, testPolicy(t), aQuery(during(101*s, 0)), aResponse(during(101*s, 101*s)))
	h := (*Handover)(nil).With(Span{On: spanOn, Off: spanOff}, log)
	one := during(100*s, 101*s)
	for _, row := range []struct {
		name  string
		edits []func(*sketch)
		want  Reason
	}{
		{"same", []func(*sketch){one}, Duplicate},
		{"letter case", []func(*sketch){one, asked("WWW.shop.EXAMPLE.")}, Duplicate},
		{"port and transport", []func(*sketch){one, by("192.0.2.53:7"), overTCP}, Duplicate},
		{"another resolver's address", []func(*sketch){one, by("192.0.2.54:40000")}, Duplicate},
		{"IPv4-mapped", []func(*sketch){one, from("::ffff:203.0.113.10")}, Duplicate},
		{"query time not known", []func(*sketch){one, func(d *sketch) { d.QueryTime = NoTime }}, Duplicate},
		{"another server", []func(*sketch){one, from("203.0.113.11")}, Kept},
		{"another server of IPv6", []func(*sketch){one, from("2001:db8::1")}, Kept},
		{"another ID", []func(*sketch){one, withID(1)}, Kept},
		{"another type", []func(*sketch){one, ofType(dns.TypeAAAA)}, Kept},
		{"another name", []func(*sketch){one, asked("ww.shop.example.")}, Kept},
		{"begins as far off as may be", []func(*sketch){during(96*s, 101*s)}, Duplicate},
		{"begins further off", []func(*sketch){during(96*s-ns, 101*s)}, Kept},
		{"ends as far off as may be", []func(*sketch){during(101*s, 204*s)}, Duplicate},
		{"ends further off", []func(*sketch){during(101*s, 204*s+ns)}, Kept},
		{"long before", []func(*sketch){during(10*s, 11*s)}, Kept},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(t, testPolicy(t))
			l.HandOver(h)
			if got := l.take(aResponse(row.edits...)); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

// TestUnansweredQueriesAreHandedOverToo has a policy that keeps them, with a timeout of 60 s.
func TestUnansweredQueriesAreHandedOverToo(t *testing.T) {
	wanted := testPolicy(t, func(c *Config) { c.Unanswered = true })
	log := captured(t, wanted, aQuery(during(101*s, 0), withID(1)), aQuery(during(161*s, 0), withID(2)), aQuery(during(199*s, 0), withID(3)))
	h := (*Handover)(nil).With(Span{On: spanOn, Off: spanOff}, log)
	for _, row := range []struct {
		name  string
		query *sketch
		want  Reason
	}{
		{"begins at the edge", aQuery(during(102*s, 0)), Kept},
		{"begins inside it", aQuery(during(102*s+ns, 0)), Duplicate},
		{"expires at the edge", aQuery(during(138*s, 0)), Kept},
		{"expires inside it", aQuery(during(138*s-ns, 0)), Duplicate},
		{"recorded by packets", aQuery(during(101*s, 0), withID(1)), Duplicate},
		{"as far off as may be", aQuery(during(96*s, 0), withID(1)), Duplicate},
		{"further off", aQuery(during(96*s-ns, 0), withID(1)), Kept},
		{"held by packets at the end", aQuery(during(161*s, 0), withID(2)), Kept},
		{"packets", aQuery(asPacket, during(110*s, 0)), Kept},
		{"time not known", aQuery(func(d *sketch) { d.QueryTime = NoTime }), Kept},
		{"special name", aQuery(during(110*s, 0), asked("a.test.")), Duplicate},
		{"forwarded", aQuery(during(110*s, 0), withRD), Forwarded},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, policy := range []*Policy{wanted, testPolicy(t)} {
				l := newLane(t, policy)
				l.HandOver(h)
				l.take(aQuery(during(130*s, 0), withID(9), withRD)) // sets the clock
				l.take(row.query)
				l.pass(300 * s)
				want := map[Reason]uint64{Forwarded: 1}
				switch {
				case policy != wanted && row.want == Duplicate && row.name == "special name":
					want[SpecialName]++
				case policy != wanted && row.want != Forwarded:
					want[Unanswered]++
				case row.want != Kept:
					want[row.want]++
				}
				if d := cmp.Diff(want, l.dropped()); d != "" {
					t.Errorf("unanswered wanted: %v\n%s", policy == wanted, d)
				}
				made := slices.ContainsFunc(l.records, func(r Record) bool { return !r.HasResponse })
				if made != (policy == wanted && row.want == Kept) {
					t.Errorf("unanswered wanted: %v, and there is a record: %v", policy == wanted, made)
				}
			}
		})
	}
}

func TestDuplicateIsBetweenUnsolicitedAndLocalName(t *testing.T) {
	inside := during(150*s, 151*s)
	for name, row := range map[string]struct {
		before []*sketch
		d      *sketch
		want   Reason
	}{
		"truncated":   {nil, aResponse(inside, withTC), Truncated},
		"mismatched":  {[]*sketch{aQuery(inside, ofType(dns.TypeMX))}, aResponse(inside), Mismatched},
		"local name":  {nil, aResponse(inside, asked("www.univ.example.")), Duplicate},
		"own address": {nil, aResponse(inside).answer("www.shop.example. 1 IN A 192.0.2.53"), Duplicate},
	} {
		l := newLane(t, testPolicy(t, func(c *Config) { c.LocalNames = []string{"univ.example"} }))
		l.HandOver((*Handover)(nil).With(Span{On: spanOn, Off: spanOff}))
		for _, d := range row.before {
			l.take(d)
		}
		if got := l.take(row.d); got != row.want {
			t.Errorf("%s: got %v, want %v", name, got, row.want)
		}
	}
}

// TestHandoverRemembersEightCaptures checks also that a Handover does not change when another
// is made from it.
func TestHandoverRemembersEightCaptures(t *testing.T) {
	var all []*Handover
	var h *Handover
	for i := range 10 {
		h = h.With(Span{On: spanOn + Time(i)*1000*second, Off: spanOff + Time(i)*1000*second})
		all = append(all, h)
	}
	for n, h := range all {
		if got := len(h.Spans()); got != min(n+1, maxSpans) {
			t.Errorf("%d spans after %d captures", got, n+1)
		}
		for i := range 10 {
			l := newLane(t, testPolicy(t))
			l.HandOver(h)
			want := Kept
			if i <= n && i > n-maxSpans {
				want = Duplicate
			}
			shift := time.Duration(i) * 1000 * s
			if got := l.take(aResponse(during(shift+150*s, shift+151*s))); got != want {
				t.Errorf("after %d captures, in number %d: got %v, want %v", n+1, i+1, got, want)
			}
		}
	}
	one, other := all[4].With(Span{On: 1, Off: 2}), all[4].With(Span{On: 3, Off: 4})
	if one.Spans()[5].On != 1 || other.Spans()[5].On != 3 {
		t.Errorf("%v and %v know of each other", one.Spans(), other.Spans())
	}
	if got := (*Handover)(nil).Spans(); len(got) != 0 {
		t.Errorf("nil has %v", got)
	}
}

// TestHandoverTakesManyLogs has logs of several lanes, with keys in common.
func TestHandoverTakesManyLogs(t *testing.T) {
	var logs []*KeyLog
	for i := range 3 {
		k := NewKeyLog(spanOn)
		for j := range 10 {
			k.add(uint64(100-7*i-j), spanOn, spanOn)
		}
		logs = append(logs, k)
	}
	keys := (*Handover)(nil).With(Span{On: spanOn, Off: spanOff}, logs...).Spans()[0].keys
	var want []uint64
	for i := range uint64(24) {
		want = append(want, 77+i)
	}
	if d := cmp.Diff(want, keys); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestTransactionKeysDiffer checks that each bit of the input changes the key, and that keys do
// not change between processes, because two lanes may be of different processes.
func TestTransactionKeysDiffer(t *testing.T) {
	seen := map[uint64]string{}
	note := func(what string, key uint64) {
		if old, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key", what, old)
		}
		seen[key] = what
	}
	server := someServer6.Addr().As16()
	name := wiretest.Name("www.shop.example.with.a.long.name")
	note("none", transactionKey(addrFrom(server), 7, 1, name))
	for i := range 16 {
		note("id", transactionKey(addrFrom(server), 7^1<<i, 1, name))
		note("type", transactionKey(addrFrom(server), 7, 1^1<<i, name))
	}
	for i := range 128 {
		other := server
		other[i/8] ^= 1 << (i % 8)
		note("server", transactionKey(addrFrom(other), 7, 1, name))
	}
	for i := range name {
		other := slices.Clone(name)
		other[i] ^= 1
		note("name", transactionKey(addrFrom(server), 7, 1, other))
		note("part of the name", transactionKey(addrFrom(server), 7, 1, name[:i]))
	}
	note("longer name", transactionKey(addrFrom(server), 7, 1, append(slices.Clone(name), 0)))
}

func TestHandoverDoesNotAllocate(t *testing.T) {
	policy := testPolicy(t)
	emit := func(*Record) {}
	packets := asPackets(aStream(t))
	lane := NewPairer(NewBudget(131072))
	log := NewKeyLog(packets[0].QueryTime)
	lane.KeepKeys(log)
	round := func() {
		later(packets, 3*second)
		for _, m := range packets {
			lane.Take(m, policy, emit)
		}
	}
	for range 20 {
		round()
	}
	if n := testing.AllocsPerRun(10, round); n != 0 {
		t.Errorf("%v allocations for %d packets", n, len(packets))
	}
	stream := aStream(t)
	off := stream[len(stream)/2].QueryTime + spanEdge // one half is inside, the other near
	others := NewKeyLog(off)
	for i := range uint64(1000) {
		others.add(i<<54, off, off)
	}
	lane = NewPairer(NewBudget(131072))
	lane.HandOver((*Handover)(nil).With(Span{On: off - 3600*second, Off: off}, others).With(Span{On: off + 3600*second, Off: off + 7200*second}, others))
	round = func() {
		for _, m := range stream {
			lane.Take(m, policy, emit)
		}
	}
	round()
	if n := testing.AllocsPerRun(10, round); n != 0 {
		t.Errorf("%v allocations for %d messages", n, len(stream))
	}
	if c := lane.Counts(); c.Dropped[Duplicate] < c.Paired/4 || c.Records < c.Paired/4 {
		t.Errorf("not what the test is for: %+v", c)
	}
}

// TestACaptureOfOneResolverHandsOverNothingOfAnother has dnstap messages that state the
// resolver's address, and messages that do not.
func TestACaptureOfOneResolverHandsOverNothingOfAnother(t *testing.T) {
	asked := func(addr string) func(*sketch) {
		return func(d *sketch) {
			d.Resolver = netip.AddrPort{}
			if addr != "" {
				d.Resolver = netip.AddrPortFrom(netip.MustParseAddr(addr), 5353)
			}
		}
	}
	prefixes := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:53::53/128")}
	log := captured(t, testPolicy(t), aQuery(during(101*s, 0)), aResponse(during(101*s, 102*s)))
	if len(log.appendTo(nil)) == 0 {
		t.Fatal("no key was kept")
	}
	for _, row := range []struct {
		resolver string
		want     Reason
	}{
		{"192.0.2.99", Duplicate}, {"2001:db8:53::53", Duplicate}, {"", Duplicate}, {"0.0.0.0", Duplicate}, {"::", Duplicate},
		{"192.0.3.1", Kept}, {"2001:db8:53::54", Kept},
	} {
		for place, when := range map[string]func(*sketch){"inside": during(150*s, 151*s), "by its key": during(101*s, 102*s)} {
			l := newLane(t, testPolicy(t))
			l.HandOver((*Handover)(nil).With(Span{On: spanOn, Off: spanOff, Resolvers: prefixes}, log))
			if got := l.take(aResponse(when, asked(row.resolver))); got != row.want {
				t.Errorf("%s, of %q: got %v, want %v", place, row.resolver, got, row.want)
			}
		}
	}
}

func addrFrom(octets [16]byte) netip.Addr { return netip.AddrFrom16(octets) }

// idsKept lists which of the transactions with IDs up to n a log has.
func idsKept(k *KeyLog, n int) (ids []int) {
	have := map[uint64]bool{}
	for _, key := range k.appendTo(nil) {
		have[key] = true
	}
	for id := range n + 1 {
		if have[transactionKey(someServer.Addr(), uint16(id), dns.TypeA, wiretest.Name("www.shop.example"))] {
			ids = append(ids, id)
		}
	}
	return ids
}

// answeredAt returns a query and its response with the same time.
func answeredAt(id uint16, when time.Duration) []*sketch {
	return []*sketch{aQuery(withID(id), during(when, 0)), aResponse(withID(id), during(when, when))}
}

// TestKeyLogKeepsBothEnds checks that the log has the queries of the first four seconds and the
// responses of the last eight.
func TestKeyLogKeepsBothEnds(t *testing.T) {
	var packets []*sketch
	for id, when := range []time.Duration{
		100 * s, 104*s - ns, 104 * s, // the beginning
		110 * s, 130 * s,
		142*s - ns, 142 * s, 149 * s, 150 * s, // the end
	} {
		packets = append(packets, answeredAt(uint16(id), when)...)
	}
	packets = append(packets, aQuery(withID(9), during(150*s, 0)))                           // never answered
	packets = append(packets, aResponse(withID(10), during(150*s, 150*s)))                   // never asked
	packets = append(packets, aQuery(withID(11), asked("www.shop.test."), during(150*s, 0)), // dropped
		aResponse(withID(11), asked("www.shop.test."), during(150*s, 150*s)))
	log := captured(t, testPolicy(t), packets...)
	if d := cmp.Diff([]int{0, 1, 6, 7, 8}, idsKept(log, 11)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestKeyLogKeepsUnanswered checks that unanswered queries are kept by the time at which they
// expired.
func TestKeyLogKeepsUnanswered(t *testing.T) {
	packets := []*sketch{aQuery(withID(1), during(103*s, 0)), aQuery(withID(2), during(105*s, 0)), aQuery(withID(3), during(130*s, 0))}
	for i := range 10 { // until 195 s
		packets = append(packets, aQuery(withID(100), withRD, during(140*s+time.Duration(i)*5*s+s/2, 0)))
	}
	packets = append(packets, aQuery(withID(4), during(195*s, 0)))
	log := captured(t, testPolicy(t, func(c *Config) { c.Unanswered = true }), packets...)
	if d := cmp.Diff([]int{1, 3}, idsKept(log, 4)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestKeyLogUsesTheFullTime, because the times of records are truncated.
func TestKeyLogUsesTheFullTime(t *testing.T) {
	policy := testPolicy(t, func(c *Config) { c.TimeResolution = time.Hour })
	log := captured(t, policy, append(answeredAt(1, 105*s), answeredAt(2, 130*s)...)...)
	if d := cmp.Diff([]int{2}, idsKept(log, 2)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestKeyLogStopsWithItsLane(t *testing.T) {
	log := NewKeyLog(spanOn)
	l := newLane(t, testPolicy(t))
	l.KeepKeys(log)
	l.KeepKeys(nil)
	l.take(aResponse(during(101*s, 101*s)))
	if got := log.appendTo(nil); len(l.records) != 1 || len(got) != 0 {
		t.Errorf("%d records, keys %v", len(l.records), got)
	}
}

// TestKeyLogIsBounded: it keeps the first keys of the beginning and the last of the end.
func TestKeyLogIsBounded(t *testing.T) {
	const n = maxKeys + 1000
	k := NewKeyLog(spanOn)
	for i := range n {
		k.add(uint64(i), spanOn+Time(i), spanOn+Time(i))
	}
	if len(k.first) != maxKeys || k.n != maxKeys || len(k.last) != maxKeys {
		t.Fatalf("%d and %d keys, in a ring of %d", len(k.first), k.n, len(k.last))
	}
	keys := k.appendTo(nil)
	for i := range maxKeys {
		if keys[i] != uint64(i) || keys[maxKeys+i] != uint64(1000+i) {
			t.Fatalf("key %d: %d and %d", i, keys[i], keys[maxKeys+i])
		}
	}
	k.add(n, spanOff, spanOff)
	if keys := k.appendTo(nil); len(keys) != maxKeys+1 || keys[maxKeys] != n {
		t.Errorf("%d keys after a long time", len(keys))
	}
}

// TestKeyLogsRingKeepsItsOrder has a ring that grows, shrinks and wraps around.
func TestKeyLogsRingKeepsItsOrder(t *testing.T) {
	k := NewKeyLog(spanOn)
	now, next := spanOn+10*second, uint64(0)
	var want []recorded
	for i := range 2000 {
		step := Time(time.Duration(i%7) * 10 * time.Millisecond)
		if i%500 == 499 {
			step = keyTime - second/2
		}
		now += step
		for range i % 3 {
			k.add(next, now, now)
			want = append(want, recorded{next, now})
			next++
		}
		for len(want) > 0 && now-want[0].at > keyTime && i%3 > 0 {
			want = want[1:]
		}
		if i%3 == 0 {
			continue // nothing was added, so nothing was removed
		}
		var keys []uint64
		for _, r := range want {
			keys = append(keys, r.key)
		}
		if d := cmp.Diff(keys, k.appendTo(nil)); d != "" {
			t.Fatalf("step %d (-want +got):\n%s", i, d)
		}
	}
	if next < 1000 || len(k.last) < 256 {
		t.Errorf("%d keys in a ring of %d", next, len(k.last))
	}
}

// After a lull of more than a minute the lane's clock is late until enough messages agree.
// Copies and keys use the packets' own times.
const lull = 100 * time.Second

func TestKeyLogKeepsWhatFollowsALull(t *testing.T) {
	packets := answeredAt(0, 106*s)
	var want []int
	for i := 1; i <= 2*agreement; i++ {
		packets = append(packets, answeredAt(uint16(i), 106*s+lull+time.Duration(i)*time.Millisecond)...)
		want = append(want, i)
	}
	if got := idsKept(captured(t, testPolicy(t), packets...), 2*agreement); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got keys of %v, want of %v", got, want)
	}
}
