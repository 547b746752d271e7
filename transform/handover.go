package transform

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

const (
	maxSpans = 8 // captures that dnstap may still deliver messages of

	// spanEdge is how near the ends of a capture packets may be missing: packets of a span
	// port come late, and clocks are coarse.
	spanEdge = Time(2 * time.Second)
	// keySlack is how far a transaction may be from an end of a capture by one clock if it
	// is at the end by the other clock.
	keySlack = Time(4 * time.Second)
)

// A Handover knows what packets have recorded while dnstap was idle, so that the backlog
// that a resolver delivers later makes no duplicate records. It is immutable; nil is empty.
type Handover struct {
	spans []Span // oldest first
}

// A Span is one capture of packets.
type Span struct {
	On, Off   Time           // of the packets
	Resolvers []netip.Prefix // whose packets were captured; none: of all resolvers
	keys      []uint64       // of the records near both ends, sorted
}

// With returns a Handover that also knows the capture s, whose lanes kept these logs. Of more
// than eight captures the oldest is forgotten. The logs must not be in use any more.
func (h *Handover) With(s Span, logs ...*KeyLog) *Handover {
	s.keys = nil
	for _, k := range logs {
		s.keys = k.appendTo(s.keys)
	}
	slices.Sort(s.keys)
	s.keys = slices.Clip(slices.Compact(s.keys))
	spans := append(slices.Clone(h.Spans()), s)
	return &Handover{spans[max(0, len(spans)-maxSpans):]}
}

// Spans lists the captures that h knows, oldest first. The slice is borrowed from h.
func (h *Handover) Spans() []Span {
	if h == nil {
		return nil
	}
	return h.spans
}

// HandOver makes the lane drop, as [Duplicate], dnstap messages that packet lanes recorded
// according to h. Packet lanes ignore it.
func (p *Pairer) HandOver(h *Handover) { p.handover = h }

// A transaction is a query with its response, or without one, as dnstap states it.
type transaction struct {
	period
	resolver  netip.Addr
	server    netip.AddrPort
	transport Transport
	id, qtype uint16
	name      []byte // lowercase wire form
}

// A period is the time of a transaction: of its first message, of its last message, and how
// long the resolver waited after it.
type period struct{ begin, end, wait Time }

// answeredIn is the period of a response. If one of the times is unknown, the other is used for
// both.
func answeredIn(query, response Time) period {
	switch NoTime {
	case query:
		query = response
	case response:
		response = query
	}
	return period{begin: query, end: response}
}

// unansweredSince is the period of a query without a response.
func unansweredSince(query Time, policy *Policy) period {
	return period{begin: query, end: query, wait: policy.timeout}
}

// handedOver reports whether packets have recorded a transaction that dnstap reports.
func (p *Pairer) handedOver(t *transaction) bool {
	h := p.handover
	return t.readable() && (h.inside(t.period, t.resolver) ||
		h.near(t.period) && h.kept(t.period, t.resolver, transactionKey(t.server.Addr().Unmap(), t.id, t.qtype, t.name)))
}

// dnsPort is the port whose packets are captured.
const dnsPort = 53

// readable reports whether packets can have shown the transaction. An unknown port is zero.
func (t *transaction) readable() bool {
	return t.transport != Encrypted && (t.server.Port() == dnsPort || t.server.Port() == 0)
}

// inside reports whether a capture has certainly seen the whole transaction.
func (h *Handover) inside(t period, resolver netip.Addr) bool {
	return slices.ContainsFunc(h.spans, func(s Span) bool {
		return s.On+spanEdge < t.begin && t.end < s.Off-spanEdge-t.wait && s.sees(resolver)
	})
}

// near reports whether a capture may have recorded the transaction.
func (h *Handover) near(t period) bool {
	return slices.ContainsFunc(h.spans, func(s Span) bool { return s.isNear(t) })
}

// kept reports whether a capture has recorded a transaction with this key.
func (h *Handover) kept(t period, resolver netip.Addr, key uint64) bool {
	return slices.ContainsFunc(h.spans, func(s Span) bool {
		_, found := slices.BinarySearch(s.keys, key)
		return found && s.isNear(t) && s.sees(resolver)
	})
}

func (s *Span) isNear(t period) bool {
	return s.On-keySlack <= min(t.begin, t.end) && max(t.begin, t.end) <= s.Off+keySlack
}

// sees reports whether the capture was of that resolver, or may have been: dnstap often does
// not state its address.
func (s *Span) sees(resolver netip.Addr) bool {
	return len(s.Resolvers) == 0 || !resolver.IsValid() || resolver.IsUnspecified() ||
		slices.ContainsFunc(s.Resolvers, func(p netip.Prefix) bool { return p.Contains(resolver) })
}

// transactionKey hashes those parts of a transaction that packets and dnstap state alike, so no
// ports. The name is in lowercase wire form. All lanes have the same function.
func transactionKey(server netip.Addr, id, qtype uint16, name []byte) uint64 {
	a := server.As16()
	h := mix(0, binary.LittleEndian.Uint64(a[:8]))
	h = mix(h, binary.LittleEndian.Uint64(a[8:]))
	h = mix(h, uint64(len(name))<<32|uint64(id)<<16|uint64(qtype))
	for len(name) >= 8 {
		h = mix(h, binary.LittleEndian.Uint64(name))
		name = name[8:]
	}
	var rest [8]byte
	copy(rest[:], name)
	return mix(mix(h, binary.LittleEndian.Uint64(rest[:])), 0)
}

// mix mixes a word into a hash: both halves of a product depend on every bit.
func mix(h, word uint64) uint64 {
	hi, lo := bits.Mul64(h^word^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return hi ^ lo
}

const (
	maxKeys = 1 << 17 // of each end of a capture: 32,768 records a second for keySlack

	// keyTime is how long a key is kept for the end of a capture: keySlack, and the same
	// again for packets that are read after the end.
	keyTime = Time(8 * time.Second)
)

// A KeyLog holds what a packet lane keeps for [Handover]: the keys of the records of its
// first seconds and of its latest seconds, because any of these may be the last. The lane
// owns it until the lane has ended.
type KeyLog struct {
	on    Time
	first []uint64
	last  []recorded // a ring
	head  int        // the oldest of the ring
	n     int        // how many it holds
}

type recorded struct {
	key uint64
	at  Time // by the lane's clock, or later
}

// NewKeyLog returns the log of a lane whose capture began at on.
func NewKeyLog(on Time) *KeyLog { return &KeyLog{on: on} }

// KeepKeys makes the lane keep the keys of its records in k; nil: nowhere.
func (p *Pairer) KeepKeys(k *KeyLog) { p.log = k }

// add notes a record, by the time of its query or, if later, the lane's clock: the clock may be
// late after a lull. When full, it keeps the earliest keys of the start and the latest of the end.
func (k *KeyLog) add(key uint64, query, now Time) {
	at := max(query, now)
	if query < k.on+keySlack && len(k.first) < maxKeys {
		k.first = append(k.first, key)
	}
	for k.n > 0 && (k.n == maxKeys || at-k.last[k.head].at > keyTime) {
		k.head = (k.head + 1) % len(k.last)
		k.n--
	}
	if k.n == len(k.last) {
		k.grow()
	}
	k.last[(k.head+k.n)%len(k.last)] = recorded{key, at}
	k.n++
}

func (k *KeyLog) grow() {
	larger := make([]recorded, min(max(64, 2*len(k.last)), maxKeys))
	copy(larger[copy(larger, k.last[k.head:]):], k.last[:k.head])
	k.last, k.head = larger, 0
}

func (k *KeyLog) appendTo(keys []uint64) []uint64 {
	keys = append(keys, k.first...)
	for i := range k.n {
		keys = append(keys, k.last[(k.head+i)%len(k.last)].key)
	}
	return keys
}
