package transform

import (
	"encoding/binary"
	"math"
	"net/netip"

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
	at   Time // lane time of arrival
	sent Time // as the message states it

	slot    int32  // of text, or noIndex
	arrival uint32 // increases with each message; to find those since a jump of the clock

	server, resolver         address
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

// A link is a query in the lists of its table.
type link struct {
	hash         uint32 // of the key
	next         int32  // in the bucket, newest first
	older, newer int32  // in order of arrival
}

// table holds the pending queries of one lane, by server and ID and in order of arrival. It
// grows and shrinks by segments; the budget limits its queries.
type table struct {
	*share
	queries        store[link, pending]
	slots          store[struct{}, [textSlot]byte] // text of long names
	buckets        []int32
	oldest, newest int32
	live           int
}

func newTable(s *share) table {
	t := table{share: s, oldest: noIndex, newest: noIndex}
	t.rehash(minBuckets)
	return t
}

func (t *table) at(i int32) *pending { return t.queries.at(i) }

func (t *table) link(i int32) *link { return t.queries.link(i) }

func (t *table) bucket(hash uint32) *int32 { return &t.buckets[int(hash)&(len(t.buckets)-1)] }

// An address is an IP address without a pointer: IPv6, or IPv4 mapped to it.
type address struct{ high, low uint64 }

func addressOf(a netip.Addr) address {
	b := a.As16()
	return address{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a address) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.high)
	binary.BigEndian.PutUint64(b[8:], a.low)
	return netip.AddrFrom16(b).Unmap()
}

// A key is what a response has in common with its query: server and ID. It is computed once for
// each message.
type key struct {
	server address
	id     uint16
	hash   uint32
}

func keyOf(m *Message, id uint16) key {
	k := key{server: addressOf(m.Server.Addr()), id: id}
	h := uint64(id)*0x9e3779b97f4a7c15 ^ 0xff51afd7ed558ccd
	for _, v := range [...]uint64{k.server.high, k.server.low} {
		h = (h ^ v) * 0xc4ceb9fe1a85ec53
		h ^= h >> 29
	}
	k.hash = uint32(h >> 32)
	return k
}

// insert adds a query as the newest. It returns noIndex if the budget has no room: then the
// caller removes the oldest query and tries again.
func (t *table) insert(k key, m *Message, w *dnswire.Walker, now Time) int32 {
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
	q.pendingFields = pendingFields{} // and not a literal, which would be copied
	q.at, q.sent = now, m.time()
	q.server, q.serverPort = k.server, m.Server.Port()
	q.id, q.flags, q.qtype, q.qclass = k.id, w.Flags, w.Qtype, w.Qclass
	q.transport, q.forwarder, q.signed, q.packet = m.Transport, m.Role.forwarder(), w.Signed, m.Packet
	q.more = len(m.Wire) > w.QnameEnd+len("\x00\x01\x00\x01")
	q.nameLen, q.zoneLen, q.subnetLen = uint8(len(name)), uint8(len(m.Zone)), uint8(len(subnet))
	if a := m.Resolver.Addr(); a.IsValid() {
		q.named, q.resolver, q.resolverPort = true, addressOf(a), m.Resolver.Port()
	}
	q.slot = noIndex
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
	l, b := t.link(i), t.bucket(k.hash)
	l.hash, l.next, *b = k.hash, *b, i
	t.append(i, q)
	return i
}

// append makes a query the newest.
func (t *table) append(i int32, q *pending) {
	q.arrival = t.arrivals
	t.arrivals++
	l := t.link(i)
	l.older, l.newer = t.newest, noIndex
	if t.newest != noIndex {
		t.link(t.newest).newer = i
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
	for i := t.oldest; i != noIndex; i = t.link(i).newer {
		l := t.link(i)
		b := t.bucket(l.hash)
		l.next, *b = *b, i
	}
}

// find returns the pending query that a response with this question answers: of several
// queries the oldest in the same letter case, else the oldest. If there is none, other
// reports whether a query with another question to that server with that ID is pending.
func (t *table) find(k key, m *Message, w *dnswire.Walker) (found int32, other bool) {
	found = noIndex
	exact := false
	for i := t.first(k); i != noIndex; i = t.after(i, k) {
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
func (t *table) only(k key, m *Message) int32 {
	found := int32(noIndex)
	for i := t.first(k); i != noIndex; i = t.after(i, k) {
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
func (t *table) countSameKey(k key) (n int, oldest int32) {
	oldest = noIndex
	for i := t.first(k); i != noIndex; i = t.after(i, k) {
		n, oldest = n+1, i
	}
	return n, oldest
}

// repeated reports whether a query packet with the same five-tuple, ID and name
// is pending already.
func (t *table) repeated(k key, m *Message, w *dnswire.Walker) bool {
	i, _ := t.find(k, m, w)
	return i != noIndex && string(t.name(t.at(i))) == string(w.Qname())
}

// sameFlow compares the five-tuple of packets. The port, query address and transport in
// dnstap are not reliable.
func (q *pending) sameFlow(m *Message) bool {
	return !m.Packet || q.resolverPort == m.Resolver.Port() && q.serverPort == m.Server.Port() &&
		q.transport == m.Transport && q.resolver == addressOf(m.Resolver.Addr())
}

// first returns the newest query with a key.
func (t *table) first(k key) int32 { return t.same(*t.bucket(k.hash), k) }

// after returns the next older query with a key.
func (t *table) after(i int32, k key) int32 { return t.same(t.link(i).next, k) }

func (t *table) same(i int32, k key) int32 {
	for i != noIndex {
		l := t.link(i)
		if l.hash == k.hash && t.at(i).has(k) {
			break
		}
		i = l.next
	}
	return i
}

func (q *pending) has(k key) bool { return q.id == k.id && q.server == k.server }

// remove removes a query; its memory stays valid until the next insert.
func (t *table) remove(i int32) {
	q, l := t.at(i), t.link(i)
	for p := t.bucket(l.hash); ; p = &t.link(*p).next {
		if *p == i {
			*p = l.next
			break
		}
	}
	t.unlink(l)
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
func (t *table) unlink(l *link) {
	if l.older != noIndex {
		t.link(l.older).newer = l.newer
	} else {
		t.oldest = l.newer
	}
	if l.newer != noIndex {
		t.link(l.newer).older = l.older
	} else {
		t.newest = l.older
	}
}

// restamp sets the lane time of the queries that arrived since a count of arrivals: they
// belong to the time after a jump.
func (t *table) restamp(since uint32, now Time) {
	for i := t.newest; i != noIndex; i = t.link(i).older {
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
	return netip.AddrPortFrom(q.server.addr(), q.serverPort)
}

// resolverAddr is the resolver's address and port; the zero AddrPort if the source did not
// state them.
func (q *pending) resolverAddr() netip.AddrPort {
	if q == nil || !q.named {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(q.resolver.addr(), q.resolverPort)
}
