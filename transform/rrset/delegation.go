package rrset

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	maxServers   = 32 // of a zone
	maxAddresses = 16 // of a host

	// minLife is how long a server or address is believed at least after it was seen.
	minLife = transform.Time(7 * 24 * time.Hour)
	// never is when a server or address of the root zone file expires, until records state it.
	never = transform.Time(math.MaxInt64)
)

// Delegations is a bounded cache of which servers serve which zones, as verified responses and a
// root zone file state it. The servers of a zone are those that the parent zone and the zone itself
// name in NS records. Their addresses are those that verified responses contain: glue at or below the
// zone of the referring server, and answers. The addresses of the root servers are configured, and
// never learned.
//
// Nothing is believed from outside the zone of the server that states it. So a server can add
// zones below its own zones only, and addresses of hosts in its own zones only.
type Delegations struct {
	roots    map[netip.Addr]bool
	zones    map[string]*zone
	hosts    map[string]*host
	room     room
	onServer func(netip.Addr) // a Verifier wants to know new addresses of servers; nil: none
}

// A zone is a delegated zone.
type zone struct {
	name    string
	servers []server
	place   place // in the room
}

// A server is a host that serves a zone.
type server struct {
	host    *host
	expires transform.Time
}

// A host is a server of one or more zones.
type host struct {
	name      string
	addresses []address
	zones     int
	payer     *domain // that has room for it
}

type address struct {
	addr    netip.Addr
	expires transform.Time
}

// NewDelegations returns an empty cache. It uses about maxBytes of memory when full.
func NewDelegations(rootServers []netip.Addr, maxBytes int) *Delegations {
	d := &Delegations{
		roots: map[netip.Addr]bool{}, zones: map[string]*zone{}, hosts: map[string]*host{}, room: newRoom(maxBytes),
	}
	for _, a := range rootServers {
		d.roots[a.Unmap()] = true
	}
	return d
}

// Len returns the numbers of zones and of their servers' hosts.
func (d *Delegations) Len() (zones, hosts int) { return len(d.zones), len(d.hosts) }

// Octets returns how much memory the cache uses, about.
func (d *Delegations) Octets() int { return d.room.used }

func (d *Delegations) isRootServer(a netip.Addr) bool { return d.roots[a] }

// zoneOf returns the deepest zone that contains a query name and is served by this address, as a
// part of the name; nil if there is none. A query for DS goes to the parent of the zone that has
// the name (RFC 4035 section 3.1.4.1).
func (d *Delegations) zoneOf(name []byte, qtype uint16, server netip.Addr, now transform.Time) []byte {
	if qtype == dns.TypeDS && !isRoot(name) {
		name = parentOf(name)
	}
	for ; !isRoot(name); name = parentOf(name) {
		if z := d.zones[string(name)]; z != nil && z.servedBy(server, now) {
			return name
		}
	}
	if d.isRootServer(server) {
		return name
	}
	return nil
}

func (z *zone) servedBy(a netip.Addr, now transform.Time) bool {
	for i := range z.servers {
		if s := &z.servers[i]; s.expires > now && s.host.has(a, now) {
			return true
		}
	}
	return false
}

func (h *host) has(a netip.Addr, now transform.Time) bool {
	return slices.ContainsFunc(h.addresses, func(x address) bool { return x.addr == a && x.expires > now })
}

// expiry returns when something expires that was seen now with this TTL.
func expiry(now transform.Time, ttl uint32) transform.Time {
	life := minLife
	if ttl <= math.MaxInt32 { // a larger one counts as 0 (RFC 2181 section 8)
		life = max(life, transform.Time(ttl)*transform.Time(time.Second))
	}
	if now > never-1-life {
		return never - 1
	}
	return now + life
}

// learnServers takes the servers of a zone from a verified NS RRset.
func (d *Delegations) learnServers(r *RRset, now transform.Time) {
	if isRoot(r.Name) {
		return
	}
	z := d.zone(r.Name)
	for i := range z.servers {
		if s := &z.servers[i]; s.expires == never {
			s.expires = expiry(now, 0) // records replace what the root zone file stated
		}
	}
	expires := expiry(now, r.TTL)
	for _, name := range r.Rdata[:min(len(r.Rdata), maxServers)] {
		d.addServer(z, name, expires, now)
	}
	d.seen(z)
}

// zone returns a zone, which it adds if it is new.
func (d *Delegations) zone(name []byte) *zone {
	z := d.zones[string(name)]
	if z == nil {
		z = &zone{name: string(name)}
		d.zones[z.name] = z
		d.room.enter(z)
	}
	return z
}

// seen makes a zone the one that was seen last.
func (d *Delegations) seen(z *zone) {
	d.room.seen(z)
	d.shrink(z.place.domain)
}

// shrink removes zones until there is room, in total and in the share of a domain that has grown.
func (d *Delegations) shrink(grown *domain) {
	for z := d.room.excess(grown); z != nil; z = d.room.excess(grown) {
		d.remove(z)
	}
}

// addServer adds a server to a zone, or renews it.
func (d *Delegations) addServer(z *zone, name []byte, expires, now transform.Time) {
	i := slices.IndexFunc(z.servers, func(s server) bool { return s.host.name == string(name) })
	if i < 0 {
		i = d.newServer(z, name)
	}
	s := &z.servers[i]
	wasServer := s.expires > now
	s.expires = max(s.expires, expires)
	if wasServer {
		return
	}
	for _, a := range s.host.addresses {
		if a.expires > now {
			d.gained(a.addr)
		}
	}
}

// newServer adds a server that has expired to a zone, and returns its index. If the zone has too many,
// it replaces the one that would expire first.
func (d *Delegations) newServer(z *zone, name []byte) int {
	if len(z.servers) == maxServers {
		first := slices.MinFunc(z.servers, func(a, b server) int { return cmp.Compare(a.expires, b.expires) })
		d.removeServer(z, slices.Index(z.servers, first))
	}
	h := d.host(name, z.place.domain)
	h.zones++
	z.servers = append(z.servers, server{h, transform.NoTime})
	d.room.use(z.place.domain, serverSize)
	return len(z.servers) - 1
}

// host returns a host, which it adds at the expense of a domain if it is new.
func (d *Delegations) host(name []byte, payer *domain) *host {
	h := d.hosts[string(name)]
	if h == nil {
		h = &host{name: string(name), payer: payer}
		d.hosts[h.name] = h
		d.room.use(payer, h.size())
	}
	return h
}

// learnAddresses takes the addresses of a server from a verified A or AAAA RRset.
func (d *Delegations) learnAddresses(r *RRset, now transform.Time) {
	h := d.hosts[string(r.Name)]
	if h == nil {
		return
	}
	for i := range h.addresses {
		if a := &h.addresses[i]; a.expires == never {
			a.expires = expiry(now, 0) // records replace what the root zone file stated
		}
	}
	expires := expiry(now, r.TTL)
	for _, rdata := range r.Rdata[:min(len(r.Rdata), maxAddresses)] {
		if a, ok := netip.AddrFromSlice(rdata); ok { // of 4 or 16 octets
			d.addAddress(h, a.Unmap(), expires, now)
		}
	}
	d.shrink(h.payer)
}

// addAddress adds an address to a host, or renews it. If the host has too many, a new one replaces the
// one that would expire first.
func (d *Delegations) addAddress(h *host, addr netip.Addr, expires, now transform.Time) {
	i := slices.IndexFunc(h.addresses, func(a address) bool { return a.addr == addr })
	switch {
	case i >= 0:
	case len(h.addresses) < maxAddresses:
		i = len(h.addresses)
		h.addresses = append(h.addresses, address{addr, transform.NoTime})
		d.room.use(h.payer, addressSize)
	default:
		first := slices.MinFunc(h.addresses, func(a, b address) int { return cmp.Compare(a.expires, b.expires) })
		i = slices.Index(h.addresses, first)
		h.addresses[i] = address{addr, transform.NoTime}
	}
	a := &h.addresses[i]
	if a.expires <= now {
		d.gained(addr)
	}
	a.expires = max(a.expires, expires)
}

// gained reports that an address became that of a server of a zone.
func (d *Delegations) gained(a netip.Addr) {
	if d.onServer != nil {
		d.onServer(a)
	}
}

// remove removes a zone, and the hosts that serve no other.
func (d *Delegations) remove(z *zone) {
	for len(z.servers) > 0 {
		d.removeServer(z, len(z.servers)-1)
	}
	delete(d.zones, z.name)
	d.room.leave(z)
}

func (d *Delegations) removeServer(z *zone, i int) {
	h := z.servers[i].host
	z.servers = slices.Delete(z.servers, i, i+1)
	d.room.use(z.place.domain, -serverSize)
	if h.zones--; h.zones == 0 {
		delete(d.hosts, h.name)
		d.room.use(h.payer, -h.size())
	}
}
