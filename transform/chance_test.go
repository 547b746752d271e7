package transform

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// never is longer than every prefix.
const never = 129

// A form4 is how a name may spell an IPv4 address. forward and backwards are the lengths
// of the shortest prefixes that match the octets in that order.
type form4 struct {
	form, example      string
	write              func(a [4]byte) string
	forward, backwards int
	isBackwards        bool // the name spells the address in reverse order
}

var forms4 = []form4{
	{"four numbers in one label, between `-`, `_` or `.`", "`203-0-113-7.example.com`", inLabel("%d-%d-%d-%d"), 0, 16, false},
	{"four labels that are numbers", "`203.0.113.7.example.com`", inLabel("%d.%d.%d.%d"), 0, 0, false},
	{"reverse name of a foreign address, read in forward order", "`7.113.0.203.in-addr.arpa`", inReverseName, never, 0, true},
	{"8 hexadecimal digits", "`cb007107.example.com`", inLabel("%02x%02x%02x%02x"), 16, never, false},
	{"one decimal number below 2^32", "`3405803783.example.com`", asDecimal, 24, never, false},
}

func inLabel(format string) func(a [4]byte) string {
	return func(a [4]byte) string { return fmt.Sprintf(format+".example.com", a[0], a[1], a[2], a[3]) }
}

func inReverseName(a [4]byte) string {
	return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", a[0], a[1], a[2], a[3])
}

func asDecimal(a [4]byte) string {
	return fmt.Sprintf("%d.example.com", uint32(a[0])<<24|uint32(a[1])<<16|uint32(a[2])<<8|uint32(a[3]))
}

// chance returns how likely a prefix of a length matches random octets by mistake: the
// sum over the orders in which they are read. Matches in both orders are too rare to show.
func (f form4) chance(bits int) string {
	forward, backwards := bits >= f.forward, bits >= f.backwards && !f.isBackwards
	switch {
	case forward && backwards:
		return oneIn(bits - 1)
	case forward || backwards:
		return oneIn(bits)
	}
	return "never"
}

// oneIn writes the chance 2^-exponent.
func oneIn(exponent int) string {
	if exponent <= 24 {
		return "1 in " + thousands(1<<exponent)
	}
	return fmt.Sprintf("1 in 2^%d", exponent)
}

// chancePolicy forbids one network, which is the resolver's address if it is single.
func chancePolicy(t *testing.T, network netip.Prefix) *Policy {
	return testPolicy(t, func(c *Config) {
		c.SpecialNames, c.KeepLookups = false, true
		if network.IsSingleIP() {
			c.Resolvers = []netip.Prefix{network}
		} else {
			c.LocalNetworks = []netip.Prefix{network}
		}
	})
}

// A nameJudge judges names by one policy.
type nameJudge struct {
	policy *Policy
	s      searcher
}

func (j *nameJudge) forbids(name string) bool {
	j.s.begin(j.policy, &j.s.none, &j.s.none, netip.Addr{}, netip.Addr{})
	return j.s.judge(&subject{name: wiretest.Name(name)}) != Kept
}

// TestChancesOfIPv4InNames writes the octets of a network in one order, and tries every
// value of its last octet. One of the 256 values must match if that order counts for a
// network of this length, otherwise none. docs/wrong-drops.md has the chances.
func TestChancesOfIPv4InNames(t *testing.T) {
	local := [4]byte{198, 18, 5, 53}
	table := "| form, with random octets | example | a /8 | a /16 | a /24 | one address |\n|---|---|---|---|---|---|\n"
	for _, f := range forms4 {
		table += fmt.Sprintf("| %s | %s |", f.form, f.example)
		for bits := 8; bits <= 32; bits += 8 {
			table += " " + f.chance(bits) + " |"
			network := netip.PrefixFrom(netip.AddrFrom4(local), bits).Masked()
			j := nameJudge{policy: chancePolicy(t, network)}
			for backwards, least := range []int{f.forward, f.backwards} {
				want := 0
				if bits >= least {
					want = 1
				}
				got := 0
				for v := range 256 {
					a := [4]byte{77, 77, 77, 77}
					copy(a[:], local[:bits/8-1])
					a[bits/8-1] = byte(v)
					if backwards == 1 {
						a = [4]byte{a[3], a[2], a[1], a[0]}
					}
					if j.forbids(f.write(a)) {
						got++
					}
				}
				if got != want {
					t.Errorf("%s, backwards %d, /%d: %d of 256 match, want %d", f.form, backwards, bits, got, want)
				}
			}
		}
		table += "\n"
	}
	t.Logf("\n%s", table)
	wantInDocs(t, table)
}

// TestSamplesAgreeWithChances draws names at random, with a fixed seed.
func TestSamplesAgreeWithChances(t *testing.T) {
	for _, tt := range []struct {
		network       string
		form          string
		samples, want int
	}{
		{"10.0.0.0/8", "%d-%d-%d-%d", 1 << 16, 256},
		{"10.0.0.0/8", "%d.%d.%d.%d", 1 << 15, 256},
		{"10.0.0.0/8", "%02x%02x%02x%02x", 1 << 12, 0},
		{"198.18.0.0/16", "c6%02[2]x%02[3]x%02[4]x", 1 << 16, 256}, // 1 in 256 of the names that begin with c6
	} {
		random := rand.New(rand.NewPCG(1, 2))
		j := nameJudge{policy: chancePolicy(t, netip.MustParsePrefix(tt.network))}
		write := inLabel(tt.form)
		got := 0
		for range tt.samples {
			v := random.Uint32()
			if j.forbids(write([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})) {
				got++
			}
		}
		if off := got - tt.want; off*off > 16*tt.want { // four standard deviations
			t.Errorf("%s in %d samples of %s: %d match, want about %d", tt.network, tt.samples, tt.form, got, tt.want)
		}
	}
}

// A form6 is how a name may spell an IPv6 address. Each form counts for prefixes of 48
// bits or more.
type form6 struct {
	form, example string
	write         func(a [16]byte) string
}

var forms6 = []form6{
	{"8 groups in one label, between `-` or `_`", "`2001-db8-0-0-0-0-0-7.example.com`", func(a [16]byte) string { return groups(a, "-") }},
	{"8 labels that are groups", "`2001.db8.0.0.0.0.0.7.example.com`", func(a [16]byte) string { return groups(a, ".") }},
	{"32 hexadecimal digits", "`20010db8…07.example.com`", func(a [16]byte) string { return fmt.Sprintf("%x.example.com", a) }},
	{"32 labels of one digit, in reverse order", "`7.0.…8.b.d.0.1.0.0.2.example.com`", func(a [16]byte) string { return nibbles(a) + "example.com" }},
	{"reverse name", "`7.0.…8.b.d.0.1.0.0.2.ip6.arpa`", func(a [16]byte) string { return nibbles(a) + "ip6.arpa" }},
}

func groups(a [16]byte, separator string) string {
	var all []string
	for i := 0; i < 16; i += 2 {
		all = append(all, fmt.Sprintf("%x", uint16(a[i])<<8|uint16(a[i+1])))
	}
	return strings.Join(all, separator) + ".example.com"
}

func nibbles(a [16]byte) (name string) {
	for _, octet := range a {
		name = fmt.Sprintf("%x.%x.", octet&15, octet>>4) + name
	}
	return name
}

// TestChancesOfIPv6InNames tries every value of the last octet of a prefix.
func TestChancesOfIPv6InNames(t *testing.T) {
	local := netip.MustParseAddr("2001:db8:53:1:2:3:4:35").As16()
	table := "| form, with random octets | example | a /48 | one address |\n|---|---|---|---|\n"
	for _, f := range forms6 {
		table += fmt.Sprintf("| %s | %s |", f.form, f.example)
		for _, bits := range []int{48, 128} {
			table += " " + oneIn(bits) + " |"
			network := netip.PrefixFrom(netip.AddrFrom16(local), bits).Masked()
			j := nameJudge{policy: chancePolicy(t, network)}
			got := 0
			for v := range 256 {
				a := local
				a[bits/8-1] = byte(v)
				if j.forbids(f.write(a)) {
					got++
				}
			}
			if got != 1 {
				t.Errorf("%s, /%d: %d of 256 match, want 1", f.form, bits, got)
			}
		}
		table += "\n"
	}
	t.Logf("\n%s", table)
	wantInDocs(t, table)
}

// An embedding is a form in which IPv6 addresses contain IPv4 addresses.
type embedding struct {
	form     string
	fixed    int  // bits that the form fixes
	networks bool // the form counts for networks, not only for single addresses
	write    func(a [4]byte) (b [16]byte)
}

// embeddings write 0x77 to the octets that the form does not fix.
var embeddings = []embedding{
	{"6to4, `2002::/16`", 16, true, embed("2002:7777:7777:7777:7777:7777:7777:7777", 2, 3, 4, 5)},
	{"NAT64, `64:ff9b:1::/48`, at each of four places", 48, true, embed("64:ff9b:1:7777:7777:7777:7777:7777", 12, 13, 14, 15)},
	{"NAT64, `64:ff9b::/96`", 96, true, embed("64:ff9b::", 12, 13, 14, 15)},
	{"IPv4-mapped, `::ffff:0:0/96`", 96, true, embed("::ffff:0:0", 12, 13, 14, 15)},
	{"RFC 6052 with any /96; compatible", 8, false, embed("3777:7777:7777:7777:77:7777:7777:7777", 12, 13, 14, 15)},
	{"RFC 6052 with any /64", 32, false, embed("3777:7777:7777:7777:77:7777:7700:0", 9, 10, 11, 12)},
	{"RFC 6052 with any /56", 40, false, embed("3777:7777:7777:7777:77:7777:0:0", 7, 9, 10, 11)},
	{"RFC 6052 with any /48", 48, false, embed("3777:7777:7777:7777:77:7700:0:0", 6, 7, 9, 10)},
	{"RFC 6052 with any /40", 56, false, embed("3777:7777:7777:7777:77:0:0:0", 5, 6, 7, 9)},
	{"RFC 6052 with any /32", 64, false, embed("3777:7777:7777:7777::", 4, 5, 6, 7)},
	{"ISATAP, `0200:5efe` in octets 8 to 11", 32, false, embed("3777:7777:7777:7777:200:5efe:7777:7777", 12, 13, 14, 15)},
	{"Teredo, server", 32, false, embed("2001:0:7777:7777:7777:7777:7777:7777", 4, 5, 6, 7)},
	{"Teredo, client", 32, false, func(a [4]byte) [16]byte {
		return embed("2001:0:7777:7777:7777:7777:7777:7777", 12, 13, 14, 15)([4]byte{^a[0], ^a[1], ^a[2], ^a[3]})
	}},
}

// embed returns a function that writes an IPv4 address to these octets of an address.
func embed(address string, places ...int) func(a [4]byte) [16]byte {
	return func(a [4]byte) [16]byte {
		b := netip.MustParseAddr(address).As16()
		for i, place := range places {
			b[place] = a[i]
		}
		return b
	}
}

// TestChancesOfIPv4InsideIPv6 tries every value of a network's last octet in AAAA records.
func TestChancesOfIPv4InsideIPv6(t *testing.T) {
	local := [4]byte{198, 18, 5, 53}
	table := "| form | a /24 | one address |\n|---|---|---|\n"
	for _, e := range embeddings {
		network := "never"
		if e.networks {
			network = oneIn(e.fixed + 24)
		}
		table += fmt.Sprintf("| %s | %s | %s |\n", e.form, network, oneIn(e.fixed+32))
		for octet, want := range map[int]int{2: 0, 3: 1} {
			if octet == 2 && e.networks {
				want = 1
			}
			prefix := netip.PrefixFrom(netip.AddrFrom4(local), 8*octet+8).Masked()
			p := testPolicy(t, func(c *Config) { c.Resolvers = []netip.Prefix{prefix} })
			got := 0
			for v := range 256 {
				a := local
				a[octet] = byte(v)
				b := e.write(a)
				if forbidsAnswer(p, dns.TypeAAAA, b[:]) {
					got++
				}
			}
			if got != want {
				t.Errorf("%s, %v: %d of 256 match, want %d", e.form, prefix, got, want)
			}
		}
	}
	t.Logf("\n%s", table)
	wantInDocs(t, table)
}

// forbidsAnswer reports whether a record in the answer drops it.
func forbidsAnswer(p *Policy, typ uint16, rdata []byte) bool {
	m := asResponse(answering(typ, rdata))
	m.Resolver = netip.MustParseAddrPort("0.0.0.0:53") // not learned
	_, reason := scrubOne(p, m)
	return reason == ResolverAddress
}

// TestChancesInOpaqueOctets counts the places in 40 octets at which an address is found.
func TestChancesInOpaqueOctets(t *testing.T) {
	const n = 40
	for _, tt := range []struct {
		resolver string
		octets   int // how many octets of the address identify the resolver
		typ      uint16
		places   int
	}{
		{"198.18.5.53/32", 4, 65280, n - 3},
		{"198.18.5.53/32", 4, dns.TypeDNSKEY, 0}, // a key holds four octets by chance
		{"2001:db8:53::35/128", 16, 65280, n - 15},
		{"2001:db8:53::/48", 6, 65280, n - 5},
		{"2001:db8:53::/48", 6, dns.TypeDNSKEY, n - 5 - 4}, // after flags, protocol and algorithm
		{"198.18.5.0/24", 3, 65280, 0},
	} {
		prefix := netip.MustParsePrefix(tt.resolver)
		p := testPolicy(t, func(c *Config) { c.Resolvers = []netip.Prefix{prefix} })
		from := 0
		if tt.typ == dns.TypeDNSKEY {
			from = 4
		}
		got := 0
		for place := from; place+tt.octets <= n; place++ {
			rdata := []byte(strings.Repeat("\x77", n))
			copy(rdata[place:place+tt.octets], prefix.Addr().AsSlice())
			if forbidsAnswer(p, tt.typ, rdata) {
				got++
			}
		}
		if got != tt.places {
			t.Errorf("%s in %s: found at %d places, want %d", tt.resolver, dns.Type(tt.typ), got, tt.places)
		}
	}
}
