package transform

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// Policy says what leaves and how it is scrubbed. It is immutable; lanes share
// one, and a reload gives them another.
type Policy struct {
	timeout      Time
	forwarded    bool
	unanswered   bool
	localServers bool
	rcodes       uint16 // bit n: rcode n passes

	keepResolver  bool
	resolvers     addrSet
	resolverNets  Networks // a server inside is local
	identity      Networks // of those, the ones whose every address is the resolver's
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

// setResolvers takes a prefix of full length for that address.
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

// isIdentityPrefix reports whether every address of a resolver's prefix identifies it. A
// shorter prefix only says where to look for the resolver.
func isIdentityPrefix(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() >= 24 && isIdentity(p.Addr())
	}
	return p.Bits() >= 48 && isIdentity(p.Addr())
}

func isNetwork(p netip.Prefix) bool { return p.IsValid() && !p.Addr().Is4In6() }

// truncate cuts a time to the policy's resolution.
func (p *Policy) truncate(t Time) Time {
	if t == NoTime {
		return t
	}
	rest := t % p.resolution
	if rest < 0 {
		rest += p.resolution
	}
	return t - rest
}
