//go:build sweep

package rrset

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

var plotFile = flag.String("plot", "", "TestGrowth writes its plot to this file, as SVG")

// A growth is what a table with that many entries costs. Times are CPU time.
type growth struct {
	entries                   int
	added, hit, evicted       float64 // nanoseconds for each call of Observe
	heap                      float64 // octets for each entry, with its data
	saved, loaded, stateBytes float64 // seconds, seconds, octets
}

// growthData are the octets of name and rdata in each entry of a flood.
const growthData = 26

// TestGrowth measures tables of 10^4 to 10^7 entries. It fails if an entry needs too much memory, or if
// a state does not have all entries.
func TestGrowth(t *testing.T) {
	t.Logf("%10s %12s %10s %12s %14s %9s %9s %10s", "entries", "new, ns", "hit, ns", "evicting, ns", "heap, octets", "save, s", "load, s", "state, MB")
	var all []growth
	for n := 10_000; n <= 10_000_000; n *= 10 {
		g := measureGrowth(t, n)
		t.Logf("%10d %12.0f %10.0f %12.0f %14.1f %9.4f %9.4f %10.2f", n, g.added, g.hit, g.evicted, g.heap, g.saved, g.loaded, g.stateBytes/1e6)
		if n >= 100_000 && g.heap > growthData+150 { // fewer do not fill the first segments
			t.Errorf("%d entries of %d octets: %.1f octets of heap for each, want at most 150 in addition", n, growthData, g.heap)
		}
		all = append(all, g)
	}
	if *plotFile != "" {
		if err := os.WriteFile(*plotFile, growthPlot(all), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func measureGrowth(t *testing.T, n int) growth {
	const calls = 1_000_000
	limits := Limits{Window: time.Hour, MaxEntries: n, MaxBytes: 2 << 30}
	table, err := NewTable(limits, func(*Aggregate) {})
	if err != nil {
		t.Fatal(err)
	}
	g, f := growth{entries: n}, newFlood()
	before := heapInUse()
	g.added = cpu(t, func() { f.observe(t, table, n) }) / float64(n) * 1e9
	g.heap = float64(heapInUse()-before) / float64(n)

	state, err := os.Create(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	g.saved = cpu(t, func() { err = table.Save(state, time.Duration(f.next)) })
	if err != nil {
		t.Fatal(err)
	}
	info, err := state.Stat()
	if err != nil {
		t.Fatal(err)
	}
	g.stateBytes = float64(info.Size())

	g.hit = cpu(t, func() { observeKnown(t, table, f.next, calls) }) / calls * 1e9
	g.evicted = cpu(t, func() { f.observe(t, table, calls) }) / calls * 1e9
	if s := table.Stats(); s.Entries != n || s.Evicted != calls {
		t.Fatalf("%+v, want %d entries and %d evicted: the limits or the hits are wrong", s, n, calls)
	}

	table = nil
	runtime.GC()
	g.loaded = cpu(t, func() { table, err = LoadTable(state, limits, 0, func(*Aggregate) {}) })
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Stats().Entries; got != n {
		t.Errorf("%d entries were loaded, want %d", got, n)
	}
	return g
}

// observeKnown observes the first n RRsets of a flood in random order, as often as calls states.
func observeKnown(t *testing.T, table *Table, n uint64, calls int) {
	set, at := newFlood().set, uint64(0)
	for range calls {
		binary.BigEndian.PutUint64(set.Name[1:], at%n)
		if err := table.Observe(set, once(1), 0, time.Duration(n)); err != nil {
			t.Fatal(err)
		}
		at += 0x9e3779b97f4a7c15
	}
}

// TestCostPerRecord measures the records in captures of real resolvers: splitting, then
// verification too, then the table too. It fails if no RRset passes.
func TestCostPerRecord(t *testing.T) {
	t.Logf("%-10s %-8s %8s %8s %8s %10s %10s %10s", "capture", "as", "records", "rrsets", "passed", "split, ns", "verify, ns", "observe, ns")
	for _, capture := range []string{"unbound-3", "bind-2", "pdns-2"} {
		var stated, packets []*transform.Record
		observed(t, capture, func(r *transform.Record) {
			c := *r
			c.Name, c.Zone, c.Response = bytes.Clone(r.Name), bytes.Clone(r.Zone), bytes.Clone(r.Response)
			p := c
			p.Zone = nil
			stated, packets = append(stated, &c), append(packets, &p)
		})
		measureRecords(t, capture, "dnstap", stated)
		measureRecords(t, capture, "packets", packets)
	}
}

func measureRecords(t *testing.T, capture, as string, records []*transform.Record) {
	const calls = 200_000
	s, splitter, rrsets, passed := newLabSensor(t), NewSplitter(), 0, 0
	table, err := NewTable(Limits{Window: time.Hour, MaxEntries: 1_000_000, MaxBytes: 512 << 20}, func(*Aggregate) {})
	if err != nil {
		t.Fatal(err)
	}
	pass := func(take func(*transform.Record)) {
		for _, r := range records {
			take(r)
		}
	}
	// each returns the nanoseconds per record, without the first pass, in which the cache of delegations grows.
	each := func(take func(*transform.Record)) float64 {
		pass(take)
		rounds := calls / len(records)
		return cpu(t, func() {
			for range rounds {
				pass(take)
			}
		}) / float64(rounds*len(records)) * 1e9
	}
	split := each(func(r *transform.Record) { splitter.Split(r.Response) })
	verify := each(func(r *transform.Record) { s.Take(r, 0, func(*RRset, transform.Time, uint32) {}) })
	observe := each(func(r *transform.Record) {
		s.Take(r, 0, func(set *RRset, _ transform.Time, _ uint32) {
			if err := table.Observe(set, once(1), 0, 0); err != nil {
				t.Fatal(err)
			}
		})
	})
	pass(func(r *transform.Record) {
		if response, ok := splitter.Split(r.Response); ok {
			rrsets += response.Len()
		}
		s.Take(r, 0, func(*RRset, transform.Time, uint32) { passed++ })
	})
	if passed == 0 {
		t.Errorf("%s as %s: no RRset passed", capture, as)
	}
	t.Logf("%-10s %-8s %8d %8d %8d %10.0f %10.0f %10.0f", capture, as, len(records), rrsets, passed, split, verify, observe)
}

// cpu returns the seconds of CPU time, of user and system, that the process used during do.
func cpu(t *testing.T, do func()) float64 {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	do()
	return float64(used()-before) / 1e9
}

// heapInUse returns the octets of live objects.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
