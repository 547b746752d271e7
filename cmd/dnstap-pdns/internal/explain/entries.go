package explain

import (
	"net/netip"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// entries are the entries of the configuration that nothing has matched so far.
type entries struct {
	names     map[string]string // in A-labels: as written
	networks  []netip.Prefix
	resolvers []netip.Prefix
}

func newEntries(c *transform.Config) entries {
	e := entries{names: map[string]string{}}
	for _, written := range c.LocalNames {
		if name, err := transform.ParseLocalName(written); err == nil { // else the policy is refused
			e.names[name] = written
		}
	}
	e.networks = append(e.networks, c.LocalNetworks...)
	e.resolvers = append(e.resolvers, c.Resolvers...)
	return e
}

// see strikes the entries that a message matches: by its server, and by what was found in it.
func (e *entries) see(v *transform.Verdict) {
	if v.Server.IsValid() {
		a := v.Server.Addr().Unmap()
		e.networks = without(e.networks, netip.PrefixFrom(a, a.BitLen()))
		e.strikeResolver(a)
	}
	switch entry := v.Finding.Entry; {
	case entry.Name != "":
		e.strikeName(entry.Name)
	case entry.Prefix.IsValid() && v.Finding.Rule == transform.LocalNetwork:
		e.networks = without(e.networks, entry.Prefix)
	case entry.Prefix.IsValid() && v.Finding.Rule != transform.ClientSubnet:
		e.resolvers = without(e.resolvers, entry.Prefix)
	}
}

// strikeResolver strikes an address of the resolver.
func (e *entries) strikeResolver(a netip.Addr) {
	e.resolvers = without(e.resolvers, netip.PrefixFrom(a, a.BitLen()))
}

// strikeName strikes a name that was matched, and the names that it is below.
func (e *entries) strikeName(written string) {
	name, err := transform.ParseLocalName(written)
	for more := err == nil && len(e.names) > 0; more; {
		delete(e.names, name)
		_, name, more = strings.Cut(name, ".")
	}
}

// without returns the prefixes that do not contain p.
func without(all []netip.Prefix, p netip.Prefix) []netip.Prefix {
	kept := all[:0]
	for _, entry := range all {
		if entry.Bits() > p.Bits() || !entry.Contains(p.Addr()) {
			kept = append(kept, entry)
		}
	}
	return kept
}
