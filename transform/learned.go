package transform

import (
	"container/list"
	"net/netip"
	"time"
)

// maxLearned bounds the addresses that are remembered as the resolver's. Those of a
// resolver that picks them at random from a prefix are worth nothing to remember.
const maxLearned = 4096

// Learned is the resolver's addresses that messages have shown to any lane. Its owner
// guards it: it is not safe for concurrent use. The zero value is empty.
type Learned struct {
	order   list.List // of netip.Addr, the one seen longest ago first
	at      map[netip.Addr]*list.Element
	full    bool
	current *KnownAddrs // nil: the set has changed since
}

// KnownAddrs is an immutable set of addresses of the resolver.
type KnownAddrs struct{ set addrSet }

// See notes addresses that messages have shown, the latest last. Of too many the one
// that was seen longest ago is evicted.
func (l *Learned) See(addrs []netip.Addr) {
	if l.at == nil {
		l.at = map[netip.Addr]*list.Element{}
	}
	for _, a := range addrs {
		if e := l.at[a]; e != nil {
			l.order.MoveToBack(e)
			continue
		}
		if len(l.at) == maxLearned {
			delete(l.at, l.order.Remove(l.order.Front()).(netip.Addr))
			l.full = true
		}
		l.at[a] = l.order.PushBack(a)
		l.current = nil
	}
}

// Full reports whether an address was evicted.
func (l *Learned) Full() bool { return l.full }

// Addrs are the addresses, the one seen longest ago first.
func (l *Learned) Addrs() []netip.Addr {
	var all []netip.Addr
	for e := l.order.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(netip.Addr))
	}
	return all
}

// Known returns the set as it is now; the same one while it does not change.
func (l *Learned) Known() *KnownAddrs {
	if l.current == nil {
		l.current = new(KnownAddrs)
		for a := range l.at {
			l.current.set.add(a)
		}
	}
	return l.current
}

// sightings is the resolver's addresses that a lane has seen since it was last given
// what all lanes know. Each is noted once in noteTime of message time.
type sightings struct {
	fresh  addrSet
	order  []netip.Addr // of fresh; a ring once it is full
	oldest int

	recent [64]sighting // by last octet
}

type sighting struct {
	addr netip.Addr
	at   Time // lane time
	own  bool // the address identifies the resolver
}

// noteTime is how long a lane does not note an address again.
const noteTime = Time(time.Second)

// see notes an address if it identifies the resolver, unless it has just been noted,
// and reports whether it does.
func (s *sightings) see(a netip.Addr, now Time, policy *Policy) (own bool) {
	if !a.IsValid() {
		return false
	}
	last := a.As16()[15]
	r := &s.recent[last%uint8(len(s.recent))]
	if r.addr != a || uint64(now-r.at) >= uint64(noteTime) {
		*r = sighting{a, now, isIdentity(a)}
		if r.own && !policy.identity.Has(a) {
			s.note(a)
		}
	}
	return r.own
}

func (s *sightings) note(a netip.Addr) {
	if s.fresh.has(a) {
		return
	}
	if len(s.order) < maxLearned {
		s.order = append(s.order, a)
	} else {
		delete(s.fresh.members, s.order[s.oldest])
		s.order[s.oldest] = a
		s.oldest = (s.oldest + 1) % maxLearned
	}
	s.fresh.add(a)
}

// Seen returns the resolver's addresses that messages have shown to the lane since
// the last call of Know, borrowed until the next message.
func (p *Pairer) Seen() []netip.Addr { return p.seen.order }

// Know gives the lane what all lanes know of the resolver's addresses. The lane
// forgets that it has seen those.
func (p *Pairer) Know(k *KnownAddrs) {
	p.known = &k.set
	s := &p.seen
	if len(s.order) == 0 {
		return
	}
	seen := s.order
	s.order, s.oldest, s.fresh = s.order[:0], 0, addrSet{}
	for _, a := range seen {
		if !k.set.has(a) {
			s.note(a)
		}
	}
}
