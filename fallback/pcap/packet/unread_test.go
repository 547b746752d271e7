package packet

import (
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// TestUnreadProtocolsAreNamed has a packet in each protocol that may contain DNS. Tunnels are read
// with decapsulation.
func TestUnreadProtocolsAreNamed(t *testing.T) {
	frame := udpFrame(t, queryFlow(resolver4, server4), questionWire(t, 1))
	in := func(proto layers.IPProtocol) []byte {
		return bytesOf(t, mirror.ip(proto), gopacket.Payload(frame[ethernetLen:]))
	}
	overUDP := func(port uint16) []byte { return udpPacket(t, toPort(mirror, port), frame) }
	seen := map[string]bool{"mpls": true, "macsec": true} // of link layers
	for _, c := range []struct {
		name          string
		b             []byte
		plain, opened string
	}{
		{"GRE", inGRE(t, "00000800", frame[ethernetLen:]), "gre", "message"},
		{"PPTP", inGRE(t, "3081880b 00000000 00000000", frame), "gre", "gre"},
		{"IP in IP", in(layers.IPProtocolIPv4), "ip_in_ip", "message"},
		{"IPv6 in IPv6", bytesOf(t, mirror6.ip(layers.IPProtocolIPv6), gopacket.Payload(udpPacket(t, queryFlow(resolver6, server6), questionWire(t, 1)))), "ip_in_ip", "message"},
		{"VXLAN", inVXLAN(t, frame), "vxlan", "message"},
		{"VXLAN at Linux's port", udpPacket(t, toPort(mirror, portLinuxVXLAN), append(fromHex(t, "08000000 00002a00"), frame...)), "vxlan", "message"},
		{"GENEVE", inGENEVE(t, "00006558 00000700", frame), "geneve", "message"},
		{"a control packet of GENEVE", inGENEVE(t, "00806558 00000700", frame), "geneve", "other"},
		{"L2TP", overUDP(1701), "l2tp", "l2tp"},
		{"L2TPv3", in(layers.IPProtocol(115)), "l2tp", "l2tp"},
		{"GTP", overUDP(2152), "gtp", "gtp"},
		{"EtherIP", in(layers.IPProtocolEtherIP), "etherip", "etherip"},
		{"IPsec", in(layers.IPProtocolESP), "esp", "esp"},
		{"OSPF", in(layers.IPProtocolOSPF), "other", "other"},
		{"another port", overUDP(4790), "other", "other"},
	} {
		for _, config := range []struct {
			Config
			want string
		}{{testConfig, c.plain}, {decapsulatingConfig(), c.opened}} {
			d := New(config.Config)
			if got := fate(d, dissect(d, c.b)); got != config.want {
				t.Errorf("%s, decapsulate %v: %s, want %s", c.name, config.Decapsulate, got, config.want)
			}
			seen[config.want] = true
		}
	}
	for _, p := range protocolTable {
		if !seen[p.name] {
			t.Errorf("no packet is counted as %s", p.name)
		}
	}
}
