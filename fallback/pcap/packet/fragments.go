package packet

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	maxDatagrams     = 1024
	maxFragmentBytes = 4 << 20
	maxPieces        = 128 // 65,535 octets over an MTU of 576 (RFC 1122 section 3.3.3) make 119
	maxDatagram      = math.MaxUint16
	assemblyTime     = transform.Time(30 * time.Second) // RFC 791 section 3.2 has 15 s, RFC 8200 section 4.5 has 60 s

	// Complete datagrams are kept for a while to recognise copies of their fragments: a
	// mirror of both directions and the interface "any" capture each fragment twice, at
	// nearly the same time.
	maxDone  = 128
	doneTime = transform.Time(2 * time.Second)

	// Limits of the free list.
	maxFree    = maxDone + 16
	keptBuffer = 16 << 10
)

// A fragmentKey identifies a datagram (RFC 791 section 3.2, RFC 8200 section 4.5).
type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	proto    uint8 // IPv4 only
}

// fragments holds incomplete datagrams, and those that were completed recently.
type fragments struct {
	held    map[fragmentKey]*assembly
	waiting assemblyQueue // incomplete, in the order of their first fragment
	done    assemblyQueue // complete, in the order of their completion
	bytes   int           // capacity of all buffers in use
	free    []*assembly
	stats   FragmentStats
}

// An assembly is a datagram that is reassembled from fragments.
type assembly struct {
	older, newer *assembly
	key          fragmentKey
	since        transform.Time // when it entered its queue
	buf          []byte         // up to the end of the last piece
	pieces       []piece
	total        int   // octets; -1 until the last fragment has come
	proto        uint8 // of the first fragment
	done         bool  // it is complete
	rejected     bool  // its fragments contradict each other or are too many; kept so that later ones start no new datagram
	released     bool  // it is no longer held
}

// A piece is the range of octets of one fragment.
type piece struct{ from, to int }

func newFragments() *fragments { return &fragments{held: map[fragmentKey]*assembly{}} }

// wanted reports whether a fragment may be part of a message: it passes between a resolver
// and another host, or belongs to a tunnel that is opened.
func (d *Dissector) wanted(g *datagram) bool {
	return d.resolvers.has(g.src) != d.resolvers.has(g.dst) || d.config.Decapsulate && d.tunnelAllowed(g)
}

// assemble adds a fragment to its datagram. If that completes the datagram, assemble sets g to
// it and returns true. The payload is then borrowed until the next fragment.
func (d *Dissector) assemble(g *datagram) bool {
	if !d.wanted(g) {
		d.countOther()
		return false
	}
	f := d.fragments
	f.stats.Seen++
	end := g.offset + len(g.payload)
	if d.missing > 0 || end > maxDatagram || len(g.payload) == 0 || g.more && len(g.payload)%8 != 0 {
		f.stats.Malformed++
		return false
	}
	f.expire(d.time)
	key := keyOf(g)
	a := f.held[key]
	switch {
	case a == nil:
		a = f.begin(key, d.time)
	case a.done && a.contains(g, end):
		f.stats.Repeated++
		return false
	case a.done: // another datagram with the same ID
		f.release(a)
		a = f.begin(key, d.time)
	}
	if !f.add(a, g, end) {
		return false
	}
	f.stats.Assembled++
	f.finish(a, d.time)
	g.payload, g.proto, g.fragment, g.assembled = a.buf[:a.total], a.proto, false, true // valid until the next fragment
	if g.src.Is6() && (!g.extensions() || g.fragment) {
		d.dropMalformed()
		return false
	}
	return true
}

// keyOf returns the key of a fragment's datagram.
func keyOf(g *datagram) fragmentKey {
	key := fragmentKey{src: g.src, dst: g.dst, id: g.id}
	if g.src.Is4() {
		key.proto = g.proto
	}
	return key
}

// contains reports whether the complete datagram has the same octets as a fragment, from its
// offset to end.
func (a *assembly) contains(g *datagram, end int) bool {
	return end <= a.total && g.more == (end < a.total) && bytes.Equal(a.buf[g.offset:end], g.payload)
}

// begin adds a datagram, and evicts others if there are too many.
func (f *fragments) begin(key fragmentKey, now transform.Time) *assembly {
	for len(f.held) >= maxDatagrams {
		f.evict()
	}
	var a *assembly
	if n := len(f.free); n > 0 {
		a, f.free = f.free[n-1], f.free[:n-1]
	} else {
		a = new(assembly)
	}
	*a = assembly{key: key, buf: a.buf[:0], pieces: a.pieces[:0], total: -1}
	f.waiting.push(a, now)
	f.held[key] = a
	f.bytes += cap(a.buf)
	return a
}

// add adds a fragment, which ends at offset end, and reports whether the datagram is complete.
func (f *fragments) add(a *assembly, g *datagram, end int) bool {
	if a.rejected {
		return false
	}
	at, _ := slices.BinarySearchFunc(a.pieces, g.offset, func(p piece, offset int) int { return p.from - offset })
	if at < len(a.pieces) && a.pieces[at] == (piece{g.offset, end}) &&
		bytes.Equal(a.buf[g.offset:end], g.payload) && (g.more || a.total == end) {
		f.stats.Repeated++
		return false
	}
	if a.contradicts(at, g, end) || len(a.pieces) == maxPieces {
		f.stats.Overlapping++
		f.discard(a)
		return false
	}
	if !g.more {
		a.total = end
	}
	if g.offset == 0 {
		a.proto = g.proto
	}
	if !f.grow(a, end) {
		return false
	}
	copy(a.buf[g.offset:], g.payload)
	a.pieces = slices.Insert(a.pieces, at, piece{g.offset, end})
	return a.whole()
}

// contradicts reports whether a fragment, which would become pieces[at], overlaps another
// one, exceeds the end of the datagram, or sets another end. RFC 5722 forbids overlaps. They
// are refused for IPv4 too, because only attacks have them.
func (a *assembly) contradicts(at int, g *datagram, end int) bool {
	switch {
	case at > 0 && a.pieces[at-1].to > g.offset, at < len(a.pieces) && a.pieces[at].from < end:
		return true
	case a.total >= 0:
		return end > a.total || !g.more
	}
	return !g.more && len(a.pieces) > 0 && a.pieces[len(a.pieces)-1].to > end
}

// grow extends the buffer to end, and evicts datagrams while all buffers exceed the limit.
// It returns false if a itself was evicted.
func (f *fragments) grow(a *assembly, end int) bool {
	if end <= len(a.buf) {
		return true
	}
	if end > cap(a.buf) {
		before := cap(a.buf)
		a.buf = slices.Grow(a.buf, end-len(a.buf))
		f.bytes += cap(a.buf) - before
	}
	a.buf = a.buf[:end]
	for f.bytes > maxFragmentBytes && !a.released {
		f.evict()
	}
	return !a.released
}

// whole reports whether every octet has come. Pieces do not overlap.
func (a *assembly) whole() bool {
	filled := 0
	for _, p := range a.pieces {
		filled += p.to - p.from
	}
	return filled == a.total
}

// finish moves a datagram to the complete ones.
func (f *fragments) finish(a *assembly, now transform.Time) {
	f.waiting.remove(a)
	if f.done.length == maxDone {
		f.release(f.done.oldest)
	}
	a.done = true
	f.done.push(a, now)
}

// expire releases incomplete datagrams after assemblyTime and complete ones after doneTime.
func (f *fragments) expire(now transform.Time) {
	for f.waiting.due(now, assemblyTime) {
		f.expireOldest()
	}
	for f.done.due(now, doneTime) {
		f.release(f.done.oldest)
	}
}

// expireOldest releases the oldest incomplete datagram, and counts it as expired.
func (f *fragments) expireOldest() {
	if !f.waiting.oldest.rejected {
		f.stats.Expired++
	}
	f.release(f.waiting.oldest)
}

// evict releases the oldest complete datagram or, if there is none, the oldest incomplete one.
func (f *fragments) evict() {
	if f.done.oldest != nil {
		f.release(f.done.oldest)
		return
	}
	if !f.waiting.oldest.rejected {
		f.stats.Evicted++
	}
	f.release(f.waiting.oldest)
}

// release removes a datagram. A small buffer goes to the free list.
func (f *fragments) release(a *assembly) {
	a.released = true
	delete(f.held, a.key)
	if a.done {
		f.done.remove(a)
	} else {
		f.waiting.remove(a)
	}
	f.bytes -= cap(a.buf)
	if cap(a.buf) <= keptBuffer && len(f.free) < maxFree {
		f.free = append(f.free, a)
	}
}

// discard marks a datagram as rejected, releases its contents and keeps its key.
func (f *fragments) discard(a *assembly) {
	a.rejected = true
	f.bytes -= cap(a.buf)
	a.buf, a.pieces = nil, nil
}

// releaseAll releases every datagram.
func (f *fragments) releaseAll() {
	for f.done.oldest != nil {
		f.release(f.done.oldest)
	}
	for f.waiting.oldest != nil {
		f.expireOldest()
	}
}

// An assemblyQueue is a list of datagrams in the order in which they were pushed.
type assemblyQueue struct {
	oldest, newest *assembly
	length         int
}

func (l *assemblyQueue) push(a *assembly, now transform.Time) {
	a.older, a.newer, a.since = l.newest, nil, now
	if l.newest != nil {
		l.newest.newer = a
	} else {
		l.oldest = a
	}
	l.newest = a
	l.length++
}

func (l *assemblyQueue) remove(a *assembly) {
	if a.older != nil {
		a.older.newer = a.newer
	} else {
		l.oldest = a.newer
	}
	if a.newer != nil {
		a.newer.older = a.older
	} else {
		l.newest = a.older
	}
	l.length--
}

// due reports whether the oldest datagram has been in the queue for limit. If the clock went
// back, due sets its time to now: a time far ahead would never be due, nor would those after it.
func (l *assemblyQueue) due(now, limit transform.Time) bool {
	if l.oldest == nil {
		return false
	}
	l.oldest.since = min(l.oldest.since, now)
	return now-l.oldest.since >= limit
}
