package transform

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

const (
	maxSpans = 8 // of which dnstap may still deliver something

	// spanEdge is how near the ends of a capture its packets are not sure to be whole:
	// those of a span port come late, and clocks are coarse.
	spanEdge = Time(2 * time.Second)
	// keySlack is how far off an end a transaction may be by one clock that is at the
	// edge by the other.
	keySlack = Time(4 * time.Second)
)

// A Handover knows what packets have recorded while no dnstap sender brought
// anything, so that it is no record again when a resolver delivers its backlog. It
// is immutable; nil stands for one that knows nothing.
type Handover struct {
	spans []Span // oldest first
}

// A Span is one capture of packets.
type Span struct {
	On, Off   Time           // of the packets
	Resolvers []netip.Prefix // whose packets those were; none: everybody's
	keys      []uint64       // of what was recorded near both ends, sorted
}

// With returns a Handover that knows another capture too, whose lanes kept these
// logs. Of more than eight captures the oldest goes. The logs must not be in use any
// more.
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

// Spans lists the captures that h knows, oldest first. They are h's own.
func (h *Handover) Spans() []Span {
	if h == nil {
		return nil
	}
	return h.spans
}

// HandOver makes [Duplicate] what dnstap tells of the lane from now on and packets
// have recorded, as h knows. It is nothing to packets.
func (p *Pairer) HandOver(h *Handover) { p.handover = h }

// A transaction is what dnstap tells of one.
type transaction struct {
	period
	resolver  netip.Addr
	server    netip.AddrPort
	transport Transport
	id, qtype uint16
	name      []byte // lowercase wire form
}

// A period is that of a transaction: when it began, when its last message was, and
// how much longer it was waited for.
type period struct{ begin, end, wait Time }

// answeredIn is the period of a response. What is not known of it is as the other.
func answeredIn(query, response Time) period {
	switch NoTime {
	case query:
		query = response
	case response:
		response = query
	}
	return period{begin: query, end: response}
}

// unansweredSince is the period of a query that was waited for in vain.
func unansweredSince(query Time, policy *Policy) period {
	return period{begin: query, end: query, wait: policy.timeout}
}

// handedOver reports whether packets have recorded a transaction of dnstap's.
func (p *Pairer) handedOver(t *transaction) bool {
	h := p.handover
	return t.readable() && (h.inside(t.period, t.resolver) ||
		h.near(t.period) && h.kept(t.period, t.resolver, transactionKey(t.server.Addr().Unmap(), t.id, t.qtype, t.name)))
}

// dnsPort is where packets are taken to be DNS.
const dnsPort = 53

// readable reports whether packets can have shown it. A port that is not told is zero.
func (t *transaction) readable() bool {
	return t.transport != Encrypted && (t.server.Port() == dnsPort || t.server.Port() == 0)
}

// inside reports whether packets have seen all of it for certain.
func (h *Handover) inside(t period, resolver netip.Addr) bool {
	return slices.ContainsFunc(h.spans, func(s Span) bool {
		return s.On+spanEdge < t.begin && t.end < s.Off-spanEdge-t.wait && s.sees(resolver)
	})
}

// near reports whether packets may have recorded it.
func (h *Handover) near(t period) bool {
	return slices.ContainsFunc(h.spans, func(s Span) bool { return s.isNear(t) })
}

// kept reports whether packets have recorded what has this key.
func (h *Handover) kept(t period, resolver netip.Addr, key uint64) bool {
	return slices.ContainsFunc(h.spans, func(s Span) bool {
		_, found := slices.BinarySearch(s.keys, key)
		return found && s.isNear(t) && s.sees(resolver)
	})
}

func (s *Span) isNear(t period) bool {
	return s.On-keySlack <= min(t.begin, t.end) && max(t.begin, t.end) <= s.Off+keySlack
}

// sees reports whether the capture was of that resolver, or may have been: dnstap
// often does not tell its address.
func (s *Span) sees(resolver netip.Addr) bool {
	return len(s.Resolvers) == 0 || !resolver.IsValid() || resolver.IsUnspecified() ||
		slices.ContainsFunc(s.Resolvers, func(p netip.Prefix) bool { return p.Contains(resolver) })
}

// transactionKey hashes what packets and dnstap tell alike of a transaction, which
// ports are not. The name is in lowercase wire form. All lanes have one function.
func transactionKey(server netip.Addr, id, qtype uint16, name []byte) uint64 {
	a := server.As16()
	h := fold(0, binary.LittleEndian.Uint64(a[:8]))
	h = fold(h, binary.LittleEndian.Uint64(a[8:]))
	h = fold(h, uint64(len(name))<<32|uint64(id)<<16|uint64(qtype))
	for len(name) >= 8 {
		h = fold(h, binary.LittleEndian.Uint64(name))
		name = name[8:]
	}
	var rest [8]byte
	copy(rest[:], name)
	return fold(fold(h, binary.LittleEndian.Uint64(rest[:])), 0)
}

// fold mixes a word into a hash: both halves of a product depend on every bit.
func fold(h, word uint64) uint64 {
	hi, lo := bits.Mul64(h^word^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return hi ^ lo
}

const (
	maxKeys = 1 << 17 // of each end of a capture: 32,768 records a second for keySlack

	// keyTime is how long a key is kept for the end of a capture: keySlack, and as much
	// for what is read beyond the end.
	keyTime = Time(8 * time.Second)
)

// A KeyLog is what a lane of packets keeps for [Handover]: the keys of the records of
// its first seconds and of its last ones so far, since nobody knows which will be
// the last. It belongs to its lane until that has ended.
type KeyLog struct {
	on    Time
	first []uint64
	last  []recorded // a ring
	head  int        // the oldest of the ring
	n     int        // how many it holds
}

type recorded struct {
	key uint64
	at  Time // of the lane's clock, or later
}

// NewKeyLog returns the log of a lane whose capture began at on.
func NewKeyLog(on Time) *KeyLog { return &KeyLog{on: on} }

// Log makes the lane keep the keys of its records, or with nil no longer.
func (p *Pairer) Log(k *KeyLog) { p.log = k }

// add notes a record, by when its query was sent and the lane's clock now, which after
// a lull stays behind for a while. Of too many the first ones of the beginning are
// kept, and the last ones of the end.
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
