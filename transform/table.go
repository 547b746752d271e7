package transform

import (
	"math"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

const (
	inlineText   = 88                  // name, zone and client subnet of nearly every query
	textSlot     = 2 * dnswire.MaxName // name and zone of any other
	slotCost     = 3                   // queries' room that a slot takes
	maxSameKey   = 64                  // pending queries to one server with one ID: real resolvers have one or two
	noIndex      = math.MaxInt32       // end of a list
	minBuckets   = 64
	bucketsLimit = 1 << 20
)

// pending is a query that waits for its response. It holds no pointer, so that a
// full table costs the garbage collector nothing.
type pending struct {
	pendingFields
	text [inlineText]byte // name as it was sent and zone, unless they are in a slot; then the client subnet
}

type pendingFields struct {
	next         int32 // in its bucket, newest first
	older, newer int32 // in order of arrival
	slot         int32 // of text, or noIndex
	key          uint32
	arrival      uint32 // counts up; tells what came since a jump of the clock

	at        Time // lane time of arrival
	queryTime Time

	server, resolver         [16]byte
	serverPort, resolverPort uint16
	id, flags, qtype, qclass uint16

	transport         Transport
	forwarder, signed bool
	packet            bool
	told              bool // the source named the resolver's address
	more              bool // it held more than header and question
	nameLen, zoneLen  uint8
	subnetLen         uint8
}

// table holds the pending queries of one lane: found by server and ID, ordered
// by arrival. It grows and shrinks by segments; how many queries it may hold is
// the budget's to say.
type table struct {
	budget         *Budget
	queries        store[pending]
	slots          store[[textSlot]byte] // text of long names
	buckets        []int32
	oldest, newest int32
	live           int
	cost           int // of the budget
	arrivals       uint32
}

func newTable(b *Budget) *table {
	return &table{budget: b, oldest: noIndex, newest: noIndex}
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

// insert puts a query at the end. It reports false where the budget has no room:
// then the caller removes what is oldest, and tries again.
func (t *table) insert(m *Message, w *dnswire.Walker, now Time) bool {
	name := w.Qname()
	var scratch [maxSubnet]byte
	subnet := appendSubnet(scratch[:0], w)
	cost := 1
	if len(name)+len(m.Zone)+len(subnet) > inlineText {
		cost += slotCost
	}
	if !t.budget.take(cost, t.cost) {
		return false
	}
	t.cost += cost
	i := t.queries.allocate()
	q := t.at(i)
	q.pendingFields = pendingFields{
		older: t.newest, newer: noIndex, slot: noIndex,
		arrival: t.arrivals,
		at:      now, queryTime: m.QueryTime,
		server: m.Server.Addr().As16(), serverPort: m.Server.Port(),
		id: w.ID, flags: w.Flags, qtype: w.Qtype, qclass: w.Qclass,
		transport: m.Transport, forwarder: m.Role.forwarder(), signed: w.Signed, packet: m.Packet,
		more:    len(m.Wire) > w.QnameEnd+len("\x00\x01\x00\x01"),
		nameLen: uint8(len(name)), zoneLen: uint8(len(m.Zone)), subnetLen: uint8(len(subnet)),
	}
	if a := m.Resolver.Addr(); a.IsValid() {
		q.told, q.resolver, q.resolverPort = true, a.As16(), m.Resolver.Port()
	}
	q.key = keyOf(&q.server, q.id)
	if cost > 1 {
		q.slot = t.slots.allocate()
	}
	text := t.text(q)
	copy(text[copy(text, name):], m.Zone)
	copy(q.subnet(), subnet)
	t.arrivals++
	t.live++
	t.link(i, q)
	return true
}

func (t *table) link(i int32, q *pending) {
	if t.live > len(t.buckets) && len(t.buckets) < bucketsLimit {
		t.rehash(max(minBuckets, 2*len(t.buckets)))
	}
	b := &t.buckets[int(q.key)&(len(t.buckets)-1)]
	q.next, *b = *b, i
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

// remove takes a query out; what q points to is good until the next insert.
func (t *table) remove(i int32) {
	q := t.at(i)
	for p := &t.buckets[int(q.key)&(len(t.buckets)-1)]; ; p = &t.at(*p).next {
		if *p == i {
			*p = q.next
			break
		}
	}
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
	cost := 1
	if q.slot != noIndex {
		t.slots.release(q.slot)
		cost += slotCost
	}
	t.live--
	t.cost -= cost
	t.budget.give(cost)
	t.queries.release(i)
	if n := len(t.buckets); n > minBuckets && t.live < n/8 {
		t.rehash(n / 2)
	}
}

// find returns the pending query that a response with this question answers: of
// several the one in the same letter case, of those the oldest. If there is none,
// other tells whether anything else was asked of that server with that ID.
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

// only returns the pending query to that server with that ID if there is exactly
// one, for responses that do not say what they answer.
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

// crowd returns how many queries to that server with that ID are pending, and the
// oldest of them.
func (t *table) crowd(m *Message, id uint16) (n int, oldest int32) {
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

// sameFlow holds packets to their five-tuple. dnstap's port, query address and
// transport cannot be relied on.
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

// restamp moves the queries that arrived since a count of arrivals to lane time
// now: they were the first of a new time.
func (t *table) restamp(since uint32, now Time) {
	for i := t.newest; i != noIndex; i = t.at(i).older {
		q := t.at(i)
		if int32(q.arrival-since) < 0 {
			return
		}
		q.at = now
	}
}

// text is the room for name and zone.
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

// subnet is the client subnet that the query stated: a length in bits and an address;
// empty if it stated none.
func (q *pending) subnet() []byte {
	from := int(q.nameLen) + int(q.zoneLen)
	if q.slot != noIndex {
		from = 0 // the name is in a slot
	}
	return q.text[from : from+int(q.subnetLen)]
}

// serverAddr is the server's address and port.
func (q *pending) serverAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(q.server).Unmap(), q.serverPort)
}

// resolverAddr is the resolver's address and port; the zero AddrPort where the
// source did not tell.
func (q *pending) resolverAddr() netip.AddrPort {
	if q == nil || !q.told {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(q.resolver).Unmap(), q.resolverPort)
}
