package rrset

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"time"
)

// A Table stores each RRset once per window, with when and how often it was seen in it. The
// window of an RRset begins when the RRset is first seen, and ends with an Expiration. A table
// that is full evicts the RRset that was first seen longest ago, with an Expiration too. Its
// memory is bounded by Limits, whatever names a server invents.
//
// With Limits.Release, the table is a gate: an RRset is emitted only if that many sources have reported
// it, in this window or in earlier ones. At the end of a window the table forgets the sightings of
// the RRset, and remembers the RRset with its sources. When the table is full, remembered RRsets
// leave first. A registered domain has at most a hundredth of MaxEntries, and its own oldest RRset leaves for
// another one.
//
// The clock is that of the caller, who passes it as a duration since any fixed point: monotonic
// time, or the times of records. It never runs backwards: an earlier time counts as the latest
// one. A Table is used by one goroutine at a time.
type Table struct {
	limits Limits
	emit   func(*Aggregate)
	seed   maphash.Seed // secret, so that no server can invent names that collide

	entries arena
	index   slotIndex
	now     time.Duration
	evicted uint64
	gate    *gate // nil: every RRset is emitted

	// Memory that calls reuse.
	key       key
	sorted    [][]byte
	aggregate Aggregate
}

// Limits bound what a Table holds.
type Limits struct {
	Window     time.Duration // from the first sight of an RRset to its Expiration
	MaxEntries int
	MaxBytes   int  // of the memory of entries and index, at least MinBytes
	Insertions bool // emit an Insertion when an RRset is first seen in a window, or later when it is released
	Release    int  // distinct sources that must have reported an RRset before it is emitted, 2 to MaxRelease; 0: all are emitted
}

// MinBytes is the lowest Limits.MaxBytes.
const MinBytes = minSegments * segmentSize

// maxEntries is the highest Limits.MaxEntries. The index has 32 bits of hash for each entry.
const maxEntries = 1 << 28

// An Event is the reason for which a Table emits an Aggregate.
type Event uint8

const (
	Insertion  Event = iota // the RRset is seen for the first time in a window
	Expiration              // the window has ended, or the RRset was evicted
)

// A Sighting states when an RRset was seen and how often.
type Sighting struct {
	TimeFirst, TimeLast uint32 // seconds since the Unix epoch
	Count               uint32 // saturates at 2^32-1
}

// Truncate truncates the times to multiples of a resolution; up to a second: it changes nothing.
func (s *Sighting) Truncate(resolution time.Duration) {
	if seconds := uint32(resolution / time.Second); seconds > 1 {
		s.TimeFirst -= s.TimeFirst % seconds
		s.TimeLast -= s.TimeLast % seconds
	}
}

// An Aggregate is an RRset with its sightings in a window. TTL is the highest that was seen, and
// Rdata is sorted as databases do: shorter first, then by octets.
type Aggregate struct {
	RRset
	Sighting
	Event Event
}

// ErrTooBig states that an RRset is too big for a table: about 1 MiB, which is the size of the
// largest NMSG container.
var ErrTooBig = errors.New("the RRset is too big")

// ErrMalformed states that an RRset has an invalid name as owner or in rdata, that its owner is
// not in its bailiwick, or that it has no rdata or rdata of more than 65,535 octets.
var ErrMalformed = errors.New("the RRset is malformed")

// NewTable returns an empty table. Its methods call emit, which borrows the Aggregate until it
// returns, may block, and must not call the table.
func NewTable(limits Limits, emit func(*Aggregate)) (*Table, error) {
	return newTable(limits, emit, segmentSize)
}

// newTable makes a table with segments of that size; tests use small ones.
func newTable(limits Limits, emit func(*Aggregate), segment int) (*Table, error) {
	switch {
	case limits.Window <= 0:
		return nil, fmt.Errorf("a window of %v: it must be longer than 0", limits.Window)
	case limits.MaxEntries < 1 || limits.MaxEntries > maxEntries:
		return nil, fmt.Errorf("at most %d entries: allowed are 1 to %d", limits.MaxEntries, maxEntries)
	case limits.MaxBytes/segment < minSegments || limits.MaxBytes/segment > maxSegments:
		return nil, fmt.Errorf("at most %d bytes: allowed are %d to %d MiB", limits.MaxBytes, minSegments*segment>>20, maxSegments*(segment>>10)>>10)
	case limits.Release != 0 && (limits.Release < 2 || limits.Release > MaxRelease):
		return nil, fmt.Errorf("release by %d sources: allowed are 2 to %d", limits.Release, MaxRelease)
	}
	t := &Table{
		limits:  limits,
		emit:    emit,
		seed:    maphash.MakeSeed(),
		entries: arena{size: segment},
		index:   newSlotIndex(),
		now:     math.MinInt64,
	}
	if limits.Release > 0 {
		t.gate = newGate(limits, t.seed)
		t.entries.extra = t.gate.extra()
	}
	return t, nil
}

// Observe adds sightings of an RRset, which was seen in a response, or is an Aggregate of another
// sensor. source is the NMSG source id of the sensor that saw it; 0 is none, and does not count for Limits.Release.
// First Observe ends the windows that are over at now. With an error, ErrTooBig or ErrMalformed,
// nothing was added.
func (t *Table) Observe(set *RRset, seen Sighting, source uint32, now time.Duration) error {
	t.Expire(now)
	if err := t.setKey(set); err != nil {
		return err
	}
	hash := hashOf(t.seed, t.key)
	e, at := t.find(hash, t.key)
	begins := e == nil || e.has(flagRemembered)
	switch {
	case e == nil && !set.isWellFormed():
		return ErrMalformed
	case e == nil:
		e = t.insert(hash, t.now, t.key, t.gate.shareOf(set.Name))
	case begins:
		e = t.beginAgain(e, at)
	default:
		e.merge(seen, set.TTL)
	}
	if begins {
		e.set(seen, set.TTL)
	}
	if t.gate != nil {
		begins = t.gate.report(e, source, begins)
	}
	if begins && t.limits.Insertions {
		t.show(e, Insertion)
	}
	return nil
}

// Expire ends the windows that are over at now.
func (t *Table) Expire(now time.Duration) {
	t.now = max(t.now, now)
	for e := t.first(); e != nil && t.age(e) >= uint64(t.limits.Window); e = t.first() {
		t.end()
	}
}

// Flush ends all windows.
func (t *Table) Flush() {
	for t.first() != nil {
		t.end()
	}
}

// NextExpiration returns when the next window ends, or false if there is none.
func (t *Table) NextExpiration() (time.Duration, bool) {
	e := t.first()
	if e == nil {
		return 0, false
	}
	return e.firstSight() + t.limits.Window, true
}

// Stats describes what a Table holds.
type Stats struct {
	Entries int    // with those that are remembered
	Bytes   int    // of the memory of entries and index
	Evicted uint64 // entries that were emitted before the end of their window, since the table was made

	// With Limits.Release.
	Waiting     int    // entries that too few sources have reported
	FullDomains int    // registered domains with all the entries that they may have
	Unreleased  uint64 // sightings that were not emitted, since the table was made
}

// Stats returns the present counts.
func (t *Table) Stats() Stats {
	s := Stats{Entries: t.index.used, Bytes: t.entries.bytes() + t.index.bytes() + t.gate.bytes(), Evicted: t.evicted}
	if g := t.gate; g != nil {
		s.Waiting, s.FullDomains, s.Unreleased = g.waiting, g.full, g.unreleased
	}
	return s
}

// age returns the nanoseconds since the first sight of an entry, without overflow.
func (t *Table) age(e entry) uint64 { return uint64(t.now - e.firstSight()) }

// first returns the entry whose window began first, or nil if no window is open.
func (t *Table) first() entry {
	switch {
	case t.gate != nil:
		return t.gate.first(&t.entries)
	case t.index.used > 0:
		return t.entries.oldest()
	}
	return nil
}

// find returns the entry with the key and its place, or nil.
func (t *Table) find(hash uint32, k key) (entry, ref) {
	x := &t.index
	for i := x.home(hash); x.slots[i] != 0; i = x.after(i) {
		if x.slots[i].hash() != hash {
			continue
		}
		at := x.slots[i].ref()
		if e := t.entries.at(at); string(e.key()) == string(k) {
			return e, at
		}
	}
	return nil, 0
}

// insert adds an entry, of which the caller sets the sightings. share is that of the gate.
func (t *Table) insert(hash uint32, firstSight time.Duration, k key, share uint32) entry {
	size := t.entries.sizeOf(len(k))
	if t.gate != nil {
		t.makeRoomIn(share)
	}
	t.makeRoom(size)
	t.index.reserve()
	at := t.entries.add(size)
	t.index.add(newSlot(hash, at))
	e := t.entries.at(at)
	e.init(hash, firstSight, k)
	if t.gate != nil {
		t.gate.enter(&t.entries, e, at, share)
	}
	return e
}

// makeRoom makes room for an entry of that size.
func (t *Table) makeRoom(size int) {
	if t.gate != nil && t.entries.isSparse(5) {
		t.compact()
	}
	for t.index.used > 0 && !t.fits(size) {
		if t.gate != nil && t.index.used < t.limits.MaxEntries && t.entries.isSparse(16) {
			t.compact()
			continue
		}
		t.evict(t.entries.oldest(), t.entries.oldestRef())
	}
}

// fits reports whether an entry of that size in bytes can be added within the limits.
func (t *Table) fits(size int) bool {
	bytes := t.entries.bytesWith(size) + t.index.bytesToAdd() + t.gate.bytes()
	return t.index.used < t.limits.MaxEntries && bytes <= t.limits.MaxBytes
}

// end ends the window that began first: without a gate, it emits the entry and removes it.
func (t *Table) end() {
	if t.gate != nil {
		t.remember()
		return
	}
	e := t.entries.oldest()
	t.show(e, Expiration)
	t.remove(e, t.entries.oldestRef())
}

// evict removes an entry before the end of its window.
func (t *Table) evict(e entry, at ref) {
	if t.gate == nil || t.gate.passes(e) {
		t.evicted++
		t.show(e, Expiration)
	}
	t.remove(e, at)
}

// remove removes an entry.
func (t *Table) remove(e entry, at ref) {
	t.index.remove(newSlot(e.hash(), at))
	if t.gate != nil {
		t.gate.leave(e)
	}
	if at != t.entries.oldestRef() {
		t.entries.kill(e)
		return
	}
	t.removeOldest()
	for t.entries.dead > 0 && t.entries.oldest().has(flagDead) {
		t.removeOldest()
	}
}

// removeOldest frees the memory of the oldest entry.
func (t *Table) removeOldest() {
	if t.gate != nil {
		t.gate.unlink(t.entries.oldest(), t.entries.oldestRef())
	}
	t.entries.removeOldest()
}

// show emits an entry.
func (t *Table) show(e entry, event Event) {
	a := &t.aggregate
	e.key().read(&a.RRset)
	a.TTL, a.Sighting, a.Event = e.ttl(), e.sighting(), event
	t.emit(a)
}
