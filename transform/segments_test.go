package transform

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestStoreIsAsAMap: values stay, places are not given twice, and of the empty
// segments one at most is kept.
func TestStoreIsAsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s store[int]
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

func checkStore(t *rapid.T, s *store[int], want map[int32]int) {
	for i, v := range want {
		if *s.at(i) != v {
			t.Fatalf("%d at %d, want %d", *s.at(i), i, v)
		}
	}
	live, empty, roomy := 0, 0, 0
	for n, g := range s.segments {
		if g == nil {
			continue
		}
		live += g.live
		if g.live == 0 {
			empty++
			if s.roomy[0] != int32(n) {
				t.Fatalf("segment %d is empty and would not be filled last: %v", n, s.roomy)
			}
		}
		if g.live < segmentSize {
			roomy++
		}
	}
	if live != len(want) || empty > 1 || roomy != len(s.roomy) {
		t.Fatalf("%d live, want %d; %d empty segments; %d roomy, %d noted", live, len(want), empty, roomy, len(s.roomy))
	}
}

// TestTableAtTheBrinkDoesNotAllocate: a new segment is not given back at once.
func TestTableAtTheBrinkDoesNotAllocate(t *testing.T) {
	var s store[pending]
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

// asking fills a message with the n-th of many queries, each with a key of its own.
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

// usedHeap is what is in use after garbage was collected.
func usedHeap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestAFullTablesMemory is bounded, with short names and with long, and given back.
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
			p.Finish()
			if left := usedHeap() - before; left > 200_000 {
				t.Errorf("%d octets left of %d", left, full)
			}
			runtime.KeepAlive(p)
		})
	}
}

// TestAShrunkenTablesMemory is given back by a lane that goes on: a peak of long
// names does not stay with it, nor does it with each lane that had one.
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

// TestExpiryOfAFullTable is one message's work: it must not take long.
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
