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
