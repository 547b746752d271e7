package rrset

import (
	"encoding/binary"
	"hash/maphash"
	"unsafe"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// MaxRelease is the highest Limits.Release.
const MaxRelease = 4

// A gate is what a table with Limits.Release has in addition. The arena of that table begins with the
// entries that are remembered, the one whose window ended first. Those whose window is open
// follow, the one whose window began first. An entry whose window begins again leaves its place and
// is added as a new one.
type gate struct {
	sources int // that release an RRset
	limit   int // entries of a share
	seed    maphash.Seed
	shares  []share

	windows position // the first open window is not before it
	open    int      // windows
	waiting int      // entries that are not released
	full    int      // shares with as many entries as they may have

	unreleased uint64 // sightings
}

// A share is what the registered domains with one hash have in the table. It is a queue of entries: each
// has the place of the next one.
type share struct {
	entries        uint32 // without dead ones
	oldest, newest ref    // in the queue, which may have dead entries; none: it is empty
}

const (
	numShares     = 1 << 16
	perDomain     = 100 // a share has at most one of perDomain entries
	none      ref = 1<<32 - 1
)

// What a gate adds to an entry, after the key:
//
//	place of the next entry of the share 4 | number of the share 4 | sources, each 4; 0: none yet
//
// An entry has room for all sources but the one that releases it.
const (
	gateShare   = 4
	gateSources = 8
	sourceSize  = 4
)

func newGate(limits Limits, seed maphash.Seed) *gate {
	g := &gate{sources: limits.Release, limit: max(1, limits.MaxEntries/perDomain), seed: seed, shares: make([]share, numShares)}
	g.clearQueues()
	return g
}

func (g *gate) clearQueues() {
	for i := range g.shares {
		g.shares[i].oldest, g.shares[i].newest = none, none
	}
}

// extra returns the octets that the gate adds to an entry.
func (g *gate) extra() int { return gateSources + sourceSize*(g.sources-1) }

// bytes returns the memory of the gate; without one it is 0.
func (g *gate) bytes() int {
	if g == nil {
		return 0
	}
	return len(g.shares) * int(unsafe.Sizeof(share{}))
}

// gated returns what a gate adds to an entry.
func (e entry) gated() []byte { return e[entryFixed+e.keyLen():] }

func (e entry) next() ref     { return ref(binary.LittleEndian.Uint32(e.gated())) }
func (e entry) setNext(r ref) { binary.LittleEndian.PutUint32(e.gated(), uint32(r)) }
func (e entry) share() uint32 { return binary.LittleEndian.Uint32(e.gated()[gateShare:]) }

// sourcesOf returns the sources of an entry.
func (g *gate) sourcesOf(e entry) []byte { return e.gated()[gateSources:g.extra()] }

// shareOf returns the number of the share to which a name belongs: that of its registered domain, or
// of a public suffix itself. Without a gate it is 0.
func (g *gate) shareOf(name []byte) uint32 {
	if g == nil {
		return 0
	}
	domain := transform.RegisteredDomain(name)
	if domain == nil {
		domain = name
	}
	return uint32(maphash.Bytes(g.seed, domain)) % numShares
}

// enter adds an entry, whose window begins, to its share.
func (g *gate) enter(a *arena, e entry, at ref, share uint32) {
	binary.LittleEndian.PutUint32(e.gated()[gateShare:], share)
	clear(g.sourcesOf(e))
	s := &g.shares[share]
	if s.entries++; int(s.entries) == g.limit {
		g.full++
	}
	g.open++
	g.waiting++
	g.link(a, e, at)
}

// leave takes an entry out of the counts. It remains in its queue.
func (g *gate) leave(e entry) {
	s := &g.shares[e.share()]
	if int(s.entries) == g.limit {
		g.full--
	}
	s.entries--
	if !e.has(flagRemembered) {
		g.open--
	}
	if !e.has(flagReleased) {
		g.waiting--
	}
}

// link adds an entry to the queue of its share.
func (g *gate) link(a *arena, e entry, at ref) {
	s := &g.shares[e.share()]
	e.setNext(none)
	if s.newest == none {
		s.oldest = at
	} else {
		a.at(s.newest).setNext(at)
	}
	s.newest = at
}

// unlink takes the oldest entry of the arena out of the queue of its share, if it still is in it.
func (g *gate) unlink(e entry, at ref) {
	s := &g.shares[e.share()]
	if s.oldest == at {
		s.oldest = e.next()
	}
	if s.newest == at {
		s.newest = none
	}
}

// oldestOf returns the oldest entry of a share that has entries.
func (g *gate) oldestOf(a *arena, s *share) (entry, ref) {
	for {
		e := a.at(s.oldest)
		if !e.has(flagDead) {
			return e, s.oldest
		}
		s.oldest = e.next()
	}
}

// first returns the entry whose window began first, or nil if no window is open.
func (g *gate) first(a *arena) entry {
	if g.open == 0 {
		return nil
	}
	for {
		e, after, _ := a.next(g.windows, a.end())
		if !e.has(flagDead) && !e.has(flagRemembered) {
			return e
		}
		g.windows = after
	}
}

// report adds a source to an entry. It reports whether an insertion is due: the entry is released, and that
// is new, or its window begins.
func (g *gate) report(e entry, source uint32, begins bool) bool {
	if e.has(flagReleased) {
		return begins
	}
	if source == 0 {
		return false
	}
	for rest := g.sourcesOf(e); len(rest) > 0; rest = rest[sourceSize:] {
		switch binary.LittleEndian.Uint32(rest) {
		case source:
			return false
		case 0:
			binary.LittleEndian.PutUint32(rest, source)
			return false
		}
	}
	e.mark(flagReleased)
	g.waiting--
	return true
}

// passes reports whether an entry that leaves, or whose window ends, is to be emitted. If not, it counts
// the sightings.
func (g *gate) passes(e entry) bool {
	switch {
	case e.has(flagRemembered):
		return false
	case !e.has(flagReleased):
		g.unreleased += uint64(e.sighting().Count)
		return false
	}
	return true
}

// remember ends the window that began first, and remembers its RRset.
func (t *Table) remember() {
	g := t.gate
	e := g.first(&t.entries)
	if g.passes(e) {
		t.show(e, Expiration)
	}
	e.mark(flagRemembered)
	g.open--
}

// beginAgain begins another window of an RRset that is remembered. Its key is t.key.
func (t *Table) beginAgain(e entry, at ref) entry {
	var known [sourceSize * (MaxRelease - 1)]byte
	n := copy(known[:], t.gate.sourcesOf(e))
	hash, share, released := e.hash(), e.share(), e.has(flagReleased)
	t.remove(e, at)
	e = t.insert(hash, t.now, t.key, share)
	copy(t.gate.sourcesOf(e), known[:n])
	if released {
		e.mark(flagReleased)
		t.gate.waiting--
	}
	return e
}

// makeRoomIn makes room for an entry in a share.
func (t *Table) makeRoomIn(share uint32) {
	if s := &t.gate.shares[share]; int(s.entries) >= t.gate.limit {
		t.evict(t.gate.oldestOf(&t.entries, s))
	}
}

// compact frees the memory of dead entries.
func (t *Table) compact() {
	g := t.gate
	g.clearQueues()
	g.windows = t.entries.begin()
	t.entries.compact(func(e entry, from, to ref) {
		t.index.move(newSlot(e.hash(), from), newSlot(e.hash(), to))
		g.link(&t.entries, e, to)
	})
}
