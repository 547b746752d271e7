package transform

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// TestStoreBehavesLikeAMap: values stay, an element is not allocated twice, and at most one
// empty segment is kept.
func TestStoreBehavesLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s store[struct{}, int]
		want := map[int32]int{}
		var places []int32
		grow := func(n int) {
			for range n {
				i := s.allocate()
				if _, taken := want[i]; taken {
					t.Fatalf("place %d given twice", i)
				}
				*s.at(i) = len(want)
				want[i] = len(want)
				places = append(places, i)
			}
		}
		shrink := func(n int) {
			for range min(n, len(places)) {
				k := rapid.IntRange(0, len(places)-1).Draw(t, "place")
				i := places[k]
				places[k] = places[len(places)-1]
				places = places[:len(places)-1]
				delete(want, i)
				s.release(i)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"grow":   func(t *rapid.T) { grow(rapid.IntRange(0, 300).Draw(t, "n")) },
			"shrink": func(t *rapid.T) { shrink(rapid.IntRange(0, 300).Draw(t, "n")) },
			"":       func(t *rapid.T) { checkStore(t, &s, want) },
		})
		shrink(len(places))
		checkStore(t, &s, want)
	})
}

func checkStore(t *rapid.T, s *store[struct{}, int], want map[int32]int) {
	for i, v := range want {
		if *s.at(i) != v {
			t.Fatalf("%d at %d, want %d", *s.at(i), i, v)
		}
	}
	live, empty, available := 0, 0, 0
	for n, g := range s.segments {
		if g == nil {
			continue
		}
		live += g.live
		if g.live == 0 {
			empty++
			if s.available[0] != int32(n) {
				t.Fatalf("segment %d is empty and would not be filled last: %v", n, s.available)
			}
		}
		if g.live < segmentSize {
			available++
		}
	}
	if live != len(want) || empty > 1 || available != len(s.available) {
		t.Fatalf("%d live, want %d; %d empty segments; %d available, %d noted", live, len(want), empty, available, len(s.available))
	}
}

// TestTableAtASegmentBoundaryDoesNotAllocate, because an empty segment is not released at once.
func TestTableAtASegmentBoundaryDoesNotAllocate(t *testing.T) {
	var s store[link, pending]
	for range segmentSize - 1 {
		s.allocate()
	}
	first := s.allocate()
	last := s.allocate() // alone in a second segment
	s.release(first)
	if n := testing.AllocsPerRun(100, func() {
		s.release(last)
		first, last = s.allocate(), s.allocate()
		s.release(first)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// asking fills a message with the n-th of many queries, each with a different key.
type asking struct {
	m    Message
	wire []byte
}

func newAsking(name string) *asking {
	m := aQuery(asked(name)).message()
	return &asking{*m, m.Wire}
}

func (a *asking) query(n int) *Message {
	binary.BigEndian.PutUint16(a.wire, uint16(n))
	a.m.Server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(n >> 16)}), 53)
	return &a.m
}

// usedHeap returns the octets in use after a garbage collection.
func usedHeap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestAFullTablesMemory checks that it is bounded, with short and with long names, and that it
// is released.
func TestAFullTablesMemory(t *testing.T) {
	const maxQueries = 131072
	for _, row := range []struct {
		name   string
		qname  string
		held   int
		octets int64 // of each unit of the budget, at most
	}{
		{"short names", "www.shop.example.", maxQueries, 200},
		{"long names", strings.Repeat("x.", 120), maxQueries / (1 + slotCost), 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			policy := testPolicy(t)
			before := usedHeap()
			p := NewPairer(NewBudget(maxQueries))
			a := newAsking(row.qname)
			for n := range maxQueries + 1000 {
				p.Take(a.query(n), policy, nil)
			}
			if held := p.Counts().Held; held != uint64(row.held) {
				t.Fatalf("%d held", held)
			}
			full := usedHeap() - before
			t.Logf("%d queries in %d octets: %d each", row.held, full, full/int64(row.held))
			if full > row.octets*maxQueries {
				t.Errorf("%d octets each, want %d at most", full/maxQueries, row.octets)
			}
			p.Finish(policy, nil)
			if left := usedHeap() - before; left > 200_000 {
				t.Errorf("%d octets left of %d", left, full)
			}
			runtime.KeepAlive(p)
		})
	}
}

// TestAShrunkenTablesMemory checks that it is released while the lane is in use, after a peak
// of long names in one lane or in several.
func TestAShrunkenTablesMemory(t *testing.T) {
	policy := testPolicy(t)
	before := usedHeap()
	p := NewPairer(NewBudget(131072))
	a := newAsking(strings.Repeat("x.", 120))
	for n := range 40000 {
		p.Take(a.query(n), policy, nil)
	}
	peak := usedHeap() - before
	short := newAsking("www.shop.example.")
	for n := range 70 { // the peak expires; queries wait all the time
		m := short.query(n)
		m.QueryTime = epoch + Time(n)*second
		p.Take(m, policy, nil)
	}
	if held := p.Counts().Held; held != 60 {
		t.Fatalf("%d held", held)
	}
	if left := usedHeap() - before; left > 300_000 {
		t.Errorf("%d octets left of %d with %d queries held", left, peak, 60)
	}
	runtime.KeepAlive(p)
}

// TestExpiryOfAFullTable checks that one message expires a full table in a short time.
func TestExpiryOfAFullTable(t *testing.T) {
	policy := testPolicy(t, func(c *Config) { c.Unanswered = true })
	p := NewPairer(NewBudget(131072))
	a := newAsking("www.shop.example.")
	for n := range 131072 {
		p.Take(a.query(n), policy, nil)
	}
	records := 0
	start := time.Now()
	a.m.QueryTime += 60 * second
	p.Take(a.query(1), policy, func(*Record) { records++ })
	took := time.Since(start)
	t.Logf("%d records in %v", records, took)
	if records != 131072 || took > 10*time.Second {
		t.Error(fmt.Sprint("too slow, or too few: ", records, " in ", took))
	}
}

// TestPacketCopies has the orders in which a mirror sends a query, its response and their
// copies, and reasons that precede duplicate.
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
		want    []Reason // of an early response that is held: Kept
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
		{"response, more than that", []*sketch{q(), r(), r(at(2000*time.Millisecond + 1))}, []Reason{Kept, Kept, Kept}},

		{"another answer", []*sketch{q(), r(), r(other), r()}, []Reason{Kept, Kept, Unsolicited, Duplicate}},
		{"another answer's copies", []*sketch{q(), r(), r(other), r(other)}, []Reason{Kept, Kept, Unsolicited, Unsolicited}},
		{"no query", []*sketch{r(), r()}, []Reason{Kept, Duplicate}},
		{"answer in another letter case", []*sketch{q(upper), r(), q(upper), r()}, []Reason{Kept, Kept, Duplicate, Duplicate}},
		{"another question pending", []*sketch{q(), r(), q(ofType(dns.TypeMX)), r()}, []Reason{Kept, Kept, Kept, Mismatched}},
		{"another type", []*sketch{q(), r(), q(ofType(dns.TypeMX)), r(ofType(dns.TypeMX))}, []Reason{Kept, Kept, Kept, Kept}},
		{"another class", []*sketch{q(), r(), q(func(d *sketch) { d.dns.Question[0].Qclass = dns.ClassCHAOS })}, []Reason{Kept, Kept, Kept}},
		{"another ID", []*sketch{q(), r(), q(withID(1)), r(withID(2))}, []Reason{Kept, Kept, Kept, Kept}},
		{"another name", []*sketch{q(), r(), q(asked("w.shop.example."))}, []Reason{Kept, Kept, Kept}},
		{"another port", []*sketch{q(), r(), q(by("192.0.2.53:1")), r(by("192.0.2.53:2"))}, []Reason{Kept, Kept, Kept, Kept}},
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

// TestDnstapRemembersNoAnswers, because resolvers log each message once; a dnstap lane has no
// memory for answers.
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

// TestKeysOfAnswers: a key depends on every part of five-tuple, ID and question, except on the
// letter case of the name, whose octets are hashed eight at a time.
func TestKeysOfAnswers(t *testing.T) {
	var y memory
	base := aQuery(asPacket).message()
	key := func(edit func(*Message), id, qtype, qclass uint16, name string) uint64 {
		m := *base
		if edit != nil {
			edit(&m)
		}
		return y.keyOf(&m, id, qtype, qclass, []byte(name))
	}
	moved := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Next(), a.Port()) }
	renumbered := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()+1) }
	for length := 1; length <= 40; length++ {
		name := strings.Repeat("a", length)
		want := key(nil, 1, 2, 3, name)
		if got := key(nil, 1, 2, 3, strings.ToUpper(name)); got != want {
			t.Errorf("%d octets: the letter case changes the key", length)
		}
		others := map[string]uint64{
			"server":        key(func(m *Message) { m.Server = moved(m.Server) }, 1, 2, 3, name),
			"server port":   key(func(m *Message) { m.Server = renumbered(m.Server) }, 1, 2, 3, name),
			"resolver":      key(func(m *Message) { m.Resolver = moved(m.Resolver) }, 1, 2, 3, name),
			"resolver port": key(func(m *Message) { m.Resolver = renumbered(m.Resolver) }, 1, 2, 3, name),
			"transport":     key(func(m *Message) { m.Transport = TCP }, 1, 2, 3, name),
			"swapped":       key(func(m *Message) { m.Server, m.Resolver = m.Resolver, m.Server }, 1, 2, 3, name),
			"id":            key(nil, 2, 2, 3, name),
			"type":          key(nil, 1, 3, 3, name),
			"class":         key(nil, 1, 2, 2, name),
			"longer":        key(nil, 1, 2, 3, name+"a"),
			"with a zero":   key(nil, 1, 2, 3, name+"\x00"),
		}
		for i := range length {
			others[fmt.Sprintf("octet %d", i)] = key(nil, 1, 2, 3, name[:i]+"b"+name[i+1:])
		}
		for part, got := range others {
			if got == want {
				t.Errorf("%d octets: the key does not depend on this: %s", length, part)
			}
		}
	}
}

// TestTakingPacketsDoesNotAllocate measures a lane that has its memory already; half of the
// packets are copies.
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

func TestCopiesAreKnownAcrossALull(t *testing.T) {
	l := newLane(t, testPolicy(t))
	l.take(aQuery(asPacket))
	l.take(aResponse(asPacket))
	for i := range 2 * agreement {
		when := lull + time.Duration(i)*time.Millisecond
		query := aQuery(asPacket, withID(uint16(i)), during(when, 0))
		response := aResponse(asPacket, withID(uint16(i)), during(when, when))
		for k, want := range []Reason{Kept, Kept, Duplicate, Duplicate} {
			if got := l.take([]*sketch{query, response}[k%2]); got != want {
				t.Errorf("message %d of transaction %d: got %v, want %v", k, i, got, want)
			}
		}
	}
}

// TestMemoryOfAQuery: package startcheck counts 192 bytes for each query of a full table.
func TestMemoryOfAQuery(t *testing.T) {
	const counted = 192
	query := reflect.TypeOf(segment[link, pending]{}).Size()/segmentSize + 4 // and its bucket
	if query > counted || query < counted*9/10 {
		t.Errorf("a pending query takes %d bytes, %d are counted: change both", query, counted)
	}
}
