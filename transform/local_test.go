package transform

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// ownTexts are texts, and whether they contain 192.0.2.53 or 2001:db8:53::53.
var ownTexts = []struct {
	text string
	own  bool
}{
	{"192.0.2.53", true},
	{"your address is 192.0.2.53.", true},
	{"ip=192.0.2.53;port=40000", true},
	{"192.000.002.053", true},
	{"v=spf1 ip4:192.0.2.53/32 -all", true},
	{"1.192.0.2.53", true},
	{"192.0.2.53.1", true},
	{"192.0.2.53.example", true},
	{"x192.0.2.53x", true},
	{"::ffff:192.0.2.53", true},
	{"::ffff:c000:235", true},
	{"0:0:0:0:0:FFFF:C000:0235", true},
	{"64:ff9b::192.0.2.53", true},
	{"64:ff9b::c000:235", true},
	{"2002:c000:235::1", true}, // 6to4
	{"2002:c000:0235:1:2:3:4:5", true},
	{"53.2.0.192.in-addr.arpa", true},
	{"x.53.2.0.192.IN-ADDR.ARPA.", true},
	{reverseName("2001:db8:53::53"), true},
	{"2001:db8:53::53", true},
	{"2001:DB8:53::53", true},
	{"2001:0db8:0053:0000:0000:0000:0000:0053", true},
	{"2001:db8:53:0:0:0:0:53", true},
	{"2001:db8:53::0:53", true},
	{"2001:db8:53:0::0:53", true},
	{"2001:db8:53:0:0::53", true},
	{"2001:db8:53::0.0.0.83", true},
	{"2001:db8:53:0:0:0:0.0.0.83", true},
	{"[2001:db8:53::53]:40000", true},
	{"v=spf1 ip6:2001:db8:53::53/64 ~all", true},
	{"addr=2001:db8:53::53%eth0", true},
	{"client:2001:db8:53::53:", true},
	{"1:2001:db8:53::53", true},

	{"192.0.2.5", false},
	{"192.0.2.531", false},
	{"1192.0.2.53", false},
	{"192.0.253", false},
	{"192.0..2.53", false},
	{"192,0,2,53", false},
	{"53.2.0.192", true}, // in reverse order
	{"ip-192-0-2-53.dyn", true},
	{"192_0_2_53", true},
	{"192-0.2-53", false},
	{"C0000235", true},
	{"c0000235f", false},
	{"0xc0000235", false},
	{"3221226037", true},
	{"32212260371", false},
	{"2001-db8-53--53", true},
	{"20010db8005300000000000000000053", true},
	{"54.2.0.192.in-addr.arpa", false},
	{"2.0.192.in-addr.arpa", false},
	{"2001:db8:53::54", false},
	{"2001:db8:53::5", false},
	{"2001:db8:53::153", false},
	{"2001:db8:53:53", false},
	{"02001:db8:53::53", false}, // no group has five digits
	{"2001:db8:530::53", false},
	{"2001:db8::53::53", false},
	{"2001:db8:53:::53", false},
	{"::ffff:192.0.2.5", false},
	{"2002:c000:234::1", false},
}

func TestResolverAddressIsFoundInText(t *testing.T) {
	p := scrubPolicy(t)
	for _, tt := range ownTexts {
		s := tt.text
		for place, wire := range map[string][]byte{
			"TXT":          answering(dns.TypeTXT, charStrings(s)),
			"TXT, second":  answering(dns.TypeTXT, charStrings("you are", s)),
			"TXT, split":   answering(dns.TypeTXT, charStrings(s[:2], s[2:6], s[6:])),
			"SPF":          answering(dns.TypeSPF, charStrings(s)),
			"CAA":          answering(dns.TypeCAA, append([]byte("\x00\x05iodef"), s...)),
			"URI":          answering(dns.TypeURI, append([]byte{0, 1, 0, 1}, s...)),
			"NAPTR":        answering(dns.TypeNAPTR, naptr("", "", s)),
			"HTTPS":        answering(dns.TypeHTTPS, svcb(65280, s)),
			"unknown type": answering(65280, []byte(s)),
			"strings of unknown type": answering(65280,
				charStrings("a", s+strings.Repeat(" ", 57-len(s)%57))), // the length octet is "9"
		} {
			want := Kept
			if tt.own {
				want = ResolverAddress
			}
			if _, got := scrubOne(p, asResponse(wire)); got != want {
				t.Errorf("%s: %q: got %v, want %v", place, s, got, want)
			}
		}
	}
}

func TestResolverAddressIsFoundAsOctets(t *testing.T) {
	v4, v6 := ownAddr4.AsSlice(), ownAddr6.AsSlice()
	in6 := func(s string) []byte { return netip.MustParseAddr(s).AsSlice() }
	for _, tt := range []struct {
		name  string
		typ   uint16
		rdata []byte
		want  Reason
	}{
		{"A", dns.TypeA, v4, ResolverAddress},
		{"another A", dns.TypeA, []byte{192, 0, 2, 54}, Kept},
		{"AAAA", dns.TypeAAAA, v6, ResolverAddress},
		{"another AAAA", dns.TypeAAAA, in6("2001:db8:53::54"), Kept},
		{"AAAA, IPv4-mapped", dns.TypeAAAA, in6("::ffff:192.0.2.53"), ResolverAddress},
		{"AAAA, NAT64", dns.TypeAAAA, in6("64:ff9b::192.0.2.53"), ResolverAddress},
		{"AAAA, 6to4", dns.TypeAAAA, in6("2002:c000:235::1"), ResolverAddress},
		{"AAAA, another's 6to4", dns.TypeAAAA, in6("2002:c000:236::1"), Kept},
		{"SVCB, ipv4hint", dns.TypeSVCB, svcb(4, "\xcb\x00\x71\x07\xc0\x00\x02\x35"), ResolverAddress},
		{"HTTPS, ipv4hint", dns.TypeHTTPS, svcb(4, string(v4)), ResolverAddress},
		{"HTTPS, ipv6hint", dns.TypeHTTPS, svcb(6, string(v6)), ResolverAddress},
		{"HTTPS, another hint", dns.TypeHTTPS, svcb(4, "\xcb\x00\x71\x07"), Kept},
		{"IPSECKEY, IPv4", dns.TypeIPSECKEY, append([]byte{1, 1, 2}, v4...), ResolverAddress},
		{"IPSECKEY, IPv6", dns.TypeIPSECKEY, append([]byte{1, 2, 2}, v6...), ResolverAddress},
		{"AMTRELAY, IPv4", dns.TypeAMTRELAY, append([]byte{1, 1}, v4...), ResolverAddress},
		{"AMTRELAY, IPv6", dns.TypeAMTRELAY, append([]byte{1, 0x82}, v6...), ResolverAddress},
		{"APL, IPv4", dns.TypeAPL, append([]byte{0, 1, 32, 4}, v4...), ResolverAddress},
		{"APL, IPv6", dns.TypeAPL, append([]byte{0, 2, 128, 16}, v6...), ResolverAddress},
		{"WKS", 11, append(slices.Clone(v4), 6, 0, 0, 0x40), ResolverAddress},
		{"L32", dns.TypeL32, append([]byte{0, 1}, v4...), ResolverAddress},
		{"A6", wiretest.TypeA6, append([]byte{0}, v6...), ResolverAddress},
		{"unknown type, IPv4", 65280, append([]byte{1, 2, 3}, v4...), ResolverAddress},
		{"unknown type, IPv6", 65280, append(slices.Clone(v6), 1), ResolverAddress},
		{"NULL", dns.TypeNULL, v4, ResolverAddress},
		{"TXT", dns.TypeTXT, charStrings(string(v4)), ResolverAddress},
		{"key, by chance", dns.TypeDNSKEY, append([]byte{1, 0, 3, 13}, v4...), Kept},
		{"signature, by chance", dns.TypeRRSIG, append(append(make([]byte, 18), 0), v4...), Kept},
		{"fields before a signature", dns.TypeRRSIG, append(append(make([]byte, 14), v4...), 0, 1, 2, 3), ResolverAddress},
		{"digest, by chance", dns.TypeDS, append([]byte{1, 0, 13, 2}, v4...), Kept},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantReason(t, scrubPolicy(t), answering(tt.typ, tt.rdata), tt.want)
			if wire := wiretest.New("q.example.net", dns.TypeA).With(dnswire.Additional, "ns.example.net", tt.typ, tt.rdata).Wire; tt.want == Kept {
				wantReason(t, scrubPolicy(t), wire, Kept)
			} else {
				wantRemoved(t, scrubPolicy(t), wire)
			}
		})
	}
}

func TestResolverAddressIsFoundAsReverseName(t *testing.T) {
	p := scrubPolicy(t)
	rev6 := reverseName("2001:db8:53::53")
	for name, want := range map[string]Reason{
		"53.2.0.192.in-addr.arpa":                              ResolverAddress,
		"053.2.0.192.IN-ADDR.ARPA":                             ResolverAddress,
		"x.y.53.2.0.192.in-addr.arpa":                          ResolverAddress,
		"53.0/26.2.0.192.in-addr.arpa":                         ResolverAddress, // RFC 2317
		"53.0-63.2.0.192.in-addr.arpa":                         ResolverAddress,
		"53.subnet.a.2.0.192.in-addr.arpa":                     ResolverAddress,
		"54.0/26.2.0.192.in-addr.arpa":                         Kept,
		"0/26.2.0.192.in-addr.arpa":                            Kept,
		"2.0.192.in-addr.arpa":                                 Kept,
		"54.2.0.192.in-addr.arpa":                              Kept,
		"53.2.0.192.in-addr.arpa.example":                      ResolverAddress,
		rev6:                                                   ResolverAddress,
		strings.ToUpper(rev6):                                  ResolverAddress,
		"_x." + rev6:                                           ResolverAddress,
		rev6[2:]:                                               Kept,
		reverseName("2001:db8:53::54"):                         Kept,
		reverseName("64:ff9b::192.0.2.53"):                     ResolverAddress,
		mappedReverseName(ownAddr4):                            ResolverAddress,
		reverseName("2002:c000:235::53"):                       ResolverAddress,
		mappedReverseName(netip.MustParseAddr("203.0.113.10")): Kept,
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, p, wiretest.New(name, dns.TypePTR).Wire, want)
			if wire := wiretest.New("q.example.net", dns.TypeA).With(dnswire.Additional, name, dns.TypeA, []byte{203, 0, 113, 7}).Wire; want == Kept {
				wantReason(t, p, wire, Kept)
			} else {
				wantRemoved(t, p, wire)
			}
			wantReason(t, p, answering(dns.TypePTR, wiretest.Name(name)), want)
			wantReason(t, p, answering(dns.TypeNSEC, append(wiretest.Name(name), 0, 1, 0x40)), want)
			wantReason(t, p, answering(65280, wiretest.Name(name)), want)
			m := asResponse(wiretest.New("q.example.net", dns.TypeA).Wire)
			m.Zone = wiretest.Name(name)
			if _, got := scrubOne(p, m); got != want {
				t.Errorf("as zone: got %v, want %v", got, want)
			}
		})
	}
}

// TestResolverAddressIsFoundAsCompressedReverseName has labels and pointers in turn, each in
// its own record.
func TestResolverAddressIsFoundAsCompressedReverseName(t *testing.T) {
	for name, want := range map[string]Reason{
		reverseName("2001:db8:53::53"):                ResolverAddress,
		"_x." + reverseName("2001:db8:53::53"):        ResolverAddress,
		reverseName("2001:db8:53::54"):                Kept,
		"53.2.0.192.in-addr.arpa":                     ResolverAddress,
		"53.a-label-of-rfc-2317.2.0.192.in-addr.arpa": ResolverAddress,
	} {
		labels := dns.SplitDomainName(name)
		d := wiretest.New("q.example.net", dns.TypeNS)
		rest := []byte{0}
		for _, label := range slices.Backward(labels) {
			at := len(d.Wire)
			d.Record(dnswire.Additional, append(charStrings(label), rest...), dns.TypeA, []byte{203, 0, 113, 7})
			rest = wiretest.PointTo(at)
		}
		if want == Kept {
			wantReason(t, scrubPolicy(t), d.Wire, Kept)
		} else {
			wantRemoved(t, scrubPolicy(t), d.Wire)
		}
	}
}

func mappedReverseName(a netip.Addr) string {
	var name strings.Builder
	octets := a.As16()
	for _, b := range slices.Backward(octets[:]) {
		fmt.Fprintf(&name, "%x.%x.", b&15, b>>4)
	}
	return name.String() + "ip6.arpa."
}

// TestResolverAddressIsLearnedFromMessages checks that an address that query_address stated
// once counts for later answers.
func TestResolverAddressIsLearnedFromMessages(t *testing.T) {
	p := scrubPolicy(t, func(c *Config) { c.Resolvers = ownNetworks })
	lane := NewPairer(NewBudget(8))
	take := func(resolver string, address netip.Addr) Reason {
		m := asResponse(answering(dns.TypeA, address.AsSlice()))
		m.Resolver = netip.MustParseAddrPort(resolver)
		return lane.Take(m, p, func(*Record) {})
	}
	first, second := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i, tt := range []struct {
		resolver string
		answer   netip.Addr
		want     Reason
	}{
		{"0.0.0.0:0", first, Kept},
		{"0.0.0.0:0", netip.IPv4Unspecified(), Kept},
		{"[::]:0", first, Kept},
		{"192.0.2.1:4000", first, ResolverAddress},
		{"192.0.2.1:4000", second, Kept},
		{"[::ffff:192.0.2.2]:4000", second, ResolverAddress},
		{"0.0.0.0:0", first, ResolverAddress},
	} {
		if got := take(tt.resolver, tt.answer); got != tt.want {
			t.Errorf("message %d: got %v, want %v", i, got, tt.want)
		}
	}
}

// TestEverySpellingOfAnAddressIsFound makes spellings of addresses at random.
func TestEverySpellingOfAnAddressIsFound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		var octets [16]byte
		for i := range octets {
			if random.IntN(3) > 0 {
				octets[i] = byte(random.IntN(256))
			}
		}
		own := netip.AddrFrom16(octets)
		if !isIdentity(own) || own.Is4In6() {
			continue
		}
		p := scrubPolicy(t, func(c *Config) { c.Resolvers = single(own) })
		text := []string{"", "x=", "[", "ip6:", "1:2:"}[random.IntN(5)] + spell(random, octets) + []string{"", "]", "/64", " x", ".", ";"}[random.IntN(6)]
		if got := judgeText(p, text); got != ResolverAddress {
			t.Fatalf("%v in %q: %v", own, text, got)
		}
	}
}

func spell(random *rand.Rand, octets [16]byte) string {
	format := []string{"%x", "%04x", "%X", "%02x"}[random.IntN(4)]
	var groups []string
	for i := 0; i < 16; i += 2 {
		groups = append(groups, fmt.Sprintf(format, int(octets[i])<<8|int(octets[i+1])))
	}
	if random.IntN(3) == 0 {
		groups = append(groups[:6], fmt.Sprintf("%d.%d.%d.%d", octets[12], octets[13], octets[14], octets[15]))
	}
	from := random.IntN(len(groups))
	to := from
	for to < len(groups) && strings.Trim(groups[to], "0") == "" {
		to++
	}
	if to == from {
		return strings.Join(groups, ":")
	}
	return strings.Join(groups[:from], ":") + "::" + strings.Join(groups[to:], ":")
}

// judgeText gives text to the search alone.
func judgeText(p *Policy, text string) Reason {
	var s searcher
	s.begin(p, &s.none, &s.none, netip.Addr{}, netip.Addr{})
	s.ready()
	s.place = inRdata
	s.text([]byte(text))
	return s.rule.ForbidsAs()
}

// TestAddressesInTextAgainstNetip compares the search with netip.ParseAddr on every substring
// of random text.
func TestAddressesInTextAgainstNetip(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	owns := []netip.Addr{
		netip.MustParseAddr("1::2"), netip.MustParseAddr("1:1:1:1:1:1:1:1"), netip.MustParseAddr("::2:1"),
		netip.MustParseAddr("1.2.1.1"), netip.MustParseAddr("1::102:102"), netip.MustParseAddr("2:1::"),
	}
	p := scrubPolicy(t, func(c *Config) { c.Resolvers, c.LocalNames, c.LocalNetworks = single(owns...), nil, nil })
	found := 0
	for range 20000 {
		var text strings.Builder
		for range random.IntN(14) {
			text.WriteString([]string{"1", "2", "1:", "2:", ":", "::", "1.", "2.", ".", " ", "1:1:1:"}[random.IntN(11)])
		}
		want := naiveAddresses(text.String(), owns)
		if want {
			found++
		}
		// With dots there are more spellings than netip has.
		if got := judgeText(p, text.String()) == ResolverAddress; got != want && (want || !strings.Contains(text.String(), ".")) {
			t.Fatalf("%q: got %v, want %v", text.String(), got, want)
		}
	}
	if found < 1000 || found > 19000 {
		t.Errorf("%d of 20000 texts hold an address", found)
	}
}

func naiveAddresses(text string, owns []netip.Addr) bool {
	digit := func(i int) bool { return i >= 0 && i < len(text) && text[i] != '.' && text[i] != ':' && text[i] != ' ' }
	for i := range len(text) {
		for j := i + 1; j <= len(text); j++ {
			if digit(i-1) && digit(i) || digit(j-1) && digit(j) {
				continue // in the middle of a number
			}
			a, err := netip.ParseAddr(text[i:j])
			if err == nil && slices.Contains(owns, a.Unmap()) {
				return true
			}
		}
	}
	return false
}

func octets(addr string) []byte { return netip.MustParseAddr(addr).AsSlice() }

// networkAddresses are responses, and whether they contain an address inside 198.18.99.0/24 or
// 2001:db8:55::/48; embedded: as part of an IPv6 address that is not inside.
var networkAddresses = []struct {
	name     string
	wire     []byte
	want     Reason
	embedded bool
}{
	{"A, first", answering(dns.TypeA, octets("198.18.99.0")), ResolverAddress, false},
	{"A, last", answering(dns.TypeA, octets("198.18.99.255")), ResolverAddress, false},
	{"A, before", answering(dns.TypeA, octets("198.18.98.255")), Kept, false},
	{"A, after it", answering(dns.TypeA, octets("198.18.100.0")), Kept, false},
	{"AAAA, first", answering(dns.TypeAAAA, octets("2001:db8:55::")), ResolverAddress, false},
	{"AAAA, last", answering(dns.TypeAAAA, octets("2001:db8:55:ffff:ffff:ffff:ffff:ffff")), ResolverAddress, false},
	{"AAAA, before", answering(dns.TypeAAAA, octets("2001:db8:54:ffff:ffff:ffff:ffff:ffff")), Kept, false},
	{"AAAA, after it", answering(dns.TypeAAAA, octets("2001:db8:56::")), Kept, false},
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
	// There are no single addresses, so that only networks can match.
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

// TestANetworkOfOneAddressIsThatAddress checks that it is found in opaque octets too.
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

// TestNetworksAgainstContains compares the search with a simple loop, on random networks that
// overlap and are adjacent.
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

func TestPublicAddresses(t *testing.T) {
	for addr, want := range map[string]bool{
		"192.0.2.53":          true, // documentation addresses are not special here
		"8.8.8.8":             true,
		"100.63.255.255":      true,
		"100.64.0.0":          false,
		"100.127.255.255":     false,
		"100.128.0.0":         true,
		"10.0.0.53":           false,
		"172.31.0.1":          false,
		"192.168.1.1":         false,
		"127.0.0.1":           false,
		"169.254.1.1":         false,
		"224.0.0.1":           false,
		"255.255.255.255":     false,
		"0.0.0.0":             false,
		"2001:db8::53":        true,
		"::ffff:192.0.2.53":   true,
		"::ffff:10.0.0.1":     false,
		"::ffff:100.64.0.1":   false,
		"fd00::1":             false,
		"fe80::1":             false,
		"ff02::1":             false,
		"::1":                 false,
		"::":                  false,
		"2001:db8:53::53%eth": true,
	} {
		if got := IsPublic(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
	if IsPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestPolicyNamesAPublicResolver(t *testing.T) {
	for _, row := range []struct {
		resolvers []string
		want      bool
	}{
		{nil, false},
		{[]string{"10.0.0.53/32", "fd00::53/128"}, false},
		{[]string{"10.0.0.53/32", "192.0.2.53/32"}, true},
		{[]string{"2001:db8::53/128"}, true},
		{[]string{"192.0.2.0/24"}, true},
		{[]string{"192.0.0.0/16"}, false}, // it only selects packets
		{[]string{"2001:db8:53::/48"}, true},
		{[]string{"2001:db8::/32"}, false},
		{[]string{"10.1.2.0/24", "fd00:1:2::/48", "100.64.0.0/24"}, false},
	} {
		p := testPolicy(t, func(c *Config) {
			c.Resolvers = nil
			for _, r := range row.resolvers {
				c.Resolvers = append(c.Resolvers, netip.MustParsePrefix(r))
			}
		})
		if got := p.HasPublicResolver(); got != row.want {
			t.Errorf("%v: got %v, want %v", row.resolvers, got, row.want)
		}
	}
}
