package ring

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
)

const (
	res4, res4b, srv4, far4 = "192.0.2.53", "192.0.2.77", "198.51.100.7", "203.0.113.9"
	res6, srv6, far6        = "2001:db8::53", "2001:db8:1::7", "2001:db8:2::9"
)

var filterCases = []struct {
	name          string
	packet        []byte
	plain         bool // passes
	decapsulating bool // passes with Decapsulate
}{
	{"UDP query", ipv4(res4, srv4, 17, 0, 0, ports(4000, 53)), true, true},
	{"UDP response", ipv4(srv4, res4, 17, 0, 0, ports(53, 4000)), true, true},
	{"TCP query", ipv4(res4, srv4, 6, 0, 0, ports(4000, 53)), true, true},
	{"TCP response", ipv4(srv4, res4, 6, 0, 0, ports(53, 4000)), true, true},
	{"between resolvers", ipv4(res4, res4b, 17, 0, 0, ports(4000, 53)), true, true},
	{"between resolvers, back", ipv4(res4b, res4, 17, 0, 0, ports(53, 4000)), true, true},
	{"with options", ipv4(res4, srv4, 17, 0, 10, ports(4000, 53)), true, true},
	{"do not fragment", ipv4(res4, srv4, 17, 0x4000, 0, ports(4000, 53)), true, true},
	{"client's query", ipv4(far4, res4, 17, 0, 0, ports(4000, 53)), false, false},
	{"response to a client", ipv4(res4, far4, 17, 0, 0, ports(53, 4000)), false, false},
	{"of no resolver", ipv4(far4, srv4, 17, 0, 0, ports(4000, 53)), false, false},
	{"another port", ipv4(res4, srv4, 17, 0, 0, ports(4000, 443)), false, false},
	{"port 53 among options", ipv4(res4, srv4, 17, 0, 1, ports(53, 443)), false, false},
	{"ICMP", ipv4(srv4, res4, 1, 0, 0, ports(53, 53)), false, false},
	{"first fragment", ipv4(srv4, res4, 17, 0x2000, 0, ports(53, 4000)), true, true},
	{"later fragment", ipv4(srv4, res4, 17, 0x0010, 0, []byte("anything")), true, true},
	{"fragment of others", ipv4(far4, srv4, 17, 0x2000, 0, ports(53, 4000)), false, true},
	{"GRE", ipv4(far4, srv4, 47, 0, 0, ports(0, 0x800)), false, true},
	{"VXLAN", ipv4(far4, srv4, 17, 0, 3, ports(4000, 4789)), false, true},
	{"VXLAN at Linux's port", ipv4(far4, srv4, 17, 0, 0, ports(4000, 8472)), false, true},
	{"GENEVE", ipv4(far4, srv4, 17, 0, 0, ports(4000, 6081)), false, true},
	{"another port near VXLAN's", ipv4(far4, srv4, 17, 0, 0, ports(4000, 4790)), false, false},
	{"L2TP", ipv4(far4, srv4, 17, 0, 0, ports(1701, 1701)), false, true},
	{"L2TPv3", ipv4(far4, srv4, 115, 0, 0, []byte("anything")), false, true},
	{"EtherIP", ipv4(far4, srv4, 97, 0, 0, []byte("anything")), false, true},
	{"ESP", ipv4(far4, srv4, 50, 0, 0, []byte("anything")), false, false},
	{"IP in IP", ipv4(far4, srv4, 4, 0, 0, []byte("anything")), false, true},
	{"6in4", ipv4(far4, srv4, 41, 0, 0, []byte("anything")), false, true},
	{"from VXLAN's port", ipv4(far4, srv4, 17, 0, 0, ports(4789, 4000)), false, false},

	{"IPv6 UDP query", ipv6(res6, srv6, 17, ports(4000, 53)), true, true},
	{"IPv6 UDP response", ipv6(srv6, res6, 17, ports(53, 4000)), true, true},
	{"IPv6 TCP query", ipv6(res6, srv6, 6, ports(4000, 53)), true, true},
	{"IPv6 TCP response", ipv6(srv6, res6, 6, ports(53, 4000)), true, true},
	{"IPv6 client's query", ipv6(far6, res6, 17, ports(4000, 53)), false, false},
	{"IPv6 of no resolver", ipv6(far6, srv6, 17, ports(4000, 53)), false, false},
	{"IPv6 another port", ipv6(res6, srv6, 17, ports(4000, 443)), false, false},
	{"ICMPv6", ipv6(srv6, res6, 58, ports(53, 53)), false, false},
	{"IPv6 fragment", ipv6(srv6, res6, 44, []byte("anything")), true, true},
	{"IPv6 fragment of others", ipv6(far6, srv6, 44, []byte("anything")), false, true},
	{"IPv6 destination options", ipv6(srv6, res6, 60, []byte("anything")), true, true},
	{"IPv6 hop-by-hop options", ipv6(srv6, res6, 0, []byte("anything")), true, true},
	{"IPv6 options of others", ipv6(far6, srv6, 60, []byte("anything")), false, true},
	{"IPv6 hop-by-hop options of others", ipv6(far6, srv6, 0, []byte("anything")), false, true},
	{"IPv6 multicast listener report", ipv6(far6, srv6, 0, []byte("\x3a\x00\x05\x02\x00\x00\x01\x00\x8f")), false, false},
	{"IPv6 authentication of others", ipv6(far6, srv6, 51, []byte("anything")), false, true},
	{"IPv6 GRE", ipv6(far6, srv6, 47, []byte("anything")), false, true},
	{"IPv6 VXLAN", ipv6(far6, srv6, 17, ports(4000, 4789)), false, true},
	{"IPv6 VXLAN at Linux's port", ipv6(far6, srv6, 17, ports(4000, 8472)), false, true},
	{"IPv6 GENEVE", ipv6(far6, srv6, 17, ports(4000, 6081)), false, true},
	{"IPv6 L2TP", ipv6(far6, srv6, 17, ports(1701, 1701)), false, true},
	{"IPv6 L2TPv3", ipv6(far6, srv6, 115, []byte("anything")), false, true},
	{"IPv4 in IPv6", ipv6(far6, srv6, 4, []byte("anything")), false, true},
	{"IPv6 in IPv6", ipv6(far6, srv6, 41, []byte("anything")), false, true},

	{"cut in the ports", ipv4(res4, srv4, 17, 0, 0, []byte{0, 53, 0}), false, false},
	{"cut in the addresses", ipv4(res4, srv4, 17, 0, 0, nil)[:18], false, false},
	{"cut in the IPv6 addresses", ipv6(res6, srv6, 17, nil)[:30], false, false},
	{"nothing", nil, false, false},
}

func TestFilterPassesOutwardDNSOnly(t *testing.T) {
	f := Filter{Resolvers: prefixes("192.0.2.0/24", "2001:db8::53/128"), VXLANPorts: []uint16{4789, 8472}}
	plain := mustProgram(t, f)
	f.Decapsulate = true
	decapsulating := mustProgram(t, f)
	for _, c := range filterCases {
		for how, in := range presentations(c.packet) {
			t.Run(c.name+how, func(t *testing.T) {
				if got := execute(t, plain, in.metadata, in.data) > 0; got != c.plain {
					t.Errorf("passes: got %t, want %t", got, c.plain)
				}
				if got := execute(t, decapsulating, in.metadata, in.data) > 0; got != c.decapsulating {
					t.Errorf("passes with decapsulate: got %t, want %t", got, c.decapsulating)
				}
			})
		}
	}
}

type presented struct {
	metadata
	data []byte
}

// presentations returns the forms in which the kernel presents a packet to a filter.
func presentations(packet []byte) map[string]presented {
	const ethernet = 1
	if len(packet) == 0 {
		return map[string]presented{"": {metadata{protocol: IPv4, device: ethernet}, packet}}
	}
	protocol := uint32(IPv4)
	if packet[0]>>4 == 6 {
		protocol = IPv6
	}
	return map[string]presented{
		"":                       {metadata{protocol: protocol, device: ethernet}, packet},
		", tagged":               {metadata{protocol: VLAN, device: ethernet}, tagged(packet)},
		", tagged 802.1ad":       {metadata{protocol: QinQ, device: ethernet}, tagged(packet)},
		", old tag":              {metadata{protocol: OldQinQ, device: ethernet}, tagged(packet)},
		", two tags":             {metadata{protocol: OldQinQ, device: ethernet}, tagged(packet, VLAN)},
		", four tags":            {metadata{protocol: QinQ, device: ethernet}, tagged(packet, OldQinQ, QinQ, VLAN)},
		", outgoing after a tag": {metadata{protocol: VLAN, device: ethernet, kind: 4}, packet},

		", MPLS":                {metadata{protocol: mpls, device: ethernet}, labelled(packet, 1)},
		", eight labels":        {metadata{protocol: mpls, device: ethernet}, labelled(packet, maxLabels)},
		", MPLS after two tags": {metadata{protocol: QinQ, device: ethernet}, slices.Concat([]byte{0, 1, 0x81, 0, 0, 2, 0x88, 0x47}, labelled(packet, 2))},
		", PPPoE":               {metadata{protocol: pppoe, device: ethernet}, inSession(packet)},
		", PPPoE after a tag":   {metadata{protocol: VLAN, device: ethernet}, slices.Concat([]byte{0, 1, 0x88, 0x64}, inSession(packet))},
	}
}

// labelled returns a packet after n MPLS labels.
func labelled(packet []byte, n int) []byte {
	var stack []byte
	for i := range n {
		label := []byte{0, 3, 0xe8, 64}
		if i == n-1 {
			label[2] |= 1
		}
		stack = append(stack, label...)
	}
	return append(stack, packet...)
}

// inSession returns a packet after the headers of PPPoE and PPP.
func inSession(packet []byte) []byte {
	header := []byte{0x11, 0, 0, 1, 0, byte(len(packet) + 2), 0, 0x21}
	if packet[0]>>4 == 6 {
		header[7] = 0x57
	}
	return append(header, packet...)
}

// TestFilterReadsNothingButIPInMPLSAndPPPoE has packets to port 53 after other headers.
func TestFilterReadsNothingButIPInMPLSAndPPPoE(t *testing.T) {
	program := mustProgram(t, Filter{Resolvers: prefixes("0.0.0.0/0", "::/0")})
	query := ipv4(res4, srv4, 17, 0, 0, ports(4000, 53))
	for _, c := range []struct {
		name     string
		protocol uint32
		data     []byte
		want     bool
	}{
		{"MPLS", mpls, labelled(query, 3), true},
		{"too many labels", mpls, labelled(query, maxLabels+1), false},
		{"no last label", mpls, make([]byte, 400), false},
		{"labels cut", mpls, labelled(query, 3)[:6], false},
		{"a pseudowire", mpls, labelled(append(make([]byte, 18), query...), 1), false},
		{"PPPoE", pppoe, inSession(query), true},
		{"another protocol in PPPoE", pppoe, append([]byte{0x11, 0, 0, 1, 0, 60, 0xc0, 0x21}, query...), false},
		{"PPPoE cut", pppoe, inSession(query)[:7], false},
	} {
		if got := execute(t, program, metadata{protocol: c.protocol, device: 1}, c.data) > 0; got != c.want {
			t.Errorf("%s: passes %t, want %t", c.name, got, c.want)
		}
	}
}

func TestFilterTakesLoopbackOnce(t *testing.T) {
	program := mustProgram(t, Filter{Resolvers: prefixes("192.0.2.0/24")})
	query := ipv4(res4, srv4, 17, 0, 0, ports(4000, 53))
	for _, c := range []struct {
		device, kind uint32
		want         bool
	}{{772, 0, true}, {772, 4, false}, {1, 4, true}, {1, 0, true}} {
		if got := execute(t, program, metadata{IPv4, c.device, c.kind}, query) > 0; got != c.want {
			t.Errorf("device type %d, packet type %d: passes %t, want %t", c.device, c.kind, got, c.want)
		}
	}
}

func TestFilterPassesNoOtherProtocol(t *testing.T) {
	program := mustProgram(t, Filter{Resolvers: prefixes("0.0.0.0/0", "::/0"), Decapsulate: true})
	query := ipv4(res4, srv4, 17, 0, 0, ports(4000, 53))
	for _, protocol := range []uint32{0x0806, 0x8847, 0} {
		if execute(t, program, metadata{protocol: protocol, device: 1}, query) > 0 {
			t.Errorf("protocol %#x passes", protocol)
		}
	}
}

// TestFilterFindsPrefixesOfEveryLength: prefixes of every length are compared with
// netip.Prefix.Contains.
func TestFilterFindsPrefixesOfEveryLength(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for bits := 0; bits <= 128; bits++ {
		for range 8 {
			var a, b [16]byte
			for i := range a {
				a[i] = byte(r.Uint32())
			}
			b = a
			flip := r.IntN(128) // in or out
			b[flip/8] ^= 0x80 >> (flip % 8)
			p6 := netip.PrefixFrom(netip.AddrFrom16(a), bits)
			p4 := netip.PrefixFrom(netip.AddrFrom4([4]byte(a[:4])), min(bits, 32))
			src6, src4 := netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[:4]))
			program := mustProgram(t, Filter{Resolvers: []netip.Prefix{p4, p6}})
			got6 := execute(t, program, metadata{protocol: IPv6}, ipv6(src6.String(), srv6, 44, nil)) > 0
			if want := p6.Contains(src6); got6 != want {
				t.Errorf("%s in %s: got %t, want %t", src6, p6, got6, want)
			}
			got4 := execute(t, program, metadata{protocol: IPv4}, ipv4(src4.String(), srv4, 17, 1, 0, nil)) > 0
			if want := p4.Contains(src4) || p4.Contains(addr(srv4)); got4 != want {
				t.Errorf("%s in %s: got %t, want %t", src4, p4, got4, want)
			}
			if got6 {
				hits++
			}
		}
	}
	if hits < 100 || hits > 129*8-100 {
		t.Errorf("%d hits: the test proves nothing", hits)
	}
}

// TestFilterOfManyPrefixes: jumps over long lists exceed the reach of a conditional one. Each
// of many prefixes must be found, including the first and the last.
func TestFilterOfManyPrefixes(t *testing.T) {
	var all []netip.Prefix
	for i := range 200 {
		all = append(all, netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x:%x::%x/128", i*257, i, i+1)))
	}
	program := mustProgram(t, Filter{Resolvers: all, Decapsulate: true})
	t.Logf("200 addresses of IPv6: %d instructions", len(program))
	for _, p := range all {
		query := ipv6(p.Addr().String(), far6, 17, ports(4000, 53))
		if execute(t, program, metadata{protocol: IPv6}, query) == 0 {
			t.Errorf("a query of %s does not pass", p)
		}
		if execute(t, program, metadata{protocol: IPv6}, ipv6(far6, p.Addr().String(), 17, ports(53, 4000))) == 0 {
			t.Errorf("a response to %s does not pass", p)
		}
		if execute(t, program, metadata{protocol: IPv6}, ipv6(p.Addr().Next().String(), far6, 17, ports(4000, 53))) > 0 {
			t.Errorf("a query of the address after %s passes", p)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	var many []netip.Prefix
	for i := range 300 {
		many = append(many, netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::%x/127", i, 2*i)))
	}
	for _, c := range []struct {
		resolvers []netip.Prefix
		want      string
	}{
		{nil, "no resolvers"},
		{[]netip.Prefix{{}}, "not valid"},
		{many, "300 prefixes of resolvers make a filter of more than 4096 instructions"},
	} {
		_, err := Filter{Resolvers: c.resolvers}.program()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d resolvers: got error %v, want one with %q", len(c.resolvers), err, c.want)
		}
	}
}

// TestFilterUnmapsAndDeduplicatesPrefixes: IPv4-mapped prefixes match IPv4 packets, and
// duplicates add no instructions.
func TestFilterUnmapsAndDeduplicatesPrefixes(t *testing.T) {
	once := mustProgram(t, Filter{Resolvers: prefixes("192.0.2.0/24")})
	program := mustProgram(t, Filter{Resolvers: prefixes("192.0.2.7/24", "192.0.2.0/24", "::ffff:192.0.2.0/120")})
	if len(program) != len(once) {
		t.Errorf("%d instructions, want %d", len(program), len(once))
	}
	if execute(t, program, metadata{protocol: IPv4}, ipv4(res4, srv4, 17, 0, 0, ports(4000, 53))) == 0 {
		t.Error("a query does not pass")
	}
}

func mustProgram(t testing.TB, f Filter) []bpf.Instruction {
	t.Helper()
	program, err := f.program()
	if err != nil {
		t.Fatal(err)
	}
	return program
}
