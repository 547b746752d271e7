package transform

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// TestReverseNamesThatGoOnInTheQueryName: the query name is the reverse name of a wider
// network, and labels before it make it one inside (RFC 2317).
func TestReverseNamesThatGoOnInTheQueryName(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) {
		c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("198.18.5.64/26")}
		c.Resolvers = single(netip.MustParseAddr("198.18.5.7"))
	})
	for _, before := range []string{"\x0564-26", "\x017\x03sub"} {
		d := newRaw("5.18.198.in-addr.arpa", dns.TypeNS)
		wantReason(t, p, d.wire, Kept)
		d.record(additional, append([]byte(before), pointTo(headerLen)...), dns.TypeTXT, charStrings("x"))
		wantRemoved(t, p, d.wire)
	}
}

// TestKeptResolverAddressesAreFoundNowhere: with resolver_address = "keep" the configured
// addresses count nowhere, also where others are searched for.
func TestKeptResolverAddressesAreFoundNowhere(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.KeepResolver = true })
	wantReason(t, p, newRaw("ip-192-0-2-53.example.net", dns.TypeA).with(answer, "ip-192-0-2-53.example.net", dns.TypeA, ownAddr4.AsSlice()).wire, Kept)
	wantReason(t, p, answering(65280, ownAddr4.AsSlice()), Kept)
	wantReason(t, p, newRaw("ip-198-51-100-7.example.net", dns.TypeA).wire, LocalName)
}
