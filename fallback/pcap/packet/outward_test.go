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
		{"query", queryFlow(resolver4, server4), q, transform.ResolverQuery},
		{"response", queryFlow(resolver4, server4).back(), a, transform.ResolverResponse},
		{"query over IPv6", queryFlow(resolver6, server6), q, transform.ResolverQuery},
		{"response over IPv6", queryFlow(resolver6, server6).back(), a, transform.ResolverResponse},
		{"from another address of the prefix", queryFlow(other6, server6), q, transform.ResolverQuery},
		{"a client's query", queryFlow(client4, resolver4), q, transform.OtherRole},
		{"the response to it", queryFlow(client4, resolver4).back(), a, transform.OtherRole},
		{"a client's query to another server", queryFlow(client4, server4), q, transform.OtherRole},
		{"between resolvers", queryFlow(resolver6, other6), q, transform.OtherRole},
		{"from port 53 to port 53", flow{port(resolver4, 53), port(server4, 53)}, q, transform.ResolverQuery},
		{"and back", flow{port(server4, 53), port(resolver4, 53)}, a, transform.ResolverResponse},
		{"a client's query from port 53", flow{port(client4, 53), port(resolver4, 53)}, q, transform.OtherRole},
		{"the response to that", flow{port(resolver4, 53), port(client4, 53)}, a, transform.OtherRole},
		{"a response that is a query", queryFlow(resolver4, server4).back(), q, transform.ResolverResponse}, // transform drops it as malformed
	} {
		t.Run(c.name, func(t *testing.T) {
			got := dissect(New(testConfig), udpPacket(t, c.flow, c.wire))
			switch {
			case c.want == transform.OtherRole:
				if len(got.Messages) != 0 || len(got.Dropped) != 1 || got.Dropped[0] != transform.NotOutward {
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

func TestOtherPortsAreNotRead(t *testing.T) {
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

// TestManyResolvers: addresses are found whether they are hosts of a resolverSet or in its networks.
func TestManyResolvers(t *testing.T) {
	listed := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/25"), netip.MustParsePrefix("2001:db8:7::/48")}
	for n := range byte(2 * maxHosts) {
		listed = append(listed, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 2 * n}), 32))
	}
	s := newResolverSet(listed)
	if len(s.hosts) != maxHosts {
		t.Errorf("%d hosts", len(s.hosts))
	}
	for n := range byte(4 * maxHosts) {
		if a := netip.AddrFrom4([4]byte{192, 0, 2, n}); s.has(a) != (n%2 == 0) {
			t.Errorf("%v: %v", a, s.has(a))
		}
	}
	for text, want := range map[string]bool{
		"203.0.113.127": true, "203.0.113.128": false, "2001:db8:7:ffff::1": true, "2001:db8:8::": false, "::ffff:192.0.2.2": false,
	} {
		if got := s.has(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
