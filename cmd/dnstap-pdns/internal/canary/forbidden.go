package canary

import (
	"net/netip"

	"github.com/miekg/dns"
)

// A Rule is the kind of entry that a Hit matched.
type Rule string

const (
	LocalName       Rule = "local name"
	LocalNameInside Rule = "local name inside a foreign name"
	LocalNetwork    Rule = "local network"
	Resolver        Rule = "resolver address"
	ClientSubnet    Rule = "client subnet"
)

// Places of a Hit in a record.
const (
	InQuestion Place = "question"
	InZone     Place = "zone"
	InOwner    Place = "owner"
	InRdata    Place = "rdata name"
	InText     Place = "text"
	InOpaque   Place = "opaque octets"
	InAddress  Place = "address"
	InField    Place = "address field"
)

// A Hit is a forbidden item in a record.
type Hit struct {
	Rule  Rule
	Entry string // the name as written, the address or the prefix
	Form  string
	Place Place
	Where string // the resource record, or the field of the output record
}

// A Policy is the items that a configuration forbids.
type Policy struct {
	LocalNames    []Name
	KeepInside    bool // local names inside foreign names may leave
	LocalNetworks []netip.Prefix
	Resolvers     []netip.Prefix
	KeepResolver  bool // the resolver's addresses may leave
}

// A ForbiddenSearch searches records for the items that a policy forbids. It finds the forms that
// docs/privacy.md lists, in the places that it lists, and no others. It is not safe for
// concurrent use.
type ForbiddenSearch struct {
	names               *names
	keepInside          bool
	networks, resolvers prefixes
	keepResolver        bool
}

// Lengths, in bits, of the shortest prefixes that identify a resolver or a client.
const (
	identity4, identity6 = 24, 48
	subnet4, subnet6     = 16, 32
)

// NewForbidden returns the search for the items that a policy forbids.
func NewForbidden(p Policy) *ForbiddenSearch {
	f := &ForbiddenSearch{names: newNames(p.LocalNames), keepInside: p.KeepInside, keepResolver: p.KeepResolver}
	for _, n := range p.LocalNetworks {
		f.networks.add(n)
	}
	for _, r := range p.Resolvers {
		addResolver(&f.resolvers, r)
	}
	return f
}

// AddResolver adds an address that a message showed as the resolver's. It ignores addresses in a
// configured prefix, which is forbidden already.
func (f *ForbiddenSearch) AddResolver(a netip.Addr) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return
	}
	if _, known := f.resolvers.family(a).containing(netip.PrefixFrom(a, a.BitLen()), 0); !known {
		addAddress(&f.resolvers, a)
	}
}

func addAddress(to *prefixes, a netip.Addr) {
	if a = a.Unmap().WithZone(""); a.IsValid() {
		addResolver(to, netip.PrefixFrom(a, a.BitLen()))
	}
}

// addResolver adds a prefix if it identifies the resolver. Prefixes that contain many other
// hosts, and addresses that many hosts have, do not.
func addResolver(to *prefixes, p netip.Prefix) {
	a := p.Addr()
	shared := a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a == broadcast
	if !shared && p.Bits() >= bitsFor(a, identity4, identity6) {
		to.add(p)
	}
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func bitsFor(a netip.Addr, v4, v6 int) int {
	if a.Is4() {
		return v4
	}
	return v6
}

// A Record is the contents of an output record. Names are in wire form, uncompressed.
type Record struct {
	Name, Zone []byte
	Messages   [][]byte     // DNS messages
	Addresses  []netip.Addr // from fields for the resolver's address

	// Items that are forbidden in this record only:
	Subnets   []netip.Prefix // the client subnets of its transaction
	Resolvers []netip.Addr   // addresses from which it was queried
}

// Message searches one DNS message, and the zone of the server that answered.
func (f *ForbiddenSearch) Message(wire, zone []byte, subnets []netip.Prefix, own []netip.Addr) []Hit {
	return f.Record(&Record{Zone: zone, Messages: [][]byte{wire}, Subnets: subnets, Resolvers: own})
}

// Record searches a record. It returns one Hit for each entry, form, place and resource record.
func (f *ForbiddenSearch) Record(r *Record) []Hit {
	var subnets, own prefixes
	for _, p := range r.Subnets {
		if p.IsValid() && p.Bits() >= bitsFor(p.Addr(), subnet4, subnet6) {
			subnets.add(p)
		}
	}
	for _, a := range r.Resolvers {
		addAddress(&own, a)
	}
	s := recordSearch{f: f, seen: map[Hit]bool{}}
	s.addSet(LocalNetwork, &f.networks)
	if !f.keepResolver {
		s.addSet(Resolver, &f.resolvers)
		s.addSet(Resolver, &own)
	}
	s.addSet(ClientSubnet, &subnets)

	s.place, s.where = InField, "output record"
	for _, a := range r.Addresses {
		s.address(a)
	}
	s.wholeName(r.Name, InQuestion, "query name")
	s.wholeName(r.Zone, InZone, "zone")
	for _, wire := range r.Messages {
		s.message(wire)
	}
	return s.hits
}

// maxHits bounds the hits of one record.
const maxHits = 100

// A recordSearch is the search of one record.
type recordSearch struct {
	f    *ForbiddenSearch
	sets []ruleSet // all address entries

	place    Place
	where    string
	inRecord bool // the search is in a resource record, with this owner and type:
	owner    [][]byte
	rtype    uint16

	hits []Hit
	seen map[Hit]bool
}

// A ruleSet is the address entries of one rule.
type ruleSet struct {
	rule Rule
	*prefixes
}

func (s *recordSearch) addSet(rule Rule, set *prefixes) {
	if !set.empty() {
		s.sets = append(s.sets, ruleSet{rule, set})
	}
}

// applies reports whether entries of a rule count in the current place.
func (s *recordSearch) applies(rule Rule) bool {
	switch rule {
	case LocalNetwork:
		return s.place == InQuestion || s.place == InZone || s.place == InOwner || s.place == InRdata
	case ClientSubnet:
		return s.place != InField
	}
	return true
}

func (s *recordSearch) hit(rule Rule, entry, form string) {
	h := Hit{rule, entry, form, s.place, s.where}
	if s.inRecord {
		h.Where = ownerAndType(s.owner, s.rtype)
	}
	if len(s.hits) < maxHits && !s.seen[h] {
		s.seen[h] = true
		s.hits = append(s.hits, h)
	}
}

func (s *recordSearch) hitPrefix(rule Rule, p netip.Prefix, form string) {
	if p.IsSingleIP() {
		s.hit(rule, p.Addr().String(), form)
		return
	}
	s.hit(rule, p.String(), form)
}

// anyLength makes a form count for entries of every length.
var anyLength minBits

// judge4 adds a Hit if the IPv4 address, found in this form, is in an entry of at least min bits.
func (s *recordSearch) judge4(a [4]byte, form string, min minBits) {
	for _, set := range s.sets {
		if !s.applies(set.rule) {
			continue
		}
		if p, ok := set.of4(a, min); ok {
			s.hitPrefix(set.rule, p, form)
		}
	}
}

// judge16 adds a Hit if the IPv6 address, found in this form, is in an entry of at least min
// bits, or embeds an IPv4 address that is.
func (s *recordSearch) judge16(a [16]byte, form string, min minBits) {
	for _, set := range s.sets {
		if !s.applies(set.rule) {
			continue
		}
		if p, ok := set.of16(a, min); ok {
			s.hitPrefix(set.rule, p, form)
		}
	}
}

// address judges an address in a field or rdata of a type that holds addresses.
func (s *recordSearch) address(a netip.Addr) {
	switch {
	case a.Is4():
		s.judge4(a.As4(), formAddress, anyLength)
	case a.Is6():
		s.judge16(a.As16(), formAddress, anyLength)
	}
}

// wholeName searches a name that is not part of a message.
func (s *recordSearch) wholeName(wire []byte, place Place, where string) {
	if labels, _, ok := readName(wire, 0); ok {
		s.place, s.where = place, where
		s.name(labels)
	} else if len(wire) > 0 {
		s.where = where
		s.unknown(wire)
	}
}

func ownerAndType(owner [][]byte, rtype uint16) string {
	var wire []byte
	for _, label := range owner {
		wire = append(append(wire, byte(len(label))), label...)
	}
	name, _, err := dns.UnpackDomainName(append(wire, 0), 0)
	if err != nil { // miekg/dns refuses names that are too long when escaped
		name = "?"
	}
	return name + " " + dns.Type(rtype).String()
}
