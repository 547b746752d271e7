package rrset

import (
	"container/list"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Octets that the parts of a cache use on 64-bit machines, about: structs, map and list entries. Names
// are added to them.
const (
	domainSize  = 180
	zoneSize    = 220
	serverSize  = 24
	hostSize    = 110
	addressSize = 36
)

// shares is the number of registered domains that together can fill the room.
const shares = 64

// A room decides which zones leave a cache that is full: those that were seen longest ago. The
// owner of a domain can delegate any number of zones below it, so a registered domain with all zones
// below it has only a share of the room, and its own oldest zones leave when that is used up. Zones of
// registries (the top-level domains and other public suffixes) are bounded in number by what registries
// delegate. They are not in any share, and leave last.
type room struct {
	limit, used int // octets
	domains     map[string]*domain
	registries  domain
	order       list.List // of the *zone in domains, the one that was seen longest ago first
}

// A domain is a registered domain, or all registries together.
type domain struct {
	name  string
	zones list.List // of *zone, the one that was seen longest ago first
	used  int       // octets of its zones, and of the hosts that they brought
}

// A place is where a zone is in a room.
type place struct {
	domain            *domain
	inDomain, inOrder *list.Element // inOrder is nil for registries
}

func newRoom(limit int) room { return room{limit: limit, domains: map[string]*domain{}} }

func (z *zone) size() int { return zoneSize + len(z.name) }
func (h *host) size() int { return hostSize + len(h.name) + len(h.addresses)*addressSize }

// enter gives a new zone its place.
func (m *room) enter(z *zone) {
	z.place.domain = m.domain(transform.RegisteredDomain([]byte(z.name)))
	z.place.inDomain = z.place.domain.zones.PushBack(z)
	if z.place.domain != &m.registries {
		z.place.inOrder = m.order.PushBack(z)
	}
	m.use(z.place.domain, z.size())
}

// domain returns the domain with this name, or the registries if it is empty.
func (m *room) domain(name []byte) *domain {
	if len(name) == 0 {
		return &m.registries
	}
	x := m.domains[string(name)]
	if x == nil {
		x = &domain{name: string(name)}
		m.domains[x.name] = x
		m.used += domainSize + len(x.name)
	}
	return x
}

// use takes room for a domain, or returns it if n is negative.
func (m *room) use(x *domain, n int) {
	x.used += n
	m.used += n
	if x.used == 0 && x != &m.registries {
		delete(m.domains, x.name)
		m.used -= domainSize + len(x.name)
	}
}

// seen makes a zone the one that leaves last.
func (m *room) seen(z *zone) {
	z.place.domain.zones.MoveToBack(z.place.inDomain)
	if z.place.inOrder != nil {
		m.order.MoveToBack(z.place.inOrder)
	}
}

// leave takes the place of a zone without servers.
func (m *room) leave(z *zone) {
	z.place.domain.zones.Remove(z.place.inDomain)
	if z.place.inOrder != nil {
		m.order.Remove(z.place.inOrder)
	}
	m.use(z.place.domain, -z.size())
}

// excess returns a zone that must leave, because the domain uses more than its share or there is no
// room left; nil if there is none.
func (m *room) excess(x *domain) *zone {
	var first *list.Element
	switch {
	case x != &m.registries && x.used > m.limit/shares && x.zones.Len() > 0:
		first = x.zones.Front()
	case m.used <= m.limit:
		return nil
	case m.order.Len() > 0:
		first = m.order.Front()
	case m.registries.zones.Len() > 0:
		first = m.registries.zones.Front()
	default:
		return nil
	}
	return first.Value.(*zone)
}
