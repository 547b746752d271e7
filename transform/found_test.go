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
