package transform

import (
	"container/list"
	"net/netip"
	"slices"
	"time"
)

// A form is a way to write an address, with the length of the shortest prefix for which it
// counts. For shorter prefixes such text occurs by chance.
type form struct{ least4, least6 int }

var (
	asIs        = form{0, 0}
	backwards   = form{16, 0}
	decimalForm = form{24, 48}
	hexForm     = form{16, 48}
)

// addr4 judges an IPv4 address in a form.
func (s *searcher) addr4(b [4]byte, f form) {
	if e, ok := s.single4(b); ok {
		s.found(s.place.resolver, e)
		return
	}
	if s.place.isName {
		s.network(s.policy.localNetworks.longest4(b), f.least4, LocalNetwork)
	}
	s.network(s.policy.identity.longest4(b), f.least4, s.place.resolver)
	if len(s.subnets) > 0 {
		s.inSubnets(netip.AddrFrom4(b), f.least4)
	}
}

// alone4 judges an IPv4 address in a form that counts for single addresses only, not for
// networks.
func (s *searcher) alone4(b [4]byte) {
	if e, ok := s.single4(b); ok {
		s.found(s.place.resolver, e)
	}
	if s.place.isName {
		s.network(s.policy.localNetworks.longest4(b), 32, LocalNetwork)
	}
	if len(s.subnets) > 0 {
		s.inSubnets(netip.AddrFrom4(b), 32)
	}
}

// addr16 judges an IPv6 address in a form, and the IPv4 addresses that it embeds.
func (s *searcher) addr16(b *[16]byte, f form) {
	var e embedded
	e.find(b)
	for _, inner := range e.addrs[:e.known] {
		s.addr4(inner, form{least4: f.least4})
	}
	for _, inner := range e.addrs[e.known:e.n] {
		s.alone4(inner)
	}
	if entry, ok := s.single16(b); ok {
		s.found(s.place.resolver, entry)
		return
	}
	if s.place.isName {
		s.network(s.policy.localNetworks.longest16(b), f.least6, LocalNetwork)
	}
	s.network(s.policy.identity.longest16(b), f.least6, s.place.resolver)
	if len(s.subnets) > 0 {
		s.inSubnets(netip.AddrFrom16(*b), f.least6)
	}
}

// inSubnets judges an address by the client subnets that have least bits or more.
func (s *searcher) inSubnets(a netip.Addr, least int) {
	for _, p := range s.subnets {
		if p.Contains(a) {
			s.network(p, least, ClientSubnet)
		}
	}
}

// network sets rule r for p, a network that contains the judged address, if p has least bits
// or more. An invalid p means that no network contains it.
func (s *searcher) network(p netip.Prefix, least int, r Rule) {
	if p.IsValid() && p.Bits() >= least {
		s.found(r, Entry{Prefix: p})
	}
}

// single4 and single16 return the entry of a single address of the resolver.
func (s *searcher) single4(b [4]byte) (Entry, bool) {
	if !s.last.has(b[3]) {
		return Entry{}, false
	}
	return s.single(netip.AddrFrom4(b))
}

func (s *searcher) single16(b *[16]byte) (Entry, bool) {
	if !s.last.has(b[15]) {
		return Entry{}, false
	}
	return s.single(netip.AddrFrom16(*b))
}

func (s *searcher) single(a netip.Addr) (Entry, bool) {
	if a == s.stated[0] || a == s.stated[1] || s.known.has(a) || s.fresh.has(a) || s.configured.has(a) {
		return Entry{Prefix: netip.PrefixFrom(a, a.BitLen())}, true
	}
	return Entry{}, false
}

// reverse judges the address or network of a reverse name.
func (s *searcher) reverse(r reverseNet) {
	p := r.prefix
	if p.Bits() == 0 {
		return
	}
	s.sawReverse = true
	switch {
	case p.IsSingleIP() && p.Addr().Is4():
		s.addr4(p.Addr().As4(), asIs)
	case p.IsSingleIP():
		b := p.Addr().As16()
		s.addr16(&b, asIs)
	default:
		if s.place.isName {
			s.reverseOf(r, s.policy.localNetworks.all, LocalNetwork)
		}
		s.reverseOf(r, s.policy.identity.all, s.place.resolver)
		s.reverseOf(r, s.subnets, ClientSubnet)
	}
	for _, last := range r.hosts {
		b := r.prefix.Addr().As4()
		b[3] = last
		if e, ok := s.single4(b); ok {
			s.found(s.place.resolver, e)
		}
	}
}

func (s *searcher) reverseOf(r reverseNet, networks []netip.Prefix, rule Rule) {
	for _, network := range networks {
		if r.within(network) {
			s.found(rule, Entry{Prefix: network})
		}
	}
}

// An octetSet is a set of octets.
type octetSet [4]uint64

func (s *octetSet) add(b byte) { s[b>>6] |= 1 << (b & 63) }

func (s *octetSet) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }

// An addrSet is a set of single addresses. It is searched for nearly every address in an
// answer. The zero value is empty.
type addrSet struct {
	last    octetSet // the last octets of the addresses; most searches end here
	members map[netip.Addr]struct{}
}

// add adds an address, an IPv4-mapped one as IPv4.
func (s *addrSet) add(a netip.Addr) {
	if s.members == nil {
		s.members = map[netip.Addr]struct{}{}
	}
	a = a.Unmap().WithZone("")
	s.members[a] = struct{}{}
	s.last.add(a.As16()[15])
}

// has reports whether the set contains the address. It does not unmap IPv4-mapped addresses.
func (s *addrSet) has(a netip.Addr) bool {
	if !s.last.has(a.As16()[15]) {
		return false
	}
	_, ok := s.members[a]
	return ok
}

// Networks is a set of networks. One search finds the longest network that contains
// an address. The zero value is empty.
type Networks struct {
	first  octetSet // the first octets of the addresses of the networks
	all    []netip.Prefix
	ranges []addrRange
}

// An addrRange is a range of addresses from start to the next addrRange's start, and the
// longest network that contains all of it; the zero Prefix if there is none.
type addrRange struct {
	start   netip.Addr
	longest netip.Prefix
}

// NewNetworks returns the set of these networks, which may contain one another.
func NewNetworks(prefixes []netip.Prefix) Networks {
	var s Networks
	for _, p := range prefixes {
		s.all = append(s.all, p.Masked())
	}
	slices.SortFunc(s.all, netip.Prefix.Compare) // a network precedes those inside it
	s.all = slices.Compact(s.all)
	var open []netip.Prefix // networks that contain the current position, longest last
	closeBefore := func(a netip.Addr) {
		for len(open) > 0 {
			next := lastAddr(open[len(open)-1]).Next()
			if next.IsValid() && a.IsValid() && a.Less(next) {
				return
			}
			open = open[:len(open)-1]
			outer := netip.Prefix{}
			if len(open) > 0 {
				outer = open[len(open)-1]
			}
			if next.IsValid() {
				s.begin(next, outer)
			}
		}
	}
	for _, p := range s.all {
		for n := int(p.Addr().AsSlice()[0]); n <= int(lastAddr(p).AsSlice()[0]); n++ {
			s.first.add(byte(n))
		}
		closeBefore(p.Addr())
		s.begin(p.Addr(), p)
		open = append(open, p)
	}
	closeBefore(netip.Addr{})
	return s
}

// begin adds an addrRange, and replaces one that begins at the same address.
func (s *Networks) begin(a netip.Addr, longest netip.Prefix) {
	if n := len(s.ranges); n > 0 && s.ranges[n-1].start == a {
		s.ranges = s.ranges[:n-1]
	}
	s.ranges = append(s.ranges, addrRange{a, longest})
}

// lastAddr is the highest address of a network.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Has reports whether a network contains the address. It does not unmap IPv4-mapped addresses.
func (s *Networks) Has(a netip.Addr) bool { return len(s.ranges) > 0 && s.has(a) }

func (s *Networks) has(a netip.Addr) bool {
	if a.Is4() {
		return s.longest4(a.As4()).IsValid()
	}
	b := a.As16()
	return s.longest16(&b).IsValid()
}

func (s *Networks) longest4(b [4]byte) netip.Prefix {
	if !s.first.has(b[0]) {
		return netip.Prefix{}
	}
	return s.longest(netip.AddrFrom4(b))
}

func (s *Networks) longest16(b *[16]byte) netip.Prefix {
	if !s.first.has(b[0]) {
		return netip.Prefix{}
	}
	return s.longest(netip.AddrFrom16(*b))
}

// longest returns the longest network that contains the address, or the zero Prefix.
func (s *Networks) longest(a netip.Addr) netip.Prefix {
	from, to := 0, len(s.ranges) // from becomes the first addrRange that starts after a
	for from < to {
		if mid := (from + to) / 2; a.Less(s.ranges[mid].start) {
			to = mid
		} else {
			from = mid + 1
		}
	}
	if from == 0 {
		return netip.Prefix{}
	}
	if p := s.ranges[from-1].longest; p.IsValid() && p.Contains(a) {
		return p
	}
	return netip.Prefix{}
}

const (
	mappedPrefix     = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff" // RFC 4291 section 2.5.5.2
	nat64Prefix      = "\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00" // RFC 6052 section 2.1
	nat64LocalPrefix = "\x00\x64\xff\x9b\x00\x01"                         // RFC 8215
	zeros            = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

// maxEmbedded is the number of IPv4 addresses that one IPv6 address can embed.
const maxEmbedded = 10

// embedded holds the IPv4 addresses that an IPv6 address embeds.
type embedded struct {
	addrs [maxEmbedded][4]byte
	n     int // of addrs

	// known is how many of the addresses, from the first on, are in a form that only
	// translation and tunnels use. The others are in a form that an ordinary address may
	// have by chance, so they count for single addresses only.
	known int
}

func (e *embedded) add(a, b, c, d byte) {
	e.addrs[e.n] = [4]byte{a, b, c, d}
	e.n++
}

// find finds the embedded addresses: IPv4-mapped, NAT64 (RFC 6052, RFC 8215), 6to4
// (RFC 3056 section 2); and, for single addresses, RFC 6052 with any prefix
// (section 2.2), compatible (RFC 4291 section 2.5.5.1), ISATAP (RFC 5214 section
// 6.1) and Teredo (RFC 4380 section 4).
func (e *embedded) find(b *[16]byte) {
	e.findKnown(b)
	switch {
	case b[8] == 0:
		e.add(b[12], b[13], b[14], b[15]) // with a prefix of 96 bits; compatible
		e.findShort(b)
	case b[8] == 2 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP; with 0 in octet 8, above
		e.add(b[12], b[13], b[14], b[15])
	}
	if string(b[:4]) == "\x20\x01\x00\x00" {
		e.add(b[4], b[5], b[6], b[7])
		e.add(^b[12], ^b[13], ^b[14], ^b[15])
	}
}

// findKnown finds the addresses in forms that only translation and tunnels use.
func (e *embedded) findKnown(b *[16]byte) {
	e.n = 0
	switch {
	case b[0] == 0 && (string(b[:12]) == mappedPrefix || string(b[:12]) == nat64Prefix):
		e.add(b[12], b[13], b[14], b[15])
	case b[0] == 0 && string(b[:6]) == nat64LocalPrefix:
		e.add(b[6], b[7], b[9], b[10])
		e.add(b[7], b[9], b[10], b[11])
		e.add(b[9], b[10], b[11], b[12])
		e.add(b[12], b[13], b[14], b[15])
	case b[0] == 0x20 && b[1] == 0x02:
		e.add(b[2], b[3], b[4], b[5])
	}
	e.known = e.n
}

// findShort finds RFC 6052's forms with prefixes under 96 bits: octet 8 and the
// suffix are zero.
func (e *embedded) findShort(b *[16]byte) {
	if b[13] != 0 || b[14] != 0 || b[15] != 0 {
		return
	}
	suffix := func(from int) bool { return string(b[from:]) == zeros[:16-from] }
	if suffix(8) {
		e.add(b[4], b[5], b[6], b[7])
	}
	if suffix(10) {
		e.add(b[5], b[6], b[7], b[9])
	}
	if suffix(11) {
		e.add(b[6], b[7], b[9], b[10])
	}
	if suffix(12) {
		e.add(b[7], b[9], b[10], b[11])
	}
	e.add(b[9], b[10], b[11], b[12])
}

// identity returns the address if it can identify a resolver, else the zero Addr.
func identity(a netip.Addr) netip.Addr {
	if isIdentity(a) {
		return a
	}
	return netip.Addr{}
}

// isIdentity reports whether an address can identify a resolver: not the address of
// every host, of a group or of one link. The zero Addr cannot.
func isIdentity(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() &&
		!a.IsLinkLocalUnicast() && a != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// isIdentityPrefix reports whether a configured prefix is long enough that every address
// inside it counts as the resolver's (see [Config].Resolvers).
func isIdentityPrefix(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() >= 24 && isIdentity(p.Addr())
	}
	return p.Bits() >= 48 && isIdentity(p.Addr())
}

// IsPublicResolver reports whether a prefix of [Config].Resolvers has public addresses, all
// of which are the resolver's.
func IsPublicResolver(p netip.Prefix) bool { return isIdentityPrefix(p) && IsPublic(p.Addr()) }

// IsPublic reports whether an address belongs to the public Internet: unicast, and not
// loopback, link-local, private, ULA or in 100.64/10.
func IsPublic(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedAddressSpace.Contains(a)
}

// maxLearned is the number of addresses that are remembered as the resolver's. A resolver with
// more chooses them at random from a prefix, so that remembering them has no use.
const maxLearned = 4096

// Learned holds the resolver's addresses that messages in any lane have shown. It is not safe
// for concurrent use. The zero value is empty.
type Learned struct {
	order   list.List // of netip.Addr, the least recently seen first
	at      map[netip.Addr]*list.Element
	full    bool
	current *KnownAddrs // nil: the set has changed since
}

// KnownAddrs is an immutable set of addresses of the resolver.
type KnownAddrs struct{ set addrSet }

// See notes addresses that messages have shown, the latest last. When full, it evicts the
// address seen longest ago.
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

// Addrs are the addresses, the least recently seen first.
func (l *Learned) Addrs() []netip.Addr {
	var all []netip.Addr
	for e := l.order.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(netip.Addr))
	}
	return all
}

// Known returns the current set: the same pointer until it changes.
func (l *Learned) Known() *KnownAddrs {
	if l.current == nil {
		l.current = new(KnownAddrs)
		for a := range l.at {
			l.current.set.add(a)
		}
	}
	return l.current
}

// seenAddrs holds the resolver's addresses that a lane has seen since the last call of Know.
// Each is noted once per noteTime of message time.
type seenAddrs struct {
	fresh  addrSet
	order  []netip.Addr // of fresh; a ring once it is full
	oldest int

	recent [64]seenAddr // by last octet
}

type seenAddr struct {
	addr       netip.Addr
	at         Time // lane time
	identifies bool // the address can identify a resolver
}

// noteTime is the time after which a lane notes an address again.
const noteTime = Time(time.Second)

// see reports whether an address of the resolver in a message can identify it, and notes
// such an address, unless it has just been noted.
func (s *seenAddrs) see(a netip.Addr, now Time, policy *Policy) (identifies bool) {
	if !a.IsValid() {
		return false
	}
	last := a.As16()[15]
	r := &s.recent[last%uint8(len(s.recent))]
	if r.addr != a || uint64(now-r.at) >= uint64(noteTime) {
		*r = seenAddr{a, now, isIdentity(a)}
		if r.identifies && !policy.identity.Has(a) {
			s.note(a)
		}
	}
	return r.identifies
}

func (s *seenAddrs) note(a netip.Addr) {
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

// Seen returns the resolver's addresses that the lane's messages have stated since the last
// call of Know. The slice is borrowed until the next message.
func (p *Pairer) Seen() []netip.Addr { return p.seen.order }

// SetKnown gives the lane the resolver's addresses that all lanes have shared, and removes these
// from Seen.
func (p *Pairer) SetKnown(k *KnownAddrs) {
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
