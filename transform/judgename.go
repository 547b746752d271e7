package transform

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// JudgeName returns what the policy makes of a query name by itself, as of the name of
// an unanswered query to a server other than the root's: LocalName, ResolverAddress,
// Lookup, SpecialName, or Kept if nothing about the name forbids a record. The name is
// in uncompressed wire form, in any letter case; Malformed if it is not.
func (p *Policy) JudgeName(name []byte) Reason {
	if !dnswire.IsName(name) {
		return Malformed
	}
	var lowered [dnswire.MaxName]byte
	dnswire.Lower(lowered[:copy(lowered[:], name)])
	var s searcher
	s.begin(p, &s.none, &s.none, netip.Addr{}, netip.Addr{})
	return s.judge(&subject{name: lowered[:len(name)]})
}
