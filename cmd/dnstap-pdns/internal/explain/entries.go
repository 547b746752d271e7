package explain

import (
	"net/netip"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// unmatchedEntries are the entries of the configuration that nothing has matched so far.
type unmatchedEntries struct {
	names     map[string]string // as written, by A-labels
	networks  []netip.Prefix
	resolvers []netip.Prefix
}

func newUnmatchedEntries(c *transform.Config) unmatchedEntries {
	e := unmatchedEntries{names: map[string]string{}}
	for _, written := range c.LocalNames {
		if name, err := transform.ParseLocalName(written); err == nil { // else the policy is refused
			e.names[name] = written
		}
	}
	e.networks = append(e.networks, c.LocalNetworks...)
	e.resolvers = append(e.resolvers, c.Resolvers...)
	return e
}

// match removes the entries that a message matches, by its server or by its finding.
func (e *unmatchedEntries) match(v *transform.Verdict) {
	if v.Server.IsValid() {
		a := v.Server.Addr().Unmap()
		e.networks = without(e.networks, netip.PrefixFrom(a, a.BitLen()))
		e.matchResolver(a)
	}
	switch entry := v.Finding.Entry; {
	case entry.Name != "":
		e.matchName(entry.Name)
	case entry.Prefix.IsValid() && v.Finding.Rule == transform.LocalNetwork:
		e.networks = without(e.networks, entry.Prefix)
	case entry.Prefix.IsValid() && v.Finding.Rule != transform.ClientSubnet:
		e.resolvers = without(e.resolvers, entry.Prefix)
	}
}

// matchResolver removes the entries that contain an address of the resolver.
func (e *unmatchedEntries) matchResolver(a netip.Addr) {
	e.resolvers = without(e.resolvers, netip.PrefixFrom(a, a.BitLen()))
}

// matchName removes the entry that was matched, as the configuration writes it, and the names
// above it.
func (e *unmatchedEntries) matchName(written string) {
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
