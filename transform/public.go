package transform

import "net/netip"

// IsPublic reports whether an address is one of the public Internet: unicast, and not
// loopback, link-local, private, ULA or in 100.64/10.
func IsPublic(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedAddressSpace.Contains(a)
}

// NamesPublicResolver reports whether the configuration names a public address of the
// resolver, or a prefix of public addresses of which each is the resolver's.
func (p *Policy) NamesPublicResolver() bool { return p.publicResolver }

// IsPublicResolver reports whether a prefix of [Config].Resolvers holds public addresses of
// which each is the resolver's.
func IsPublicResolver(p netip.Prefix) bool { return isIdentityPrefix(p) && IsPublic(p.Addr()) }
