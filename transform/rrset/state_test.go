package rrset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var stateLimits = Limits{Window: time.Minute, MaxEntries: 100, MaxBytes: MinBytes}

// saved returns the state of a table with three RRsets, first seen at 0, 20 s and 40 s, at 50 s.
func saved(t testing.TB) []byte {
	t.Helper()
	table, _ := newTestTable(t, stateLimits)
	for i := range 3 {
		observe(t, table, addressSet("www", byte(i), 9), Sighting{1, uint32(i), 7}, time.Duration(i)*20*time.Second)
	}
	return save(t, table, 50*time.Second)
}

func save(t testing.TB, table *Table, now time.Duration) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := table.Save(&b, now); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWindowsContinueAfterLoading(t *testing.T) {
	const now = -time.Hour // the clock of another process
	var got collector
	table, err := LoadTable(bytes.NewReader(saved(t)), stateLimits, now, got.emit)
	if err != nil {
		t.Fatal(err)
	}
	var ends []time.Duration
	for at := time.Duration(0); at < 2*time.Minute; at += time.Second {
		if table.Expire(now + at); len(got.take()) > 0 {
			ends = append(ends, at)
		}
	}
	if diff := cmp.Diff([]time.Duration{10 * time.Second, 30 * time.Second, 50 * time.Second}, ends); diff != "" {
		t.Errorf("windows end (-want +got):\n%s", diff)
	}
}

// TestAStateInPartsHasWhatTheTableHadAtTheStart uses a table between the parts of its state. RRsets that
// left the table meanwhile may be in it or not; new ones are not.
func TestAStateInPartsHasWhatTheTableHadAtTheStart(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const segment = 256
		limits := Limits{Window: 50, MaxEntries: rapid.IntRange(1, 60).Draw(rt, "max_entries"), MaxBytes: 64 << 10}
		table, err := newTable(limits, func(*Aggregate) {}, segment)
		if err != nil {
			rt.Fatal(err)
		}
		now := time.Duration(0)
		observe := func(n int) {
			for range n {
				now += time.Duration(rapid.IntRange(1, 3).Draw(rt, "pause")) // no RRset that returns has the same first sight
				if err := table.Observe(addressSet(rapid.StringMatching("[a-d]{1,3}").Draw(rt, "label"), 1), once(1), 0, now); err != nil {
					rt.Fatal(err)
				}
			}
		}
		observe(rapid.IntRange(0, 60).Draw(rt, "before"))
		table.Expire(now)
		start := firstSights(table)
		saver := table.NewSaver(now)
		var state []byte
		for more := true; more; {
			state, more = saver.Append(state, rapid.IntRange(1, 300).Draw(rt, "size"))
			observe(rapid.IntRange(0, 10).Draw(rt, "between"))
		}
		loaded, err := loadTable(bytes.NewReader(state), limits, saver.now, func(*Aggregate) { rt.Error("an RRset is emitted") }, segment)
		if err != nil {
			rt.Fatal(err)
		}
		got, present := firstSights(loaded), firstSights(table)
		for k, at := range got {
			if was, ok := start[k]; !ok || was != at {
				rt.Errorf("%q, first seen at %v, is in the state; at the start it was first seen at %v (%v)", k, at, was, ok)
			}
		}
		for k, at := range start {
			if _, ok := got[k]; !ok && present[k] == at {
				rt.Errorf("%q is missing", k)
			}
		}
	})
}

// firstSights returns when the RRsets of a table were first seen, by key.
func firstSights(table *Table) map[string]time.Duration {
	all := map[string]time.Duration{}
	for at, more := table.entries.begin(), true; more; {
		var e entry
		if e, at, more = table.entries.next(at, table.entries.end()); more {
			all[string(e.key())] = e.firstSight()
		}
	}
	return all
}

func TestWhatDoesNotFitAfterLoadingIsEmitted(t *testing.T) {
	limits := stateLimits
	limits.MaxEntries, limits.Insertions = 1, true
	var got collector
	table, err := LoadTable(bytes.NewReader(saved(t)), limits, 0, got.emit)
	if err != nil {
		t.Fatal(err)
	}
	var want []Aggregate
	for i := range 2 {
		want = append(want, Aggregate{RRset: *addressSet("www", byte(i), 9), Sighting: Sighting{1, uint32(i), 7}, Event: Expiration})
	}
	if diff := cmp.Diff(want, got.all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s := table.Stats(); s.Entries != 1 || s.Evicted != 2 {
		t.Errorf("%+v", s)
	}
}

func TestLoadTableRefusesEveryDamage(t *testing.T) {
	state := saved(t)
	refuse := func(b []byte) error {
		t.Helper()
		_, err := LoadTable(bytes.NewReader(b), stateLimits, 0, func(*Aggregate) { t.Error("emitted") })
		if err == nil {
			t.Error("a damaged state was loaded")
		}
		return err
	}
	for n := range state {
		if err := refuse(state[:n]); !errors.Is(err, errDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
		for bit := range 8 {
			b := bytes.Clone(state)
			b[n] ^= 1 << bit
			refuse(b)
		}
	}
	refuse(append(bytes.Clone(state), 0))
	newer := bytes.Replace(state, []byte("version 1"), []byte("version 2"), 1)
	want := `read the state of a table: it has version "2\n", and this program reads "1\n"`
	if err := refuse(newer); err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if _, err := LoadTable(bytes.NewReader(state), Limits{}, 0, nil); err == nil {
		t.Error("limits were not checked")
	}
}

// stateOf returns a state with these bytes in place of entries, and a valid checksum.
func stateOf(entries []byte) []byte {
	b := append([]byte(stateHeader), entries...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// stateEntry returns an entry of a state.
func stateEntry(age uint64, k []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(k)))
	b = binary.AppendUvarint(b, age)
	return append(append(b, make([]byte, entryFixed-entrySightings)...), k...)
}

func TestLoadTableRefusesWhatSaveDoesNotWrite(t *testing.T) {
	good := []byte("\x00\x01\x00\x01\x03\x00\x01a\x00\x00\x01x\x00\x01y")
	if !key(good).isValid() {
		t.Fatal("the key of this test is not valid")
	}
	end := []byte{0}
	for name, entries := range map[string][]byte{
		"no end":           stateEntry(5, good),
		"more after end":   append(bytes.Clone(end), end...),
		"twice":            append(append(stateEntry(5, good), stateEntry(5, good)...), 0),
		"wrong order":      append(append(stateEntry(5, good), stateEntry(6, []byte("\x00\x02\x00\x01\x03\x00\x01a\x00\x00\x01x"))...), 0),
		"too long":         append(binary.AppendUvarint(nil, segmentSize), 0),
		"length overflows": bytes.Repeat([]byte{255}, 20),
		"age overflows":    append([]byte{1}, bytes.Repeat([]byte{255}, 20)...),
		"no rdata":         append(stateEntry(5, good[:9]), 0),
		"cut rdata":        append(stateEntry(5, good[:len(good)-1]), 0),
		"unsorted rdata":   append(stateEntry(5, bytes.Replace(good, []byte("y"), []byte("w"), 1)), 0),
		"repeated rdata":   append(stateEntry(5, bytes.Replace(good, []byte("y"), []byte("x"), 1)), 0),
		"bad name":         append(stateEntry(5, bytes.Replace(good, []byte("\x01a"), []byte("\x02a"), 1)), 0),
		"bad bailiwick":    append(stateEntry(5, bytes.Replace(good, []byte("\x03\x00\x01a"), []byte("\x03\x03\x01a"), 1)), 0),
		"short key":        append(stateEntry(5, good[:5]), 0),
	} {
		if _, err := LoadTable(bytes.NewReader(stateOf(entries)), stateLimits, 0, nil); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
	if _, err := LoadTable(bytes.NewReader(stateOf(append(stateEntry(5, good), 0))), stateLimits, 0, nil); err != nil {
		t.Errorf("a valid entry: %v", err)
	}
}

// A failing is an error of every system call from the given one on.
type failing struct {
	io.ReadSeeker
	calls int
}

var errIO = errors.New("input/output error")

func (f *failing) fails() bool { f.calls--; return f.calls < 0 }

func (f *failing) Read(b []byte) (int, error) {
	if f.fails() {
		return 0, errIO
	}
	return f.ReadSeeker.Read(b)
}

func (f *failing) Seek(offset int64, whence int) (int64, error) {
	if f.fails() {
		return 0, errIO
	}
	return f.ReadSeeker.Seek(offset, whence)
}

func (f *failing) Write(b []byte) (int, error) {
	if f.fails() {
		return 0, errIO
	}
	return len(b), nil
}

func TestErrorsOfTheStreamAreReturned(t *testing.T) {
	state := saved(t)
	calls := 0
	for ; ; calls++ {
		_, err := LoadTable(&failing{bytes.NewReader(state), calls}, stateLimits, 0, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, errIO) {
			t.Errorf("after %d calls: %v", calls, err)
		}
	}
	if calls < 6 {
		t.Errorf("a state was loaded with %d calls", calls)
	}
	table, _ := newTestTable(t, Limits{Window: time.Hour, MaxEntries: 5000, MaxBytes: 8 << 20})
	newFlood().observe(t, table, 5000) // several parts
	for calls := range 2 {
		if err := table.Save(&failing{calls: calls}, 0); !errors.Is(err, errIO) {
			t.Errorf("after %d calls: %v", calls, err)
		}
	}
}

// FuzzLoadTable checks that a state with a valid checksum is refused, or is a table within its limits
// that is saved and loaded without a change.
func FuzzLoadTable(f *testing.F) {
	state := saved(f)
	f.Add(state[len(stateHeader) : len(state)-crcSize])
	f.Add([]byte{0})
	f.Add(append(stateEntry(math.MaxUint64, []byte("\x00\x01\x00\x01\x01\x00\x00\x00\x00")), 0))
	f.Add([]byte(strings.Repeat("\xff", 30)))
	limits := Limits{Window: time.Minute, MaxEntries: 3, MaxBytes: 64 << 10}
	f.Fuzz(func(t *testing.T, entries []byte) {
		emitted := 0
		table, err := loadTable(bytes.NewReader(stateOf(entries)), limits, 0, func(*Aggregate) { emitted++ }, 4096)
		if err != nil {
			return
		}
		s := table.Stats()
		if s.Entries > limits.MaxEntries || s.Bytes > limits.MaxBytes || s.Evicted != uint64(emitted) {
			t.Errorf("%+v, %d emitted; limits are %+v", s, emitted, limits)
		}
		first := save(t, table, 0)
		table, err = loadTable(bytes.NewReader(first), limits, 0, func(*Aggregate) { emitted++ }, 4096)
		if err != nil || emitted != int(s.Evicted) {
			t.Fatalf("saved and loaded: %v, %d more emitted", err, emitted-int(s.Evicted))
		}
		if second := save(t, table, 0); !bytes.Equal(first, second) {
			t.Errorf("saved as\n%x and again as\n%x", first, second)
		}
		table.Flush()
		if emitted != int(s.Evicted)+s.Entries {
			t.Errorf("%d emitted of %d", emitted, int(s.Evicted)+s.Entries)
		}
	})
}
