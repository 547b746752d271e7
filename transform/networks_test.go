package transform

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

func octets(addr string) []byte { return netip.MustParseAddr(addr).AsSlice() }

// networkAddresses are responses, and whether they tell of an address inside
// 198.18.99.0/24 or 2001:db8:55::/48; embedded: as part of an IPv6 address that is
// not inside.
var networkAddresses = []struct {
	name     string
	wire     []byte
	want     Reason
	embedded bool
}{
	{"A, first", answering(dns.TypeA, octets("198.18.99.0")), ResolverAddress, false},
	{"A, last", answering(dns.TypeA, octets("198.18.99.255")), ResolverAddress, false},
	{"A, before", answering(dns.TypeA, octets("198.18.98.255")), Kept, false},
	{"A, behind", answering(dns.TypeA, octets("198.18.100.0")), Kept, false},
	{"AAAA, first", answering(dns.TypeAAAA, octets("2001:db8:55::")), ResolverAddress, false},
	{"AAAA, last", answering(dns.TypeAAAA, octets("2001:db8:55:ffff:ffff:ffff:ffff:ffff")), ResolverAddress, false},
	{"AAAA, before", answering(dns.TypeAAAA, octets("2001:db8:54:ffff:ffff:ffff:ffff:ffff")), Kept, false},
	{"AAAA, behind", answering(dns.TypeAAAA, octets("2001:db8:56::")), Kept, false},
	{"AAAA, IPv4-mapped", answering(dns.TypeAAAA, octets("::ffff:198.18.99.1")), ResolverAddress, false},
	{"AAAA, NAT64", answering(dns.TypeAAAA, octets("64:ff9b::198.18.99.1")), ResolverAddress, true},
	{"AAAA, another's NAT64", answering(dns.TypeAAAA, octets("64:ff9b::198.18.9.1")), Kept, false},
	{"AAAA, 6to4", answering(dns.TypeAAAA, octets("2002:c612:6301::1")), ResolverAddress, true},
	{"AAAA, another's 6to4", answering(dns.TypeAAAA, octets("2002:c612:0901::1")), Kept, false},
	{"SVCB, ipv4hint", answering(dns.TypeSVCB, svcb(4, string(octets("198.18.99.1")))), ResolverAddress, false},
	{"HTTPS, second ipv4hint", answering(dns.TypeHTTPS, svcb(4, string(slices.Concat(octets("203.0.113.7"), octets("198.18.99.1"))))),
		ResolverAddress, false},
	{"HTTPS, ipv6hint", answering(dns.TypeHTTPS, svcb(6, string(octets("2001:db8:55::1")))), ResolverAddress, false},
	{"HTTPS, second ipv6hint", answering(dns.TypeHTTPS, svcb(6, string(slices.Concat(octets("2001:db8::1"), octets("2001:db8:55::1"))))),
		ResolverAddress, false},
	{"HTTPS, another ipv4hint", answering(dns.TypeHTTPS, svcb(4, string(octets("198.18.9.1")))), Kept, false},
	{"HTTPS, between ipv4hints", answering(dns.TypeHTTPS, svcb(4, "\x01\xc6\x12\x63\x01\x02\x03\x04")), Kept, false},
	{"HTTPS, another parameter", answering(dns.TypeHTTPS, svcb(7, string(octets("198.18.99.1")))), Kept, false},
	{"IPSECKEY, IPv4", answering(dns.TypeIPSECKEY, append([]byte{1, 1, 2}, octets("198.18.99.1")...)), ResolverAddress, false},
	{"IPSECKEY, IPv6", answering(dns.TypeIPSECKEY, append([]byte{1, 2, 2}, octets("2001:db8:55::1")...)), ResolverAddress, false},
	{"AMTRELAY, IPv4", answering(dns.TypeAMTRELAY, append([]byte{1, 1}, octets("198.18.99.1")...)), ResolverAddress, false},
	{"AMTRELAY, IPv6", answering(dns.TypeAMTRELAY, append([]byte{1, 2}, octets("2001:db8:55::1")...)), ResolverAddress, false},
	{"A6", answering(wiretest.TypeA6, append([]byte{0}, octets("2001:db8:55::1")...)), ResolverAddress, true}, // which miekg/dns does not know

	{"octets by chance", answering(65280, octets("198.18.99.1")), Kept, false},
	{"16 octets", answering(dns.TypeNULL, octets("2001:db8:55::1")), ResolverAddress, false},
	{"the first octets of a prefix", answering(dns.TypeNULL, append([]byte("x"), octets("2001:db8:55::1")[:9]...)), ResolverAddress, false},
	{"fewer octets than the prefix has", answering(dns.TypeNULL, octets("2001:db8:55::1")[:5]), Kept, false},

	{"text", answering(dns.TypeTXT, charStrings("you are 198.18.99.1, are you?")), ResolverAddress, false},
	{"text, split", answering(dns.TypeTXT, charStrings("198.1", "8.99.1")), ResolverAddress, false},
	{"text, IPv6", answering(dns.TypeTXT, charStrings("[2001:db8:55:0:1::1]:53")), ResolverAddress, false},
	{"text, in octets", answering(65280, []byte("ip=198.18.99.1")), ResolverAddress, false},
	{"text, NAT64", answering(dns.TypeTXT, charStrings("64:ff9b::c612:6301")), ResolverAddress, true},
	{"text, another", answering(dns.TypeTXT, charStrings("198.18.9.1 2001:db8:58::1 198.18.99")), Kept, false},
	{"text, the network", answering(dns.TypeTXT, charStrings("ip4:198.18.99.0/24")), ResolverAddress, false},
	{"text, reverse", answering(dns.TypeTXT, charStrings("1.99.18.198.in-addr.arpa")), ResolverAddress, true}, // as text

	{"reverse name", wiretest.New("1.99.18.198.in-addr.arpa", dns.TypePTR).Wire, ResolverAddress, false},
	{"reverse name, below", wiretest.New("_x.1.99.18.198.In-Addr.arpa", dns.TypePTR).Wire, ResolverAddress, false},
	{"reverse name of a part", wiretest.New("99.18.198.in-addr.arpa", dns.TypeSOA).Wire, ResolverAddress, false},
	{"reverse name of more", wiretest.New("18.198.in-addr.arpa", dns.TypeSOA).Wire, Kept, false},
	{"reverse name of another", wiretest.New("1.9.18.198.in-addr.arpa", dns.TypePTR).Wire, Kept, false},
	{"reverse name, IPv6", wiretest.New(reverseName("2001:db8:55::1"), dns.TypePTR).Wire, ResolverAddress, false},
	{"reverse name of a part, IPv6", wiretest.New("5.5.0.0.8.b.d.0.1.0.0.2.ip6.arpa", dns.TypeSOA).Wire, ResolverAddress, false},
	{"reverse name of more, IPv6", wiretest.New("5.0.0.8.b.d.0.1.0.0.2.ip6.arpa", dns.TypeSOA).Wire, Kept, false},
	{"reverse name of another, IPv6", wiretest.New(reverseName("2001:db8:58::1"), dns.TypePTR).Wire, Kept, false},
	{"reverse name, NAT64", wiretest.New(reverseName("64:ff9b::198.18.99.1"), dns.TypePTR).Wire, ResolverAddress, true},
	{"reverse name, IPv4-mapped", wiretest.New(mappedReverseName(netip.MustParseAddr("198.18.99.1")), dns.TypePTR).Wire, ResolverAddress, true},
	{"reverse name in rdata", answering(dns.TypePTR, wiretest.Name("1.99.18.198.in-addr.arpa")), ResolverAddress, false},
	{"reverse name in octets", answering(65280, wiretest.Name("1.99.18.198.in-addr.arpa")), ResolverAddress, true}, // as octets
}

func TestAddressesInResolverNetworksAreFound(t *testing.T) {
	// Exact addresses are none, so that what is found is found by its network.
	alone := scrubPolicy(t, func(c *Config) { c.Resolvers = ownNetworks })
	none := scrubPolicy(t, func(c *Config) { c.Resolvers = single(ownAddr4, ownAddr6) })
	for _, tt := range networkAddresses {
		t.Run(tt.name, func(t *testing.T) {
			wantReason(t, scrubPolicy(t), tt.wire, tt.want)
			m := asResponse(tt.wire)
			m.Resolver = netip.AddrPort{}
			if _, got := scrubOne(alone, m); got != tt.want {
				t.Errorf("without addresses: got %v, want %v", got, tt.want)
			}
			wantReason(t, none, tt.wire, Kept)
		})
	}
}

func TestServersInResolverNetworksAreLocal(t *testing.T) {
	for server, want := range map[string]Reason{
		"198.18.99.0": LocalServer, "198.18.99.255": LocalServer, "::ffff:198.18.99.1": LocalServer,
		"64:ff9b::198.18.99.1": LocalServer, "64:ff9b:1::198.18.99.1": LocalServer, "2002:c612:6301::1": LocalServer,
		"64:ff9b::10.0.0.1": LocalServer, "2002:a00:1::1": LocalServer, "64:ff9b::198.18.98.1": Kept,
		"198.18.98.255": Kept, "198.18.100.0": Kept,
		"2001:db8:55::": LocalServer, "2001:db8:55:ffff:ffff:ffff:ffff:ffff": LocalServer,
		"2001:db8:54:ffff:ffff:ffff:ffff:ffff": Kept, "2001:db8:56::": Kept,
	} {
		for _, packets := range []bool{false, true} {
			l := newLane(t, scrubPolicy(t))
			d := aResponse(from(server))
			if packets {
				l.take(aQuery(asPacket, from(server)))
				d.with(asPacket)
			}
			if got := l.take(d); got != want {
				t.Errorf("%s, packets %v: got %v, want %v", server, packets, got, want)
			}
		}
	}
}

// TestANetworkOfOneAddressIsThatAddress: found as octets of any meaning too.
func TestANetworkOfOneAddressIsThatAddress(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) {
		c.Resolvers = single(ownAddr4, ownAddr6)
	})
	for _, a := range []netip.Addr{ownAddr4, ownAddr6} {
		m := asResponse(answering(65280, append([]byte{1}, a.AsSlice()...)))
		m.Resolver = netip.AddrPort{}
		if _, got := scrubOne(p, m); got != ResolverAddress {
			t.Errorf("%v: got %v", a, got)
		}
	}
	if len(p.resolverNets.all) != 0 {
		t.Errorf("networks: %v", p.resolverNets)
	}
}

// TestNetworksAgainstContains compares the search with the plain way, on random
// networks that overlap and border on each other.
func TestNetworksAgainstContains(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	address := func() netip.Addr {
		if random.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, byte(random.IntN(2)), byte(random.IntN(256)), byte(random.IntN(4))})
		}
		return netip.AddrFrom16([16]byte{10, byte(random.IntN(2)), byte(random.IntN(256)), byte(random.IntN(4)), 15: byte(random.IntN(2))})
	}
	inside := 0
	for range 2000 {
		var prefixes []netip.Prefix
		for range random.IntN(12) {
			prefixes = append(prefixes, netip.PrefixFrom(address(), 12+random.IntN(21)))
		}
		nets := NewNetworks(prefixes)
		for range 50 {
			a := address()
			want := netip.Prefix{}
			for _, p := range prefixes {
				if p.Contains(a) && p.Bits() > want.Bits() {
					want = p.Masked()
				}
			}
			if want.IsValid() {
				inside++
			}
			if got := nets.longest(a); got != want || nets.Has(a) != want.IsValid() {
				t.Fatalf("%v in %v: got %v, want %v", a, prefixes, got, want)
			}
		}
	}
	if inside < 10000 || inside > 90000 {
		t.Errorf("%d of 100000 are inside", inside)
	}
}

// TestEveryAddressOfANetworkIsFoundInText spells addresses of a network at random.
func TestEveryAddressOfANetworkIsFoundInText(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	p := scrubPolicy(t)
	for range 2000 {
		in := netip.MustParseAddr("2001:db8:55::").As16()
		for i := 6; i < len(in); i++ {
			in[i] = byte(random.IntN(256) * random.IntN(2))
		}
		text := []string{"", "x=", "["}[random.IntN(3)] + spell(random, in) + []string{"", "]", " x"}[random.IntN(3)]
		if got := judgeText(p, text); got != ResolverAddress {
			t.Fatalf("%v in %q: %v", netip.AddrFrom16(in), text, got)
		}
	}
	if got := judgeText(p, strings.Repeat("198.18.200.1 2001:db8:58::1 ", 9)); got != Kept {
		t.Errorf("addresses of others: %v", got)
	}
}

func TestAddressSets(t *testing.T) {
	prefixes := func(all ...string) (out []netip.Prefix) {
		for _, p := range all {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	sets := [][]netip.Prefix{
		nil,
		prefixes("192.0.2.53/32"),
		prefixes("192.0.2.0/24", "192.0.2.53/32", "192.0.0.0/16", "10.0.0.0/8"),
		prefixes("2001:db8::/32", "2001:db8:1::/48", "192.0.2.53/32", "::1/128", "255.255.255.255/32"),
		prefixes("192.0.2.128/25", "192.0.2.0/25", "2001:db8::80/121", "2001:db8::/121"),
	}
	for _, set := range sets {
		s := NewNetworks(set)
		for _, text := range []string{
			"0.0.0.0", "10.0.0.0", "10.255.255.255", "11.0.0.0", "192.0.1.255", "192.0.2.0", "192.0.2.52", "192.0.2.53", "192.0.2.54",
			"192.0.2.127", "192.0.2.128", "192.0.2.255", "192.0.3.0", "192.0.255.255", "192.1.0.0", "255.255.255.255",
			"::", "::1", "::2", "2001:db7:ffff::", "2001:db8::", "2001:db8::7f", "2001:db8::80", "2001:db8::ff", "2001:db8::100",
			"2001:db8:1::5", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::",
		} {
			a, want := netip.MustParseAddr(text), false
			for _, p := range set {
				want = want || p.Contains(a)
			}
			if got := s.Has(a); got != want {
				t.Errorf("%v has %v: %v, want %v", set, a, got, want)
			}
		}
	}
}
