package transform

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

const (
	inlineText   = 88                  // name, zone and client subnet of nearly every query
	textSlot     = 2 * dnswire.MaxName // name and zone of any other
	slotCost     = 3                   // room of a slot, in queries
	maxSameKey   = 64                  // pending queries to one server with one ID: real resolvers have one or two
	noIndex      = math.MaxInt32       // end of a list
	minBuckets   = 64
	bucketsLimit = 1 << 20
)

// pending is a query that waits for its response. It has no pointers, so that the garbage
// collector need not scan a full table.
type pending struct {
	pendingFields
	text [inlineText]byte // name as it was sent and zone, unless they are in a slot; then the client subnet
}

type pendingFields struct {
	next         int32 // in its bucket, newest first
	older, newer int32 // in order of arrival
	slot         int32 // of text, or noIndex
	key          uint32
	arrival      uint32 // increases with each message; to find those since a jump of the clock

	at   Time // lane time of arrival
	sent Time // as the message states it

	server, resolver         [16]byte
	serverPort, resolverPort uint16
	id, flags, qtype, qclass uint16

	transport         Transport
	forwarder, signed bool
	packet            bool
	named             bool // the source stated the resolver's address
	more              bool // the query had more than header and question
	badZone           bool // the source stated a zone that is not a name
	nameLen, zoneLen  uint8
	subnetLen         uint8
}

// A share is what the tables of one lane have in common: their part of the budget, and the
// order in which messages arrived.
type share struct {
	budget   *Budget
	cost     int    // of the budget
	arrivals uint32 // messages that were held so far
}

// take takes n of the budget, or reports false.
func (s *share) take(n int) bool {
	if !s.budget.take(n, s.cost) {
		return false
	}
	s.cost += n
	return true
}

func (s *share) give(n int) {
	s.cost -= n
	s.budget.give(n)
}

// table holds the pending queries of one lane, by server and ID and in order of arrival. It
// grows and shrinks by segments; the budget limits its queries.
type table struct {
	*share
	queries        store[pending]
	slots          store[[textSlot]byte] // text of long names
	buckets        []int32
	oldest, newest int32
	live           int
}

func newTable(s *share) table {
	return table{share: s, oldest: noIndex, newest: noIndex}
}

func (t *table) at(i int32) *pending { return t.queries.at(i) }

func keyOf(server *[16]byte, id uint16) uint32 {
	h := uint64(id)*0x9e3779b97f4a7c15 ^ 0xff51afd7ed558ccd
	for i := 0; i < 16; i += 8 {
		v := uint64(server[i]) | uint64(server[i+1])<<8 | uint64(server[i+2])<<16 | uint64(server[i+3])<<24 |
			uint64(server[i+4])<<32 | uint64(server[i+5])<<40 | uint64(server[i+6])<<48 | uint64(server[i+7])<<56
		h = (h ^ v) * 0xc4ceb9fe1a85ec53
		h ^= h >> 29
	}
	return uint32(h >> 32)
}

// insert adds a query as the newest. It returns noIndex if the budget has no room: then the
// caller removes the oldest query and tries again.
func (t *table) insert(m *Message, w *dnswire.Walker, now Time) int32 {
	name := w.Qname()
	var scratch [maxSubnet]byte
	subnet := appendSubnet(scratch[:0], w)
	cost := 1
	if len(name)+len(m.Zone)+len(subnet) > inlineText {
		cost += slotCost
	}
	if !t.take(cost) {
		return noIndex
	}
	i := t.queries.allocate()
	q := t.at(i)
	q.pendingFields = pendingFields{
		slot: noIndex,
		at:   now, sent: m.time(),
		server: m.Server.Addr().As16(), serverPort: m.Server.Port(),
		id: w.ID, flags: w.Flags, qtype: w.Qtype, qclass: w.Qclass,
		transport: m.Transport, forwarder: m.Role.forwarder(), signed: w.Signed, packet: m.Packet,
		more:    len(m.Wire) > w.QnameEnd+len("\x00\x01\x00\x01"),
		nameLen: uint8(len(name)), zoneLen: uint8(len(m.Zone)), subnetLen: uint8(len(subnet)),
	}
	if a := m.Resolver.Addr(); a.IsValid() {
		q.named, q.resolver, q.resolverPort = true, a.As16(), m.Resolver.Port()
	}
	q.key = keyOf(&q.server, q.id)
	if cost > 1 {
		q.slot = t.slots.allocate()
	}
	text := t.text(q)
	copy(text[copy(text, name):], m.Zone)
	copy(q.subnet(), subnet)
	t.live++
	if t.live > len(t.buckets) && len(t.buckets) < bucketsLimit {
		t.rehash(max(minBuckets, 2*len(t.buckets)))
	}
	b := &t.buckets[int(q.key)&(len(t.buckets)-1)]
	q.next, *b = *b, i
	t.append(i, q)
	return i
}

// append makes a query the newest.
func (t *table) append(i int32, q *pending) {
	q.older, q.newer, q.arrival = t.newest, noIndex, t.arrivals
	t.arrivals++
	if t.newest != noIndex {
		t.at(t.newest).newer = i
	} else {
		t.oldest = i
	}
	t.newest = i
}

func (t *table) rehash(n int) {
	t.buckets = make([]int32, n)
	for i := range t.buckets {
		t.buckets[i] = noIndex
	}
	for i := t.oldest; i != noIndex; i = t.at(i).newer {
		q := t.at(i)
		b := &t.buckets[int(q.key)&(n-1)]
		q.next, *b = *b, i
	}
}

// find returns the pending query that a response with this question answers: of several
// queries the oldest in the same letter case, else the oldest. If there is none, other
// reports whether a query with another question to that server with that ID is pending.
func (t *table) find(m *Message, w *dnswire.Walker) (found int32, other bool) {
	found = noIndex
	if t.live == 0 {
		return noIndex, false
	}
	server := m.Server.Addr().As16()
	exact := false
	for i := t.first(&server, w.ID); i != noIndex; i = t.following(i) {
		q := t.at(i)
		if !q.sameFlow(m) {
			continue
		}
		other = true
		if q.qtype != w.Qtype || q.qclass != w.Qclass {
			continue
		}
		name := t.name(q)
		switch {
		case string(name) == string(w.Qname()):
			found, exact = i, true
		case !exact && dnswire.EqualFold(name, w.Qname()):
			found = i
		}
	}
	return found, other
}

// only returns the pending query to that server with that ID if there is exactly one. It is
// for responses without a readable question.
func (t *table) only(m *Message, id uint16) int32 {
	found := int32(noIndex)
	if t.live == 0 {
		return found
	}
	server := m.Server.Addr().As16()
	for i := t.first(&server, id); i != noIndex; i = t.following(i) {
		if !t.at(i).sameFlow(m) {
			continue
		}
		if found != noIndex {
			return noIndex
		}
		found = i
	}
	return found
}

// countSameKey returns the number of pending queries to that server with that ID, and the oldest
// of them.
func (t *table) countSameKey(m *Message, id uint16) (n int, oldest int32) {
	oldest = noIndex
	if t.live == 0 {
		return 0, oldest
	}
	server := m.Server.Addr().As16()
	for i := t.first(&server, id); i != noIndex; i = t.following(i) {
		n, oldest = n+1, i
	}
	return n, oldest
}

// repeated reports whether a query packet with the same five-tuple, ID and name
// is pending already.
func (t *table) repeated(m *Message, w *dnswire.Walker) bool {
	i, _ := t.find(m, w)
	return i != noIndex && string(t.name(t.at(i))) == string(w.Qname())
}

// sameFlow compares the five-tuple of packets. The port, query address and transport in
// dnstap are not reliable.
func (q *pending) sameFlow(m *Message) bool {
	return !m.Packet || q.resolverPort == m.Resolver.Port() && q.serverPort == m.Server.Port() &&
		q.transport == m.Transport && q.resolver == m.Resolver.Addr().As16()
}

func (t *table) first(server *[16]byte, id uint16) int32 {
	key := keyOf(server, id)
	return t.same(t.buckets[int(key)&(len(t.buckets)-1)], server, id)
}

func (t *table) following(i int32) int32 {
	q := t.at(i)
	return t.same(q.next, &q.server, q.id)
}

func (t *table) same(i int32, server *[16]byte, id uint16) int32 {
	for i != noIndex {
		q := t.at(i)
		if q.id == id && q.server == *server {
			break
		}
		i = q.next
	}
	return i
}

// remove removes a query; its memory stays valid until the next insert.
func (t *table) remove(i int32) {
	q := t.at(i)
	for p := &t.buckets[int(q.key)&(len(t.buckets)-1)]; ; p = &t.at(*p).next {
		if *p == i {
			*p = q.next
			break
		}
	}
	t.unlink(q)
	cost := 1
	if q.slot != noIndex {
		t.slots.release(q.slot)
		cost += slotCost
	}
	t.live--
	t.give(cost)
	t.queries.release(i)
	if n := len(t.buckets); n > minBuckets && t.live < n/8 {
		t.rehash(n / 2)
	}
}

// unlink removes a query from the order of arrival.
func (t *table) unlink(q *pending) {
	if q.older != noIndex {
		t.at(q.older).newer = q.newer
	} else {
		t.oldest = q.newer
	}
	if q.newer != noIndex {
		t.at(q.newer).older = q.older
	} else {
		t.newest = q.older
	}
}

// restamp sets the lane time of the queries that arrived since a count of arrivals: they
// belong to the time after a jump.
func (t *table) restamp(since uint32, now Time) {
	for i := t.newest; i != noIndex; i = t.at(i).older {
		q := t.at(i)
		if int32(q.arrival-since) < 0 {
			return
		}
		q.at = now
	}
}

// text is the memory for name and zone.
func (t *table) text(q *pending) []byte {
	if q.slot != noIndex {
		return t.slots.at(q.slot)[:]
	}
	return q.text[:]
}

func (t *table) name(q *pending) []byte { return t.text(q)[:q.nameLen] }

func (t *table) zone(q *pending) []byte {
	return t.text(q)[q.nameLen : int(q.nameLen)+int(q.zoneLen)]
}

// subnet is the client subnet in the query: its length in bits and an address; empty if
// there is none.
func (q *pending) subnet() []byte {
	from := int(q.nameLen) + int(q.zoneLen)
	if q.slot != noIndex {
		from = 0 // the name is in a slot
	}
	return q.text[from : from+int(q.subnetLen)]
}

func (q *pending) serverAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(q.server).Unmap(), q.serverPort)
}

// resolverAddr is the resolver's address and port; the zero AddrPort if the source did not
// state them.
func (q *pending) resolverAddr() netip.AddrPort {
	if q == nil || !q.named {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(q.resolver).Unmap(), q.resolverPort)
}

const (
	segmentBits = 6
	segmentSize = 1 << segmentBits
	noFree      = segmentSize // end of a segment's free list
)

// A store is the memory of a table: values that do not move, in segments that are allocated
// and released as their number changes. One empty segment is kept and filled last, so that a
// table whose size varies around a multiple of segmentSize does not allocate at every query.
type store[T any] struct {
	segments  []*segment[T] // nil: released
	available []int32       // segments with a free element, an empty one first
}

type segment[T any] struct {
	values [segmentSize]T
	next   [segmentSize]uint8 // free list
	free   uint8              // first free element
	live   int
}

func (s *store[T]) at(i int32) *T {
	return &s.segments[i>>segmentBits].values[i&(segmentSize-1)]
}

// allocate returns a free element, in a new segment if there is none.
func (s *store[T]) allocate() int32 {
	if len(s.available) == 0 {
		s.grow()
	}
	n := s.available[len(s.available)-1]
	g := s.segments[n]
	i := g.free
	g.free = g.next[i]
	g.live++
	if g.free == noFree {
		s.available = s.available[:len(s.available)-1]
	}
	return n<<segmentBits | int32(i)
}

func (s *store[T]) grow() {
	g := new(segment[T])
	for i := range g.next {
		g.next[i] = uint8(i) + 1
	}
	n := slices.Index(s.segments, nil)
	if n < 0 {
		n = len(s.segments)
		s.segments = append(s.segments, nil)
	}
	s.segments[n] = g
	s.available = append(s.available, int32(n))
}

func (s *store[T]) release(i int32) {
	n := i >> segmentBits
	g := s.segments[n]
	if g.free == noFree {
		s.available = append(s.available, n)
	}
	e := uint8(i & (segmentSize - 1))
	g.next[e], g.free = g.free, e
	if g.live--; g.live == 0 {
		s.emptied(n)
	}
}

// emptied releases segment n, which is empty, unless no other segment is empty.
func (s *store[T]) emptied(n int32) {
	at, last := slices.Index(s.available, n), len(s.available)-1
	if at == 0 || s.segments[s.available[0]].live > 0 {
		s.available[0], s.available[at] = s.available[at], s.available[0]
		return
	}
	s.segments[n] = nil
	s.available[at] = s.available[last]
	s.available = s.available[:last]
}

// Budget is the number of queries that all lanes together may hold, and memory for long
// messages that it lends to lanes. Lanes share nothing else. It is safe for concurrent use.
type Budget struct {
	max, held atomic.Int64
	each      atomic.Int64 // limit of one lane

	scratches [maxScratches]atomic.Pointer[scratch] // not lent; nil: a free element
}

// maxScratches is the number of scratches that a budget keeps. It makes another one when all
// are lent.
const maxScratches = 8

// NewBudget returns a budget of maxQueries queries.
func NewBudget(maxQueries int) *Budget {
	b := new(Budget)
	b.SetMax(maxQueries)
	b.Relax()
	return b
}

// SetMax changes the budget. If lanes hold more already, they drop their oldest queries as
// they take new ones.
func (b *Budget) SetMax(maxQueries int) { b.max.Store(int64(maxQueries)) }

// Max is the number of queries that lanes may hold together.
func (b *Budget) Max() int { return int(b.max.Load()) }

// Ration limits each lane to n, until Relax. A lane that holds more already drops its oldest
// queries as it takes new ones, or in [Pairer.Shrink].
func (b *Budget) Ration(n int) { b.each.Store(int64(n)) }

// Relax removes the limit of each lane.
func (b *Budget) Relax() { b.each.Store(math.MaxInt64) }

// Held is how much of the budget is in use.
func (b *Budget) Held() int64 { return b.held.Load() }

// take takes n of the budget for a lane that holds mine of it, or reports false: lanes do not
// drop queries for each other.
func (b *Budget) take(n, mine int) bool {
	if int64(mine+n) > b.each.Load() {
		return false
	}
	for {
		held := b.held.Load()
		if held+int64(n) > b.max.Load() {
			return false
		}
		if b.held.CompareAndSwap(held, held+int64(n)) {
			return true
		}
	}
}

func (b *Budget) give(n int) { b.held.Add(-int64(n)) }

// lend returns a scratch; the lane returns it by takeBack.
func (b *Budget) lend() *scratch {
	for i := range b.scratches {
		if s := b.scratches[i].Swap(nil); s != nil {
			return s
		}
	}
	return new(scratch)
}

func (b *Budget) takeBack(s *scratch) {
	for i := range b.scratches {
		if b.scratches[i].CompareAndSwap(nil, s) {
			return
		}
	}
}

const (
	memoryCells = 2048                  // of two answers each: 96 KiB
	memoryTime  = Time(2 * time.Second) // copies of a mirror arrive earlier
)

// A memory remembers recently answered queries, to recognise late copies of mirrored
// packets: a mirror of both directions shows each packet twice. Each query has one cell, which
// holds the two newest answers. The zero value is empty; it allocates its cells at first use.
type memory struct {
	seed    maphash.Seed    // of responses
	secret  uint64          // of keys
	answers [][2]remembered // by cell, newest first
}

type remembered struct {
	key, response uint64 // hashes
	at            Time   // of the response
}

// keyOf hashes five-tuple, ID and question, which are the same in copies of a query packet.
// The letter case of the name is ignored: the bit of each octet in which letters differ.
func (y *memory) keyOf(m *Message, id, qtype, qclass uint16, name []byte) uint64 {
	if y.answers == nil {
		y.seed, y.answers = maphash.MakeSeed(), make([][2]remembered, memoryCells)
		y.secret = maphash.String(y.seed, "")
	}
	server, resolver := m.Server.Addr().As16(), m.Resolver.Addr().As16()
	flow := mix(y.secret, uint64(m.Server.Port())<<32|uint64(m.Resolver.Port())<<16|uint64(m.Transport))
	for _, half := range [...][]byte{server[:8], server[8:], resolver[:8], resolver[8:]} {
		flow = mix(flow, binary.LittleEndian.Uint64(half))
	}
	const anyCase = 0x2020202020202020
	question := mix(y.secret, uint64(len(name))<<48|uint64(id)<<32|uint64(qtype)<<16|uint64(qclass))
	for ; len(name) > 8; name = name[8:] {
		question = mix(question, binary.LittleEndian.Uint64(name)|anyCase)
	}
	var rest [8]byte
	copy(rest[:], name)
	question = mix(question, binary.LittleEndian.Uint64(rest[:])|anyCase)
	return mix(flow, question)
}

// note remembers the answer to a query. Times are the packets' own: after a lull the lane's
// clock is late, and may jump between a packet and its copy.
func (y *memory) note(key uint64, response []byte, at Time) {
	cell := &y.answers[key%memoryCells]
	cell[1] = cell[0]
	cell[0] = remembered{key, maphash.Bytes(y.seed, response), at}
}

// recall returns what is remembered of an answer to the query about that time, or nil.
func (y *memory) recall(key uint64, at Time) *remembered {
	cell := &y.answers[key%memoryCells]
	for i := range cell {
		if r := &cell[i]; r.key == key && distance(max(at, r.at), min(at, r.at)) <= uint64(memoryTime) {
			return r
		}
	}
	return nil
}

// asked reports whether the query of a packet, or a copy of the query, was answered recently.
func (y *memory) asked(m *Message, w *dnswire.Walker) bool {
	return y.recall(y.keyOf(m, w.ID, w.Qtype, w.Qclass, w.Qname()), m.time()) != nil
}

// answered reports whether a response packet is a copy of the recent answer to its query, and
// not another answer.
func (y *memory) answered(m *Message, w *dnswire.Walker) bool {
	r := y.recall(y.keyOf(m, w.ID, w.Qtype, w.Qclass, w.Qname()), m.time())
	return r != nil && r.response == maphash.Bytes(y.seed, m.Wire)
}
