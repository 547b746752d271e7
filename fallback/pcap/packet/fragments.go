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

	// What was whole is known again for a while: a mirror of both directions and the
	// interface "any" have each fragment twice, at nearly the same time.
	maxWhole  = 128
	wholeTime = transform.Time(2 * time.Second)

	// What is kept for the next datagrams.
	maxSpare   = maxWhole + 16
	keptBuffer = 16 << 10
)

// A fragmentKey tells datagrams apart (RFC 791 section 3.2, RFC 8200 section 4.5).
type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	proto    uint8 // IPv4 only
}

// fragments holds datagrams of which pieces are missing, and those that were whole
// of late.
type fragments struct {
	held    map[fragmentKey]*assembly
	waiting line // since their first piece
	done    line // since they were whole
	bytes   int  // of all buffers in use
	spare   []*assembly
	stats   FragmentStats
}

// An assembly is a datagram that comes in pieces.
type assembly struct {
	older, newer *assembly
	key          fragmentKey
	since        transform.Time
	buf          []byte // as far as pieces reach
	pieces       []piece
	total        int   // -1: the last piece has not come
	proto        uint8 // of the first piece
	done         bool  // it was whole
	dead         bool  // pieces contradict each other; kept so that the rest is not taken for another
	gone         bool  // no longer held
}

// A piece is the range of octets that a fragment has filled.
type piece struct{ from, to int }

func newFragments() *fragments { return &fragments{held: map[fragmentKey]*assembly{}} }

// wanted reports whether a fragment may be part of a message: it passes between a
// resolver and another host, or where a tunnel is opened.
func (d *Dissector) wanted(g *datagram) bool {
	return d.resolvers.Has(g.src) != d.resolvers.Has(g.dst) || d.config.Decapsulate && d.opens(g)
}

// assemble puts a fragment to its others, and reports whether that makes g whole.
func (d *Dissector) assemble(g *datagram) bool {
	if !d.wanted(g) {
		d.other()
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
	case a.done && a.has(g, end):
		f.stats.Repeated++
		return false
	case a.done: // another datagram with its ID
		f.release(a)
		a = f.begin(key, d.time)
	}
	if !f.add(a, g, end) {
		return false
	}
	f.stats.Assembled++
	f.finish(a, d.time)
	g.payload, g.proto, g.fragment, g.assembled = a.buf[:a.total], a.proto, false, true // good until the next fragment
	if g.src.Is6() && (!g.extensions() || g.fragment) {
		d.malformed()
		return false
	}
	return true
}

func keyOf(g *datagram) fragmentKey {
	key := fragmentKey{src: g.src, dst: g.dst, id: g.id}
	if g.src.Is4() {
		key.proto = g.proto
	}
	return key
}

// has reports whether a fragment is a copy of a part of what was whole.
func (a *assembly) has(g *datagram, end int) bool {
	return end <= a.total && g.more == (end < a.total) && bytes.Equal(a.buf[g.offset:end], g.payload)
}

func (f *fragments) begin(key fragmentKey, now transform.Time) *assembly {
	for len(f.held) >= maxDatagrams {
		f.evict()
	}
	var a *assembly
	if n := len(f.spare); n > 0 {
		a, f.spare = f.spare[n-1], f.spare[:n-1]
	} else {
		a = new(assembly)
	}
	*a = assembly{key: key, buf: a.buf[:0], pieces: a.pieces[:0], total: -1}
	f.waiting.push(a, now)
	f.held[key] = a
	f.bytes += cap(a.buf)
	return a
}

// add fills in a fragment, and reports whether the datagram is whole.
func (f *fragments) add(a *assembly, g *datagram, end int) bool {
	if a.dead {
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

// contradicts reports whether a fragment overlaps another (RFC 5722, and for IPv4
// too: it is only ever an attack), or the datagram's end.
func (a *assembly) contradicts(at int, g *datagram, end int) bool {
	switch {
	case at > 0 && a.pieces[at-1].to > g.offset, at < len(a.pieces) && a.pieces[at].from < end:
		return true
	case a.total >= 0:
		return end > a.total || !g.more
	}
	return !g.more && len(a.pieces) > 0 && a.pieces[len(a.pieces)-1].to > end
}

// grow makes room up to end, at others' cost where there is too little for all.
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
	for f.bytes > maxFragmentBytes && !a.gone {
		f.evict()
	}
	return !a.gone
}

// whole reports whether no octet is missing. Pieces do not overlap.
func (a *assembly) whole() bool {
	filled := 0
	for _, p := range a.pieces {
		filled += p.to - p.from
	}
	return filled == a.total
}

// finish moves a datagram to those that were whole.
func (f *fragments) finish(a *assembly, now transform.Time) {
	f.waiting.remove(a)
	if f.done.length == maxWhole {
		f.release(f.done.oldest)
	}
	a.done = true
	f.done.push(a, now)
}

// expire lets go of what was not whole in time, and of what was long ago.
func (f *fragments) expire(now transform.Time) {
	for f.waiting.due(now, assemblyTime) {
		f.expireOldest()
	}
	for f.done.due(now, wholeTime) {
		f.release(f.done.oldest)
	}
}

func (f *fragments) expireOldest() {
	if !f.waiting.oldest.dead {
		f.stats.Expired++
	}
	f.release(f.waiting.oldest)
}

// evict lets go of the oldest, of what was whole first.
func (f *fragments) evict() {
	if f.done.oldest != nil {
		f.release(f.done.oldest)
		return
	}
	if !f.waiting.oldest.dead {
		f.stats.Evicted++
	}
	f.release(f.waiting.oldest)
}

// release lets go of a datagram. Its buffer, if it is small, is another's when that
// comes.
func (f *fragments) release(a *assembly) {
	a.gone = true
	delete(f.held, a.key)
	if a.done {
		f.done.remove(a)
	} else {
		f.waiting.remove(a)
	}
	f.bytes -= cap(a.buf)
	if cap(a.buf) <= keptBuffer && len(f.spare) < maxSpare {
		f.spare = append(f.spare, a)
	}
}

// discard keeps a datagram's key, and nothing of what it holds.
func (f *fragments) discard(a *assembly) {
	a.dead = true
	f.bytes -= cap(a.buf)
	a.buf, a.pieces = nil, nil
}

// end lets go of everything.
func (f *fragments) end() {
	for f.done.oldest != nil {
		f.release(f.done.oldest)
	}
	for f.waiting.oldest != nil {
		f.expireOldest()
	}
}

// A line holds datagrams in the order in which they came into it.
type line struct {
	oldest, newest *assembly
	length         int
}

func (l *line) push(a *assembly, now transform.Time) {
	a.older, a.newer, a.since = l.newest, nil, now
	if l.newest != nil {
		l.newest.newer = a
	} else {
		l.oldest = a
	}
	l.newest = a
	l.length++
}

func (l *line) remove(a *assembly) {
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

// due reports whether the oldest has been there so long. When the clock went back, its
// time begins anew: one from far ahead would hold up all behind it.
func (l *line) due(now, limit transform.Time) bool {
	if l.oldest == nil {
		return false
	}
	l.oldest.since = min(l.oldest.since, now)
	return now-l.oldest.since >= limit
}
