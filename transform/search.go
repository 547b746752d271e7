package transform

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A searcher judges what one message holds against everything that is local: the
// policy's local names and networks, the resolver's addresses, and the transaction's
// client subnets. It is the one predicate; searchname.go, searchtext.go and searchoctets.go select
// what it judges. It is reused from message to message.
type searcher struct {
	policy     *Policy
	configured *addrSet // the resolver's addresses that are configured
	known      *addrSet // those that all lanes have shared
	fresh      *addrSet // those that this lane has seen since
	none       addrSet
	own        [2]netip.Addr // the resolver's address of the message, and of its query
	subnets    []netip.Prefix
	last       octetSet // in which a single address of the resolver may end
	what       needs

	// What was found first; a local name precedes an address.
	rule  Rule
	entry Entry
	place place

	finding Finding // what forbids a record

	name    [dnswire.MaxName + 1]byte
	hosts   [maxLabels]byte
	folded  []byte
	joint   joint
	second  [dnswire.MaxName + 1]byte
	target  [2*dnswire.MaxName + 1]byte
	hits    []hit // by record
	inNames bool  // a name of the response other than the query name holds something

	// A reverse name was seen. A pointer may lead to its end, which is that of a network.
	reversed bool
}

// A hit is what was found in one record.
type hit struct {
	entry    Entry
	from, to uint16
	rule     Rule
	chain    bool // the record is part of the answer chain
}

// needs is what there is to search for.
type needs struct {
	names      bool         // local names
	begins     *firstOctets // of the first labels of local names
	addrs      bool         // addresses in names
	addrsInAll bool         // addresses in everything else too
}

// A place is where a searcher looks: the rule for an address of the resolver there.
type place struct {
	resolver Rule
	isName   bool // local networks count
}

var (
	inName    = place{ResolverInName, true}
	inAddress = place{ResolverInAddress, false}
	inRdata   = place{ResolverInRdata, false}
)

// begin prepares for a message: own is the resolver's address of the message, asked
// that of its query; invalid if it does not identify the resolver.
func (s *searcher) begin(p *Policy, known, fresh *addrSet, own, asked netip.Addr) {
	if s.policy != p || s.known != known || s.fresh != fresh { // writing pointers costs more
		s.policy, s.configured, s.known, s.fresh = p, &p.resolvers, known, fresh
	}
	s.own = [2]netip.Addr{own, asked}
	if p.keepResolver {
		s.configured, s.known, s.fresh, s.own = &s.none, &s.none, &s.none, [2]netip.Addr{}
	}
	s.subnets = s.subnets[:0]
	s.reversed = false
	s.forget()
}

// release lets go of what belongs to the policy and the lane.
func (s *searcher) release() {
	s.policy, s.configured, s.known, s.fresh = nil, nil, nil, nil
	s.forget()
	clear(s.hits)
}

// ready is called when the subnets are complete.
func (s *searcher) ready() {
	s.what.names, s.what.begins = !s.policy.localNames.empty(), &s.policy.localNames.begins
	s.what.addrsInAll = len(s.subnets) > 0 || s.own[0].IsValid() || s.own[1].IsValid() ||
		len(s.configured.members)+len(s.known.members)+len(s.fresh.members)+len(s.policy.identity.all) > 0
	s.what.addrs = s.what.addrsInAll || len(s.policy.localNetworks.all) > 0
	for i := range s.last {
		s.last[i] = s.configured.last[i] | s.known.last[i] | s.fresh.last[i]
	}
	for _, a := range s.own {
		if a.IsValid() {
			s.last.add(a.As16()[15])
		}
	}
}

// forget forgets what was found.
func (s *searcher) forget() { s.rule, s.entry = NoRule, Entry{} }

// found notes what was found.
func (s *searcher) found(r Rule, e Entry) {
	if s.rule == NoRule || s.rule.Forbids() != LocalName && r.Forbids() == LocalName {
		s.rule, s.entry = r, e
	}
}

// done reports whether nothing that may yet be found matters.
func (s *searcher) done() bool { return s.rule.Forbids() == LocalName }

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

// A form is how an address may be written; it has the length of the shortest prefix
// that the form is evidence for. In a short prefix such text occurs by chance.
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
	s.inSubnets(netip.AddrFrom4(b), f.least4)
}

// alone4 judges an IPv4 address in a form that counts for single addresses only.
func (s *searcher) alone4(b [4]byte) {
	if e, ok := s.single4(b); ok {
		s.found(s.place.resolver, e)
	}
	if s.place.isName {
		s.network(s.policy.localNetworks.longest4(b), 32, LocalNetwork)
	}
	s.inSubnets(netip.AddrFrom4(b), 32)
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
	s.inSubnets(netip.AddrFrom16(*b), f.least6)
}

// inSubnets judges an address by the client subnets of at least so many bits.
func (s *searcher) inSubnets(a netip.Addr, least int) {
	for _, p := range s.subnets {
		if p.Contains(a) {
			s.network(p, least, ClientSubnet)
		}
	}
}

// network notes a network that contains an address, if it has at least so many bits.
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
	if a == s.own[0] || a == s.own[1] || s.known.has(a) || s.fresh.has(a) || s.configured.has(a) {
		return Entry{Prefix: netip.PrefixFrom(a, a.BitLen())}, true
	}
	return Entry{}, false
}

// reverse judges a reverse name: an address, or a network that it names a part of.
func (s *searcher) reverse(r reversed) {
	p := r.prefix
	if p.Bits() == 0 {
		return
	}
	s.reversed = true
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

func (s *searcher) reverseOf(r reversed, networks []netip.Prefix, rule Rule) {
	for _, network := range networks {
		if r.within(network) {
			s.found(rule, Entry{Prefix: network})
		}
	}
}
