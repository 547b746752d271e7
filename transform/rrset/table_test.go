package rrset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const roomy = 64 << 20

// name returns a name in wire form.
func name(labels ...string) []byte {
	var b []byte
	for _, l := range labels {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}

// addressSet returns the RRset of the address records of a name under example.com.
func addressSet(label string, addresses ...byte) *RRset {
	set := &RRset{Name: name(label, "example", "com"), Type: 1, Class: 1, TTL: 300, Bailiwick: name("example", "com")}
	for _, a := range addresses {
		set.Rdata = append(set.Rdata, []byte{192, 0, 2, a})
	}
	return set
}

func once(at uint32) Sighting { return Sighting{at, at, 1} }

// clone returns an Aggregate that borrows nothing.
func clone(a *Aggregate) Aggregate {
	c := *a
	c.Name, c.Bailiwick, c.Rdata = bytes.Clone(a.Name), bytes.Clone(a.Bailiwick), nil
	for _, r := range a.Rdata {
		c.Rdata = append(c.Rdata, append([]byte{}, r...))
	}
	return c
}

// A collector keeps what a table emits.
type collector struct{ all []Aggregate }

func (c *collector) emit(a *Aggregate) { c.all = append(c.all, clone(a)) }

func (c *collector) take() []Aggregate {
	all := c.all
	c.all = nil
	return all
}

func newTestTable(t testing.TB, limits Limits) (*Table, *collector) {
	t.Helper()
	var c collector
	table, err := NewTable(limits, c.emit)
	if err != nil {
		t.Fatal(err)
	}
	return table, &c
}

func observe(t testing.TB, table *Table, set *RRset, seen Sighting, now time.Duration) {
	t.Helper()
	if err := table.Observe(set, seen, 0, now); err != nil {
		t.Fatal(err)
	}
}

func TestSightingsOfAWindowAreOneExpiration(t *testing.T) {
	table, got := newTestTable(t, Limits{Window: time.Minute, MaxEntries: 10, MaxBytes: roomy})
	set := addressSet("www", 2, 1)
	observe(t, table, set, once(100), 0)
	set.TTL, set.Rdata[0], set.Rdata[1] = 900, set.Rdata[1], set.Rdata[0]
	observe(t, table, set, once(130), 30*time.Second)
	set.TTL = 20
	observe(t, table, set, once(90), 59*time.Second)
	if len(got.all) > 0 {
		t.Fatalf("emitted in the window: %v", got.all)
	}
	observe(t, table, addressSet("www", 3), once(131), time.Minute)
	want := Aggregate{RRset: *addressSet("www", 1, 2), Sighting: Sighting{90, 130, 3}, Event: Expiration}
	want.TTL = 900
	if diff := cmp.Diff([]Aggregate{want}, got.take()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if next, ok := table.NextExpiration(); !ok || next != 2*time.Minute {
		t.Errorf("the next window ends at %v, %v, want 2m", next, ok)
	}
	table.Flush()
	if len(got.take()) != 1 {
		t.Error("the other RRset was not emitted at the end")
	}
	if _, ok := table.NextExpiration(); ok {
		t.Error("an empty table has another window")
	}
}

// TestKeyFields observes RRsets that differ from the first one in one field each.
func TestKeyFields(t *testing.T) {
	table, got := newTestTable(t, Limits{Window: time.Minute, MaxEntries: 10, MaxBytes: roomy})
	for _, change := range []func(*RRset){
		func(*RRset) {},
		func(s *RRset) { s.Name = name("ww", "example", "com") },
		func(s *RRset) { s.Type = 257 },
		func(s *RRset) { s.Class = 3 },
		func(s *RRset) { s.Bailiwick = s.Name },
		func(s *RRset) { s.Bailiwick = []byte{0} },
		func(s *RRset) { s.Rdata = s.Rdata[:1] },
		func(s *RRset) { s.Rdata = [][]byte{slices.Concat(s.Rdata[0], []byte{0, 4}, s.Rdata[1])} },
		func(s *RRset) { s.Rdata = [][]byte{{}} },
	} {
		set := addressSet("www", 1, 2)
		change(set)
		observe(t, table, set, once(1), 0)
	}
	observe(t, table, addressSet("www", 1, 2, 1), once(1), 0) // a repetition, as an RRset from elsewhere may have
	table.Flush()
	if len(got.all) != 9 || got.all[0].Count != 2 {
		t.Errorf("%d RRsets, the first seen %d times; want 9, 2", len(got.all), got.all[0].Count)
	}
}

func TestRdataIsSortedAsDatabasesDo(t *testing.T) {
	table, got := newTestTable(t, Limits{Window: time.Minute, MaxEntries: 10, MaxBytes: roomy})
	set := addressSet("www")
	set.Rdata = [][]byte{{2}, {1, 1, 1}, {255}, {}, {1, 1}, {0, 255}}
	observe(t, table, set, once(1), 0)
	table.Flush()
	want := [][]byte{{}, {2}, {255}, {0, 255}, {1, 1}, {1, 1, 1}}
	if diff := cmp.Diff(want, got.all[0].Rdata); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSightingsFromElsewhereAreMerged(t *testing.T) {
	table, got := newTestTable(t, Limits{Window: time.Minute, MaxEntries: 10, MaxBytes: roomy})
	set := addressSet("www", 1)
	observe(t, table, set, once(1000), 0)
	observe(t, table, set, Sighting{5, 2000, math.MaxUint32 - 3}, 0)
	observe(t, table, set, Sighting{0, math.MaxUint32, 2}, 0)
	set.TTL = math.MaxUint32
	observe(t, table, set, Sighting{7, 8, 100}, 0)
	table.Flush()
	want := Aggregate{RRset: *set, Sighting: Sighting{0, math.MaxUint32, math.MaxUint32}, Event: Expiration}
	if diff := cmp.Diff([]Aggregate{want}, got.all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExtremeClocks(t *testing.T) {
	table, got := newTestTable(t, Limits{Window: math.MaxInt64, MaxEntries: 10, MaxBytes: roomy})
	for i, now := range []time.Duration{math.MinInt64, -1, math.MinInt64, math.MaxInt64, 0} {
		observe(t, table, addressSet("www", byte(i)), once(0), now)
	}
	var ended []byte
	for _, a := range got.take() {
		ended = append(ended, a.Rdata[0][3])
	}
	if !bytes.Equal(ended, []byte{0, 1, 2}) { // at MaxInt64; an earlier time afterwards changes nothing
		t.Errorf("RRsets %v have ended, want 0, 1, 2", ended)
	}
}

func TestBigRRsets(t *testing.T) {
	table, got := newTestTable(t, Limits{Window: time.Minute, MaxEntries: 100, MaxBytes: MinBytes})
	long := addressSet("long")
	long.Rdata = [][]byte{bytes.Repeat([]byte{7}, math.MaxUint16)}
	many := addressSet("many")
	for i := range 1000 {
		many.Rdata = append(many.Rdata, binary.BigEndian.AppendUint16(bytes.Repeat([]byte{1}, 800), uint16(999-i)))
	}
	for range 2 {
		observe(t, table, long, once(1), 0)
		observe(t, table, many, once(1), 0)
	}
	table.Flush()
	want := []Aggregate{
		{RRset: *long, Sighting: Sighting{1, 1, 2}, Event: Expiration},
		{RRset: *many, Sighting: Sighting{1, 1, 2}, Event: Expiration},
	}
	slices.Reverse(want[1].Rdata)
	if diff := cmp.Diff(want, got.take(), cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInvalidRRsetsAreRefused(t *testing.T) {
	table, got := newTestTable(t, Limits{Window: time.Minute, MaxEntries: 100, MaxBytes: MinBytes})
	half := bytes.Repeat([]byte{7}, math.MaxUint16)
	for name, tt := range map[string]struct {
		change func(*RRset)
		want   error
	}{
		"no name":                     {func(s *RRset) { s.Name, s.Bailiwick = nil, nil }, ErrMalformed},
		"a long name":                 {func(s *RRset) { s.Name = append(make([]byte, 255), s.Name...) }, ErrMalformed},
		"no bailiwick":                {func(s *RRset) { s.Bailiwick = nil }, ErrMalformed},
		"another bailiwick":           {func(s *RRset) { s.Bailiwick = name("example", "org") }, ErrMalformed},
		"half of a label":             {func(s *RRset) { s.Name, s.Bailiwick = []byte("\x05w\x03com\x00"), []byte("\x03com\x00") }, ErrMalformed},
		"an invalid name":             {func(s *RRset) { s.Name, s.Bailiwick = []byte("\x80"), []byte("\x80") }, ErrMalformed},
		"an invalid name in rdata":    {func(s *RRset) { s.Type, s.Rdata = 2, [][]byte{[]byte("\x03com")} }, ErrMalformed},
		"more than a name in rdata":   {func(s *RRset) { s.Type, s.Rdata = 2, [][]byte{[]byte("\x03com\x00\x00")} }, ErrMalformed},
		"a pointer in rdata":          {func(s *RRset) { s.Type, s.Rdata = 15, [][]byte{[]byte("\x00\x00\xc0\x00")} }, ErrMalformed},
		"no rdata":                    {func(s *RRset) { s.Rdata = nil }, ErrMalformed},
		"rdata of 65,536 octets":      {func(s *RRset) { s.Rdata = [][]byte{append(half, 0)} }, ErrMalformed},
		"rdata of 1 MiB all together": {func(s *RRset) { s.Rdata = slices.Repeat([][]byte{half}, 16) }, ErrTooBig},
	} {
		set := addressSet("www", 1)
		tt.change(set)
		if err := table.Observe(set, once(1), 0, 0); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
	if s := table.Stats(); s.Entries != 0 || len(got.all) != 0 {
		t.Errorf("%d entries, %d emitted", s.Entries, len(got.all))
	}
}

func TestLimitsAreChecked(t *testing.T) {
	valid := Limits{Window: 1, MaxEntries: 1, MaxBytes: MinBytes}
	for want, change := range map[string]func(*Limits){
		"": func(*Limits) {},
		"a window of 0s: it must be longer than 0":                      func(l *Limits) { l.Window = 0 },
		"at most 0 entries: allowed are 1 to 268435456":                 func(l *Limits) { l.MaxEntries = 0 },
		"at most 268435457 entries: allowed are 1 to 268435456":         func(l *Limits) { l.MaxEntries = maxEntries + 1 },
		"at most 4194303 bytes: allowed are 4 to 32767 MiB":             func(l *Limits) { l.MaxBytes = MinBytes - 1 },
		"at most 9223372036854775807 bytes: allowed are 4 to 32767 MiB": func(l *Limits) { l.MaxBytes = math.MaxInt },
	} {
		l := valid
		change(&l)
		if _, err := NewTable(l, nil); fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A flood observes names that were not seen before.
type flood struct {
	set  *RRset
	next uint64
}

func newFlood() *flood { return &flood{set: addressSet("12345678", 1)} }

func (f *flood) observe(t testing.TB, table *Table, n int) {
	for range n {
		binary.BigEndian.PutUint64(f.set.Name[1:], f.next)
		if err := table.Observe(f.set, once(1), 0, time.Duration(f.next)); err != nil {
			t.Fatal(err)
		}
		f.next++
	}
}

func TestMemoryStaysAtItsBoundInAFlood(t *testing.T) {
	emitted := uint64(0)
	const limit = 6 << 20
	table, err := NewTable(Limits{Window: time.Hour, MaxEntries: maxEntries, MaxBytes: limit}, func(*Aggregate) { emitted++ })
	if err != nil {
		t.Fatal(err)
	}
	for f := newFlood(); f.next < 300_000; {
		f.observe(t, table, 1000)
		s := table.Stats()
		if s.Bytes > limit || s.Evicted != emitted || uint64(s.Entries)+emitted != f.next {
			t.Fatalf("after %d: %+v, %d emitted; at most %d bytes", f.next, s, emitted, limit)
		}
	}
	if s := table.Stats(); s.Bytes < limit*3/4 {
		t.Errorf("only %d of %d bytes are used", s.Bytes, limit)
	}
	table.Expire(math.MaxInt64)
	if s := table.Stats(); s.Entries != 0 || s.Bytes > limit/2 {
		t.Errorf("after the window: %+v; memory should be free", s)
	}
}

// TestNumbersOfSegmentsWrap has more segments one after another than numbers of segments.
func TestNumbersOfSegmentsWrap(t *testing.T) {
	const held = 5
	table, err := newTable(Limits{Window: time.Hour, MaxEntries: held, MaxBytes: 64 << 10}, func(*Aggregate) {}, 256)
	if err != nil {
		t.Fatal(err)
	}
	set := newFlood().set
	for n := range uint64(4 * maxSegments) { // a segment has three entries
		for seen := n - min(n, held-1); seen <= n; seen++ { // all but the last are in the table
			binary.BigEndian.PutUint64(set.Name[1:], seen)
			observe(t, table, set, once(1), 0)
		}
		if want := n + 1 - min(n+1, held); table.Stats().Evicted != want {
			t.Fatalf("after %d RRsets: %+v, want %d evicted", n+1, table.Stats(), want)
		}
	}
}

// TestMemoryPerEntry measures what an entry costs in addition to its name and rdata, where the
// index is largest for the number of entries.
func TestMemoryPerEntry(t *testing.T) {
	const aim = 150 // bytes
	entries := 1<<16*3/4 + 1
	table, _ := newTestTable(t, Limits{Window: math.MaxInt64, MaxEntries: maxEntries, MaxBytes: 1 << 30})
	newFlood().observe(t, table, entries)
	data := len(addressSet("12345678").Name) + 4
	cost := table.Stats().Bytes/entries - data
	t.Logf("%d bytes for each of %d entries, in addition to its data of %d", cost, entries, data)
	if cost > aim {
		t.Errorf("%d bytes per entry, want at most %d", cost, aim)
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	table, err := NewTable(Limits{Window: time.Hour, MaxEntries: 20_000, MaxBytes: MinBytes, Insertions: true}, func(*Aggregate) {})
	if err != nil {
		t.Fatal(err)
	}
	f := newFlood()
	f.observe(t, table, 100_000)
	if n := testing.AllocsPerRun(10, func() { f.observe(t, table, 30_000) }); n != 0 { // each run needs several segments
		t.Errorf("%v allocations in a flood of new RRsets", n)
	}
	set := addressSet("www", 3, 2, 1)
	if n := testing.AllocsPerRun(100, func() { observe(t, table, set, once(1), 0) }); n != 0 {
		t.Errorf("%v allocations for a known RRset", n)
	}
}

// A model of a table: entries in the order in which their windows began.
type model struct {
	limits  Limits
	share   func(name []byte) uint32
	limit   int // entries of a share, with a gate
	now     time.Duration
	entries []modelEntry
	stats   Stats
}

type modelEntry struct {
	Aggregate
	first      time.Duration
	remembered bool
	sources    []uint32 // up to Limits.Release
}

// isReleased reports whether enough sources have reported an entry.
func (m *model) isReleased(e *modelEntry) bool { return len(e.sources) == m.limits.Release }

// observe returns what the table must emit.
func (m *model) observe(set *RRset, seen Sighting, source uint32, now time.Duration) (want []Aggregate) {
	want = m.expire(now)
	sorted := clone(&Aggregate{RRset: *set, Sighting: seen, Event: Expiration})
	slices.SortFunc(sorted.Rdata, func(a, b []byte) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return bytes.Compare(a, b)
	})
	sorted.Rdata = slices.CompactFunc(sorted.Rdata, bytes.Equal)
	at := slices.IndexFunc(m.entries, func(e modelEntry) bool {
		same := sorted.RRset
		same.TTL = e.TTL
		return cmp.Equal(same, e.RRset)
	})
	begins := at < 0 || m.entries[at].remembered
	switch {
	case at < 0:
		want = append(want, m.makeRoom(set.Name)...)
		m.entries = append(m.entries, modelEntry{Aggregate: sorted, first: m.now})
	case begins:
		again := modelEntry{Aggregate: sorted, first: m.now, sources: m.entries[at].sources}
		m.entries = append(slices.Delete(m.entries, at, at+1), again)
	}
	e := &m.entries[len(m.entries)-1]
	if !begins {
		e = &m.entries[at]
		e.TimeFirst, e.TimeLast, e.TTL = min(e.TimeFirst, seen.TimeFirst), max(e.TimeLast, seen.TimeLast), max(e.TTL, set.TTL)
		e.Count = uint32(min(uint64(e.Count)+uint64(seen.Count), math.MaxUint32))
	}
	if !m.isReleased(e) && source != 0 && !slices.Contains(e.sources, source) {
		e.sources = append(e.sources, source)
		begins = begins || m.isReleased(e)
	}
	if begins && m.isReleased(e) && m.limits.Insertions {
		inserted := e.Aggregate
		inserted.Event = Insertion
		want = append(want, inserted)
	}
	return want
}

// makeRoom removes the entries that must leave before one of that name is added.
func (m *model) makeRoom(name []byte) (want []Aggregate) {
	if m.limits.Release > 0 {
		var same []int
		for i := range m.entries {
			if m.share(m.entries[i].Name) == m.share(name) {
				same = append(same, i)
			}
		}
		if len(same) == m.limit {
			want = append(want, m.evict(same[0])...)
		}
	}
	if len(m.entries) == m.limits.MaxEntries {
		want = append(want, m.evict(0)...)
	}
	return want
}

// evict removes an entry.
func (m *model) evict(i int) (want []Aggregate) {
	if !m.entries[i].remembered {
		want = m.leave(&m.entries[i])
		m.stats.Evicted += uint64(len(want))
	}
	m.entries = slices.Delete(m.entries, i, i+1)
	return want
}

// leave returns what is emitted of an entry that leaves, or whose window ends.
func (m *model) leave(e *modelEntry) []Aggregate {
	if m.isReleased(e) {
		return []Aggregate{e.Aggregate}
	}
	m.stats.Unreleased += uint64(e.Count)
	return nil
}

// first returns the number of the entry whose window began first, or -1.
func (m *model) first() int {
	return slices.IndexFunc(m.entries, func(e modelEntry) bool { return !e.remembered })
}

func (m *model) expire(now time.Duration) (want []Aggregate) {
	m.now = max(m.now, now)
	for i := m.first(); i >= 0 && m.now-m.entries[i].first >= m.limits.Window; i = m.first() {
		want = append(want, m.end(i)...)
	}
	return want
}

func (m *model) flush() (want []Aggregate) {
	for i := m.first(); i >= 0; i = m.first() {
		want = append(want, m.end(i)...)
	}
	return want
}

// end ends the window of an entry.
func (m *model) end(i int) []Aggregate {
	want := m.leave(&m.entries[i])
	if m.limits.Release == 0 {
		m.entries = slices.Delete(m.entries, i, i+1)
	} else {
		m.entries[i].remembered = true
	}
	return want
}

// counts returns what the table must count.
func (m *model) counts() Stats {
	s := m.stats
	s.Entries = len(m.entries)
	if m.limits.Release == 0 {
		return s
	}
	inShare := map[uint32]int{}
	for i := range m.entries {
		if !m.isReleased(&m.entries[i]) {
			s.Waiting++
		}
		inShare[m.share(m.entries[i].Name)]++
	}
	for _, n := range inShare {
		if n == m.limit {
			s.FullDomains++
		}
	}
	return s
}

// drawSet draws an RRset of few possible ones.
func drawSet(rt *rapid.T) *RRset {
	set := addressSet(rapid.StringMatching("[ab]{1,2}").Draw(rt, "label"))
	if rapid.Bool().Draw(rt, "a domain of its own") {
		set.Name = append(set.Name[:1+set.Name[0]:1+set.Name[0]], name("com")...)
	}
	set.Type = rapid.SampledFrom([]uint16{1, 256}).Draw(rt, "type")
	set.TTL = rapid.Uint32().Draw(rt, "TTL")
	set.Bailiwick = rapid.SampledFrom([][]byte{set.Name, name("com"), name()}).Draw(rt, "bailiwick")
	set.Rdata = rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 255}), 0, 2), 1, 3).Draw(rt, "rdata")
	return set
}

func drawSighting(rt *rapid.T) Sighting {
	return Sighting{rapid.Uint32().Draw(rt, "time_first"), rapid.Uint32().Draw(rt, "time_last"), rapid.Uint32().Draw(rt, "count")}
}

// TestTableIsTheModel compares a table with the model after every step. Saving and loading
// at any point changes nothing.
func TestTableIsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{now: math.MinInt64, limits: Limits{
			Window:     time.Duration(rapid.IntRange(1, 50).Draw(rt, "window")),
			MaxEntries: rapid.IntRange(1, 20).Draw(rt, "max_entries"),
			MaxBytes:   1 << 20,
			Insertions: rapid.Bool().Draw(rt, "insertions"),
			Release:    rapid.SampledFrom([]int{0, 0, 2, 3, 4}).Draw(rt, "release"),
		}}
		const segment = 256 // bytes, so that few entries need several
		var got collector
		table, err := newTable(m.limits, got.emit, segment)
		if err != nil {
			rt.Fatal(err)
		}
		if g := table.gate; g != nil {
			g.limit = rapid.IntRange(1, 8).Draw(rt, "entries of a domain")
			m.limit, m.share = g.limit, g.shareOf
		}
		now := time.Duration(0)
		compare := func(want []Aggregate) {
			if diff := cmp.Diff(want, got.take()); diff != "" {
				rt.Fatalf("emitted (-model +table):\n%s", diff)
			}
			stats := table.Stats()
			stats.Bytes = 0
			if diff := cmp.Diff(m.counts(), stats); diff != "" {
				rt.Fatalf("counts (-model +table):\n%s", diff)
			}
			next, ok := table.NextExpiration()
			if i := m.first(); ok != (i >= 0) || ok && next != m.entries[i].first+m.limits.Window {
				rt.Fatalf("the next window ends at %v, %v; entry %d of the model is the first", next, ok, i)
			}
		}
		steps := map[string]func(*rapid.T){
			"observe": func(rt *rapid.T) {
				set, seen, source := drawSet(rt), drawSighting(rt), rapid.Uint32Max(4).Draw(rt, "source")
				if err := table.Observe(set, seen, source, now); err != nil {
					rt.Fatal(err)
				}
				compare(m.observe(set, seen, source, now))
			},
			"pass time": func(rt *rapid.T) {
				now += time.Duration(rapid.IntRange(-5, 20).Draw(rt, "by"))
			},
			"expire": func(rt *rapid.T) {
				table.Expire(now)
				compare(m.expire(now))
			},
			"flush": func(rt *rapid.T) {
				table.Flush()
				compare(m.flush())
			},
		}
		if table.gate == nil {
			steps["save and load"] = func(rt *rapid.T) {
				var state bytes.Buffer
				if err := table.Save(&state, now); err != nil {
					rt.Fatal(err)
				}
				m.now, m.stats.Evicted = max(m.now, now), 0
				if table, err = loadTable(bytes.NewReader(state.Bytes()), m.limits, m.now, got.emit, segment); err != nil {
					rt.Fatal(err)
				}
				compare(nil)
			}
		} else {
			steps["compact"] = func(rt *rapid.T) {
				if table.index.used > 0 {
					table.compact()
				}
				compare(nil)
			}
		}
		rt.Repeat(steps)
	})
}
