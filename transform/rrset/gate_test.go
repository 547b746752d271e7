package rrset

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// report observes an RRset once, as reported by a source.
func report(t testing.TB, table *Table, set *RRset, source uint32, now time.Duration) {
	t.Helper()
	if err := table.Observe(set, once(1), source, now); err != nil {
		t.Fatal(err)
	}
}

func TestAnRRsetLeavesWhenEnoughSourcesHaveReportedIt(t *testing.T) {
	for n := 2; n <= MaxRelease; n++ {
		table, got := newTestTable(t, Limits{Window: time.Minute, MaxEntries: 1000, MaxBytes: roomy, Release: n, Insertions: true})
		set := addressSet("www", 1)
		for range 3 { // again and again, without a source, and by the same ones
			report(t, table, set, 0, 0)
			for source := 1; source < n; source++ {
				report(t, table, set, uint32(source), 0)
			}
		}
		if len(got.all) > 0 {
			t.Fatalf("%d sources: emitted after %d", n, n-1)
		}
		report(t, table, set, math.MaxUint32, 0)
		report(t, table, set, math.MaxUint32-1, 0)
		table.Flush()
		want := []Aggregate{
			{RRset: *set, Sighting: Sighting{1, 1, uint32(3*n + 1)}, Event: Insertion},
			{RRset: *set, Sighting: Sighting{1, 1, uint32(3*n + 2)}, Event: Expiration},
		}
		if diff := cmp.Diff(want, got.all); diff != "" {
			t.Errorf("%d sources (-want +got):\n%s", n, diff)
		}
	}
}

// TestSourcesOfEarlierWindowsCount has each source in a window of its own.
func TestSourcesOfEarlierWindowsCount(t *testing.T) {
	table, got := newTestTable(t, Limits{Window: time.Minute, MaxEntries: 1000, MaxBytes: roomy, Release: 3, Insertions: true})
	set := addressSet("www", 1)
	var counts []uint64
	for window, source := range []uint32{1, 1, 2, 3, 1, 0} {
		report(t, table, set, source, time.Duration(window)*time.Minute)
		table.Flush()
		counts = append(counts, uint64(len(got.take())), table.Stats().Unreleased)
	}
	// An insertion and an expiration from the window of the third source on.
	if diff := cmp.Diff([]uint64{0, 1, 0, 2, 0, 3, 2, 3, 2, 3, 2, 3}, counts); diff != "" {
		t.Errorf("emitted and unreleased, by window (-want +got):\n%s", diff)
	}
}

func TestReleaseIsChecked(t *testing.T) {
	limits := Limits{Window: 1, MaxEntries: 1, MaxBytes: MinBytes}
	for release, ok := range map[int]bool{-1: false, 0: true, 1: false, 2: true, 4: true, 5: false} {
		limits.Release = release
		if _, err := NewTable(limits, nil); (err == nil) != ok {
			t.Errorf("release by %d sources: %v", release, err)
		}
	}
	if _, err := LoadTable(nil, Limits{Window: 1, MaxEntries: 1, MaxBytes: MinBytes, Release: 2}, 0, nil); err == nil {
		t.Error("a state was loaded into a table with a gate")
	}
}

// TestAFloodBelowADomainEvictsItsOwn has names of other domains that one source reported, a flood of names below one domain,
// and then another source. The flood is more than the table can hold, with memory that its dead entries fill many times.
func TestAFloodBelowADomainEvictsItsOwn(t *testing.T) {
	const entries, others = 20_000, 10_000
	table, got := newTestTable(t, Limits{Window: time.Hour, MaxEntries: entries, MaxBytes: 6 << 20, Release: 2})
	other := func(i int) *RRset {
		set := addressSet("www", 1)
		set.Name = name("www", fmt.Sprintf("n%d", i), "com")
		set.Bailiwick = set.Name
		return set
	}
	for i := range others {
		report(t, table, other(i), 1, 0)
	}
	for f := newFlood(); f.next < 300_000; {
		binary.BigEndian.PutUint64(f.set.Name[1:], f.next)
		f.next++
		report(t, table, f.set, 1, 0)
		s := table.Stats()
		if s.Bytes > 6<<20 || s.Entries > others+entries/perDomain {
			t.Fatalf("after %d: %+v", f.next, s)
		}
	}
	if s := table.Stats(); s.FullDomains != 1 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
	for i := range others {
		report(t, table, other(i), 2, 0)
	}
	table.Flush()
	if n := len(got.take()); n < others*99/100 { // a few have the hash of the flood's domain
		t.Errorf("%d of %d other RRsets were released", n, others)
	}
}

// TestSightingsAreAccountedFor compares what was observed with what was emitted and counted.
func TestSightingsAreAccountedFor(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var emitted uint64
		limits := Limits{Window: 30, MaxEntries: rapid.IntRange(1, 300).Draw(rt, "entries"), MaxBytes: 900 << 10, Release: rapid.IntRange(2, MaxRelease).Draw(rt, "release")}
		table, err := newTable(limits, func(a *Aggregate) { emitted += uint64(a.Count) }, 256)
		if err != nil {
			rt.Fatal(err)
		}
		const n = 1000
		set, seed := addressSet("12", 1), rapid.Uint64().Draw(rt, "seed")
		domains := uint64(rapid.IntRange(1, 40).Draw(rt, "domains"))
		for i := range uint64(n) {
			x := (seed + i) * 0x9e3779b97f4a7c15
			set.Name = name(fmt.Sprint(x>>32%17), fmt.Sprint("d", x>>40%domains), "com")
			set.Bailiwick = set.Name
			if err := table.Observe(set, once(1), uint32(x>>50%5), time.Duration(i)); err != nil {
				rt.Fatal(err)
			}
		}
		table.Flush()
		if s := table.Stats(); emitted+s.Unreleased != n {
			rt.Errorf("%d emitted and %d unreleased, of %d", emitted, s.Unreleased, n)
		}
	})
}

// TestMemoryOfAGate measures entries whose windows begin again and again, so that they leave dead ones.
func TestMemoryOfAGate(t *testing.T) {
	const n = 100_000
	cost := func(release int) int {
		table, _ := newTestTable(t, Limits{Window: time.Hour, MaxEntries: 100 * n, MaxBytes: 1 << 30, Release: release})
		most := 0
		for round := range 4 {
			f := newFlood()
			for f.next < n {
				binary.BigEndian.PutUint64(f.set.Name[1:], f.next)
				f.next++
				report(t, table, f.set, 1, time.Duration(round))
				most = max(most, table.Stats().Bytes)
			}
			table.Flush()
		}
		return (most - table.gate.bytes()) / n
	}
	without := cost(0)
	for release := 2; release <= MaxRelease; release++ {
		with := cost(release)
		t.Logf("%d octets for each of %d entries, with release by %d sources %d", without, n, release, with)
		if with > without+64 {
			t.Errorf("release by %d sources: %d octets for an entry, %d without", release, with, without)
		}
	}
}

func TestObserveAllocatesNothingForAKnownRRsetOfAGate(t *testing.T) {
	table, err := NewTable(Limits{Window: time.Hour, MaxEntries: 20_000, MaxBytes: 2 * MinBytes, Release: 3}, func(*Aggregate) {})
	if err != nil {
		t.Fatal(err)
	}
	set := addressSet("www", 3, 2, 1)
	report(t, table, set, 1, 0)
	source := uint32(0)
	if n := testing.AllocsPerRun(100, func() { source++; report(t, table, set, source%4, 0); table.Flush() }); n != 0 {
		t.Errorf("%v allocations for a known RRset", n)
	}
}

// BenchmarkGate measures the same with and without a gate: a known RRset, and one of which each evicts another.
func BenchmarkGate(b *testing.B) {
	for _, release := range []int{0, 2, 4} {
		table, err := NewTable(Limits{Window: time.Hour, MaxEntries: benchEntries, MaxBytes: 1 << 30, Release: release}, func(*Aggregate) {})
		if err != nil {
			b.Fatal(err)
		}
		set := addressSet("www", 1)
		domain := func(n uint64) []byte {
			return append(fmt.Appendf(append(set.Name[:0], 8), "%08x", uint32(n)), "\x03com\x00"...)
		}
		set.Name = make([]byte, 0, 64)
		observe := func(b *testing.B, n uint64) {
			set.Name = domain(n)
			set.Bailiwick = set.Name
			if err := table.Observe(set, once(1), uint32(n>>7), 0); err != nil {
				b.Fatal(err)
			}
		}
		for n := range uint64(benchEntries) {
			observe(b, n)
		}
		b.Run(fmt.Sprintf("release=%d/known", release), func(b *testing.B) {
			for at := uint64(0); b.Loop(); at += 0x9e3779b97f4a7c15 {
				observe(b, at%benchEntries)
			}
		})
		next := uint64(benchEntries)
		b.Run(fmt.Sprintf("release=%d/evicts", release), func(b *testing.B) {
			b.ReportAllocs()
			for ; b.Loop(); next++ {
				observe(b, next)
			}
		})
	}
}
