package transform

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// TestReverseNamesThatContinueInTheQueryName: the query name is the reverse name of a wider
// network, and labels before it make it one of a network inside (RFC 2317).
func TestReverseNamesThatContinueInTheQueryName(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) {
		c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("198.18.5.64/26")}
		c.Resolvers = single(netip.MustParseAddr("198.18.5.7"))
	})
	for _, before := range []string{"\x0564-26", "\x017\x03sub"} {
		d := wiretest.New("5.18.198.in-addr.arpa", dns.TypeNS)
		wantReason(t, p, d.Wire, Kept)
		d.Record(dnswire.Additional, append([]byte(before), wiretest.PointTo(dnswire.HeaderLen)...), dns.TypeTXT, charStrings("x"))
		wantRemoved(t, p, d.Wire)

		// The query name is that of an address, and a pointer leads to its end.
		d = wiretest.New("1.5.18.198.in-addr.arpa", dns.TypePTR)
		wantReason(t, p, d.Wire, Kept)
		d.Record(dnswire.Additional, append([]byte(before), wiretest.PointTo(dnswire.HeaderLen+2)...), dns.TypeTXT, charStrings("x"))
		wantRemoved(t, p, d.Wire)
	}
}

// TestKeptResolverAddressesAreFoundNowhere: with resolver_address = "keep" the configured
// addresses count nowhere, also where others are searched for.
func TestKeptResolverAddressesAreFoundNowhere(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.KeepResolver = true })
	wantReason(t, p, wiretest.New("ip-192-0-2-53.example.net", dns.TypeA).With(dnswire.Answer, "ip-192-0-2-53.example.net", dns.TypeA, ownAddr4.AsSlice()).Wire, Kept)
	wantReason(t, p, answering(65280, ownAddr4.AsSlice()), Kept)
	wantReason(t, p, wiretest.New("ip-198-51-100-7.example.net", dns.TypeA).Wire, LocalName)
}

// TestNamesAreWholeWhileTextInThemIsJudged: a reverse name inside a label does not depend on
// the name of the label.
func TestNamesAreWholeWhileTextInThemIsJudged(t *testing.T) {
	p := scrubPolicy(t)
	owner := []byte("\x017\x03100\x0251\x03198\x10the.in-addr.arpa\x03net\x00")
	d := wiretest.New("q.example.net", dns.TypeA)
	d.Record(dnswire.Additional, owner, dns.TypeTXT, charStrings("x"))
	wantRemoved(t, p, d.Wire)
}

// TestReverseNamesInTextEndWhereNamesEnd: at a character that is not a letter of any script,
// digit, hyphen or underscore, and at an empty label.
func TestReverseNamesInTextEndWhereNamesEnd(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.Resolvers = append(c.Resolvers, netip.MustParsePrefix("198.18.5.64/26")) })
	for text, want := range map[string]Reason{
		"x.5.18.198.in-addr.arpa":                           ResolverAddress, // labels go on from the wider network
		"(x.5.18.198.in-addr.arpa)":                         ResolverAddress,
		"é.5.18.198.In-Addr.Arpa.x":                         ResolverAddress,
		strings.Repeat("y", 70) + ".5.18.198.in-addr.arpa":  ResolverAddress,
		strings.Repeat("y", 300) + ".5.18.198.in-addr.arpa": ResolverAddress,
		"5.18.198.in-addr.arpa":                             Kept,
		".5.18.198.in-addr.arpa":                            Kept,
		"x..5.18.198.in-addr.arpa":                          Kept,
		"x.5.18.198..in-addr.arpa":                          Kept,
		"x.5.18.198.in-addr.arpaé":                          Kept,
		"x.5.18.198.in-addr.arpa-":                          Kept,
		"x/5.18.198.in-addr.arpa":                           Kept,
	} {
		if got := verdict(p, asResponse(answering(65280, []byte(text)))); got != want.String() {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

// TestSingleAddressesAreFoundEmbedded checks every form. Networks are found only in forms that
// an ordinary address does not have by chance.
func TestSingleAddressesAreFoundEmbedded(t *testing.T) {
	wide := scrubPolicy(t, func(c *Config) { c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("198.18.5.4/31")} })
	one := scrubPolicy(t, func(c *Config) { c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("198.18.5.4/32")} })
	for address, want := range map[string]Reason{
		"::ffff:198.18.5.4": LocalName, "64:ff9b::198.18.5.4": LocalName, "2002:c612:504::": LocalName, "64:ff9b:1:c612:5:400::": LocalName,
		"2a00::198.18.5.4": Kept, "::198.18.5.4": Kept, "2a00:1:2:3:0:5efe:198.18.5.4": Kept,
		"2001:0:c612:504:1:2:3:4": Kept, "2a00:0:c612:504::": Kept,
	} {
		wire := wiretest.New(netip.MustParseAddr(address).StringExpanded()+".example.net", dns.TypeA).Wire
		wantReason(t, one, wire, LocalName)
		wantReason(t, wide, wire, want)
	}
}

// TestClientSubnetsAreFoundEmbedded checks single addresses in every form. Wider subnets are
// found only in forms that an ordinary address does not have by chance.
func TestClientSubnetsAreFoundEmbedded(t *testing.T) {
	p := scrubPolicy(t)
	for address, wide := range map[string]Reason{
		"::ffff:198.18.5.4": ResolverAddress, "2002:c612:504::": ResolverAddress,
		"::198.18.5.4": Kept, "2a00:1:2:3:0:5efe:198.18.5.4": Kept, "2001:0:c612:504:1:2:3:4": Kept,
	} {
		for bits, want := range map[byte]Reason{32: ResolverAddress, 31: wide} {
			d := wiretest.New("www.example.net", dns.TypeAAAA).With(dnswire.Answer, "www.example.net", dns.TypeAAAA, netip.MustParseAddr(address).AsSlice())
			d.With(dnswire.Additional, "", dns.TypeOPT, []byte{0, dns.EDNS0SUBNET, 0, 8, 0, 1, bits, 0, 198, 18, 5, 4})
			wantReason(t, p, d.Wire, want)
		}
	}
}

// TestNumbersAsLabelsMayHaveZerosInFront, more than a group of IPv6 has room for.
func TestNumbersAsLabelsMayHaveZerosInFront(t *testing.T) {
	p := scrubPolicy(t)
	for _, name := range []string{"192.0.2.000053", "00192.0000.00002.0053.example", "00000192.0.2.53.example", "000053.2.0.192.example"} {
		wantReason(t, p, wiretest.New(name, dns.TypeA).Wire, ResolverAddress)
		d := wiretest.New("53.example.net", dns.TypeA)
		d.Record(dnswire.Additional, append(wiretest.Name("00192.00000.00002")[:18], wiretest.PointTo(dnswire.HeaderLen)...), dns.TypeTXT, charStrings("x"))
		wantRemoved(t, p, d.Wire)
	}
}

// TestUnicodeNamesAreFoundInOctets has names in every letter case, also if the case changes the
// first octet or the length, and names of one label.
func TestUnicodeNamesAreFoundInOctets(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) {
		c.LocalNames = []string{"рога.example", "büro", "ⱥbc.example", "kiosk.example"}
	})
	for octets, want := range map[string]Reason{
		"\x08рога\x07example": LocalName, "\x08РОГА\x07Example": LocalName, "\x08рОГА\x07example": LocalName,
		"\x08роги\x07example": Kept,
		"\x05büro\x00":        LocalName, "\x05BÜRO\x00": LocalName, "\x06bu\u0308ro\x00": LocalName,
		"\x05büro\x03net\x00": Kept, "\x05büro": Kept,
		"\x05ⱥbc\x07example": LocalName, "\x04Ⱥbc\x07example": LocalName,
		"\x07\u212aiosk\x07example": LocalName, "\x08kio\u017f\u212a\x07example": LocalName, "\x06kio\u017f\u212a\x07example": Kept,
	} {
		wantReason(t, p, answering(65280, []byte(octets)), want)
		wantReason(t, p, answering(dns.TypeDNSKEY, []byte("\x01\x00\x03\x08"+octets)), want)
	}
}

// TestPartsOfResolverPrefixesAreFoundInOctets: of the prefix, the octets that are whole.
func TestPartsOfResolverPrefixesAreFoundInOctets(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) {
		c.Resolvers = []netip.Prefix{netip.MustParsePrefix("2001:db8:53:f000::/52"), netip.MustParsePrefix("2001:db8:54::/48"), netip.MustParsePrefix("2001:db8:54::/56")}
	})
	for octets, want := range map[string]Reason{
		"\x20\x01\x0d\xb8\x00\x53": ResolverAddress, "\x20\x01\x0d\xb8\x00\x53\x00": ResolverAddress, "\x20\x01\x0d\xb8\x00": Kept,
		"\x20\x01\x0d\xb8\x00\x54": ResolverAddress, "\x20\x01\x0d\xb8\x00\x55": Kept,
		"\x20\x01\x0d\xb8\x00\x53\xf0........9": ResolverAddress, "\x20\x01\x0d\xb8\x00\x53\x00........9": Kept,
	} {
		wantReason(t, p, answering(65280, []byte(octets)), want)
	}
}

// TestAddressesWithoutColonsHaveThreeGroups: two hyphens or dots have other meanings too.
func TestAddressesWithoutColonsHaveThreeGroups(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("2a00::/16")} })
	for name, want := range map[string]Reason{
		"2a00--1": Kept, "2a00--1-1": LocalName, "2a00-1-1--": LocalName, "x-y-2a00--1": Kept, "2a00::1": LocalName, "2a00..1.1": LocalName,
	} {
		d := wiretest.New("q.example.net", dns.TypeA)
		d.Record(dnswire.Additional, append(append([]byte{byte(len(name))}, name...), "\x03net\x00"...), dns.TypeTXT, charStrings("x"))
		if got := verdict(p, asResponse(d.Wire)); got == Kept.String() != (want == Kept) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestUnknownA6IsText checks that A6 is searched like all types with unknown rdata.
func TestUnknownA6IsText(t *testing.T) {
	p := scrubPolicy(t)
	wantReason(t, p, answering(wiretest.TypeA6, append([]byte{0xff, 0}, "univ.example"...)), LocalName)
	wantReason(t, p, answering(wiretest.TypeA6, append([]byte("\x8a"+strings.Repeat("!", 0x8a)), charStrings("univ.", "example")...)), LocalName)
}

// TestAddressesOfEveryHostIdentifyNoResolver, even if they are configured, because many names
// have such an address.
func TestAddressesOfEveryHostIdentifyNoResolver(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) {
		c.Resolvers = single(netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("255.255.255.255"))
		c.Resolvers = append(c.Resolvers, netip.MustParsePrefix("127.0.0.0/24"), netip.MustParsePrefix("fe80::/64"))
	})
	for _, address := range []string{"127.0.0.1", "::1", "fe80::1", "255.255.255.255", "127.0.0.7", "fe80::2"} {
		wantReason(t, p, answering(dns.TypeTXT, charStrings("at "+address)), Kept)
	}
}

// TestDotsInLabelsInOctets: an entry has no label with a dot.
func TestDotsInLabelsInOctets(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.LocalNames = []string{"a.internal.test-tld"} })
	for octets, want := range map[string]Reason{
		"\x01a\x08internal\x08test-tld\x02.x": LocalName, "\x01a\x08internal\x0atest-tld.x": Kept,
	} {
		wantReason(t, p, answering(65280, []byte(octets)), want)
	}
}

// TestShortLabelsInOctets has labels beyond ASCII with fewer octets than any name of several
// labels.
func TestShortLabelsInOctets(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.LocalNames = []string{"x.example", "bücher.example"} })
	for octets, want := range map[string]Reason{"\x01x\x01\xff": Kept, "\x01x\x01\xff\x00": Kept, "\x01x\x07example": LocalName} {
		wantReason(t, p, answering(65280, []byte(octets)), want)
	}
}
