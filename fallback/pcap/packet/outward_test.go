package packet

import (
	"net/netip"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestRolesByAddressAndPort(t *testing.T) {
	q, a := questionWire(t, 1), answerWire(t, 1)
	port := netip.AddrPortFrom
	other6 := netip.MustParseAddr("2001:db8:53::99") // another address in the resolvers' prefix
	for _, c := range []struct {
		name string
		flow flow
		wire []byte
		want transform.Role
	}{
		{"query", asking(resolver4, server4), q, transform.ResolverQuery},
		{"response", asking(resolver4, server4).back(), a, transform.ResolverResponse},
		{"query over IPv6", asking(resolver6, server6), q, transform.ResolverQuery},
		{"response over IPv6", asking(resolver6, server6).back(), a, transform.ResolverResponse},
		{"from another address of the prefix", asking(other6, server6), q, transform.ResolverQuery},
		{"a client's query", asking(client4, resolver4), q, transform.NotOutward},
		{"the response to it", asking(client4, resolver4).back(), a, transform.NotOutward},
		{"a client's query to somebody else", asking(client4, server4), q, transform.NotOutward},
		{"between resolvers", asking(resolver6, other6), q, transform.NotOutward},
		{"from port 53 to port 53", flow{port(resolver4, 53), port(server4, 53)}, q, transform.ResolverQuery},
		{"and back", flow{port(server4, 53), port(resolver4, 53)}, a, transform.ResolverResponse},
		{"a client's query from port 53", flow{port(client4, 53), port(resolver4, 53)}, q, transform.NotOutward},
		{"the response to that", flow{port(resolver4, 53), port(client4, 53)}, a, transform.NotOutward},
		{"a response that is a query", asking(resolver4, server4).back(), q, transform.ResolverResponse}, // transform knows it for malformed
	} {
		t.Run(c.name, func(t *testing.T) {
			got := dissect(New(testConfig), udpPacket(t, c.flow, c.wire))
			switch {
			case c.want == transform.NotOutward:
				if len(got.Messages) != 0 || len(got.Dropped) != 1 || got.Dropped[0] != transform.Inward {
					t.Errorf("messages %+v, dropped %v; want not_outward", got.Messages, got.Dropped)
				}
			case c.want == transform.ResolverQuery:
				check(t, got, query(c.flow, transform.UDP, c.wire))
			default:
				check(t, got, answer(c.flow, transform.UDP, c.wire))
			}
		})
	}
}

func TestOtherPortsAreNobodysMessages(t *testing.T) {
	for _, port := range []uint16{5353, 5355, 853, 443, 123} { // mDNS and LLMNR among them
		f := flow{netip.AddrPortFrom(resolver4, port), netip.AddrPortFrom(server4, port)}
		d := New(testConfig)
		got := dissect(d, udpPacket(t, f, questionWire(t, 1)))
		check(t, got)
		if d.Stats().Other != 1 {
			t.Errorf("port %d: other %d, want 1", port, d.Stats().Other)
		}
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
		s := newAddresses(set)
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
			if got := s.has(a); got != want {
				t.Errorf("%v has %v: %v, want %v", set, a, got, want)
			}
		}
	}
}
