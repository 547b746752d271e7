package transform

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// Config is a policy as an operator writes it. The zero value is stricter than the default: no
// rcode makes a record.
type Config struct {
	PairingTimeout time.Duration // how long a query waits for its response, in message time

	// Outward.
	Forwarded    bool
	Unanswered   bool
	LocalServers bool
	Rcodes       []uint8 // header rcodes that make a record

	// Scrub.
	KeepResolver bool // scrub.resolver_address = "keep": no rule about the resolver's addresses applies
	// Resolvers are the resolver's own addresses and prefixes, in addition to the
	// addresses that messages show. Every address inside a prefix of 24 bits or more
	// (IPv6 48) is the resolver's. A shorter prefix only selects packets: addresses
	// inside it become the resolver's when a message shows them.
	Resolvers []netip.Prefix

	LocalNames           []string // presentation form, in A-labels or U-labels
	KeepLocalNamesInside bool     // scrub.local_names_inside = "keep": a local name inside a foreign name does not forbid a record
	LocalNetworks        []netip.Prefix
	KeepLookups          bool         // scrub.lookups = "keep"
	LookupZones          []string     // names below these query a list about an address or a name
	RootServers          []netip.Addr // servers from which "no such TLD" is believed
	SpecialNames         bool
	TimeResolution       time.Duration // times are truncated to multiples of this; at least 1ns
}

// Policy states which messages become records, and how these are scrubbed. It is immutable.
// Lanes share one; a reload replaces it.
type Policy struct {
	timeout      Time
	forwarded    bool
	unanswered   bool
	localServers bool
	rcodes       uint16 // bit n: rcode n passes

	keepResolver  bool
	resolvers     addrSet
	resolverNets  Networks // servers inside are local
	identity      Networks // the networks among these of which every address is the resolver's
	localNames    *localNames
	keepInside    bool // local names inside foreign names
	localNetworks Networks
	keepLookups   bool
	uses          *nameSet
	rootServers   addrSet
	specialNames  bool
	resolution    Time

	publicResolver bool // one of the configured addresses is public
}

// longestTimeout keeps lane times comparable.
const longestTimeout = 24 * time.Hour

// NewPolicy compiles a configuration. Errors name the entry that is wrong.
func NewPolicy(c Config) (*Policy, error) {
	if c.PairingTimeout <= 0 || c.PairingTimeout > longestTimeout {
		return nil, fmt.Errorf("pairing timeout %v: must be above 0 and at most %v", c.PairingTimeout, longestTimeout)
	}
	if c.TimeResolution <= 0 {
		return nil, fmt.Errorf("time resolution %v: must be above 0", c.TimeResolution)
	}
	p := &Policy{
		timeout:      Time(c.PairingTimeout),
		forwarded:    c.Forwarded,
		unanswered:   c.Unanswered,
		localServers: c.LocalServers,
		keepResolver: c.KeepResolver,
		keepInside:   c.KeepLocalNamesInside,
		keepLookups:  c.KeepLookups,
		specialNames: c.SpecialNames,
		resolution:   Time(c.TimeResolution),

		publicResolver: slices.ContainsFunc(c.Resolvers, IsPublicResolver),
	}
	for _, r := range c.Rcodes {
		if r > dnswire.MaskRcode {
			return nil, fmt.Errorf("rcode %d does not fit a DNS header", r)
		}
		p.rcodes |= 1 << r
	}
	if err := p.setResolvers(c.Resolvers); err != nil {
		return nil, err
	}
	for _, network := range c.LocalNetworks {
		if !isNetwork(network) {
			return nil, fmt.Errorf("local network %v: must be an IPv4 or IPv6 prefix", network)
		}
	}
	p.localNetworks = NewNetworks(c.LocalNetworks)
	for _, a := range c.RootServers {
		p.rootServers.add(a)
	}
	var err error
	if p.localNames, err = newLocalNames(c.LocalNames); err != nil {
		return nil, err
	}
	p.uses, err = newUses(&c)
	return p, err
}

// setResolvers compiles the resolver's addresses and prefixes. A prefix of full length is an
// address.
func (p *Policy) setResolvers(prefixes []netip.Prefix) error {
	var nets []netip.Prefix
	for _, prefix := range prefixes {
		switch {
		case !isNetwork(prefix):
			return fmt.Errorf("resolver %v: must be an IPv4 or IPv6 address or prefix", prefix)
		case !prefix.IsSingleIP():
			nets = append(nets, prefix)
		case prefix.Addr().IsUnspecified():
			return fmt.Errorf("resolver %v: not the address of one host", prefix.Addr())
		case isIdentity(prefix.Addr()):
			p.resolvers.add(prefix.Addr())
		}
	}
	p.resolverNets = NewNetworks(nets)
	p.identity = NewNetworks(slices.DeleteFunc(nets, func(n netip.Prefix) bool { return !isIdentityPrefix(n) }))
	if p.keepResolver {
		p.identity = Networks{}
	}
	return nil
}

func isNetwork(p netip.Prefix) bool { return p.IsValid() && !p.Addr().Is4In6() }

// HasPublicResolver reports whether a prefix of the configuration is one of [IsPublicResolver].
func (p *Policy) HasPublicResolver() bool { return p.publicResolver }

// truncate cuts a time to the policy's resolution.
func (p *Policy) truncate(t Time) Time { return t.truncated(p.resolution) }
