package integration

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// A sample is a packet and whether the filter of defaults accepts it.
type sample struct {
	name   string
	packet []byte
	passes bool
}

func samples() (all []sample) {
	add := func(passes bool, name string, packet []byte) { all = append(all, sample{name, packet, passes}) }
	for family, a := range map[string]struct{ resolver, server, other netip.Addr }{
		"4": {resolver4, server4, other4}, "6": {resolver6, server6, other6},
	} {
		for transport, proto := range map[string]byte{"udp": udp, "tcp": tcp} {
			for _, way := range []struct {
				name     string
				src, dst netip.Addr
				from, to uint16
				passes   bool
			}{
				{"query", a.resolver, a.server, 4000, dnsPort, true},
				{"response", a.server, a.resolver, dnsPort, 4000, true},
				{"client's query", a.other, a.resolver, 4000, dnsPort, false},
				{"client's response", a.resolver, a.other, dnsPort, 4000, false},
				{"foreign", a.other, a.server, 4000, dnsPort, false},
				{"https", a.resolver, a.server, 4000, 443, false},
			} {
				name := way.name + " " + transport + family
				add(way.passes, name, datagram(way.src, way.dst, proto, way.from, way.to, name))
			}
		}
		add(true, "later fragment"+family, laterFragment(a.server, a.resolver, "later fragment"+family))
		add(false, "foreign fragment"+family, laterFragment(a.server, a.other, "foreign fragment"+family))
	}
	add(true, "options", packet4(resolver4, server4, udp, 0, 3, ports(4000, dnsPort, "options")))
	add(true, "first fragment", packet4(server4, resolver4, udp, 0x2000, 0, ports(dnsPort, 4000, "first fragment")))
	add(true, "destination options", packet6(resolver6, server6, options6,
		append([]byte{udp, 0, 1, 4, 0, 0, 0, 0}, ports(4000, dnsPort, "destination options")...)))
	add(false, "ICMP", packet4(server4, resolver4, icmp, 0, 0, ports(3<<8, 0, "ICMP")))
	return all
}

// TestRingFilterInTheKernel checks the filter on packets as the kernel presents them, also
// with VLAN tags, of which the kernel removes the outer one.
func TestRingFilterInTheKernel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tags      []uint16
		protocol  uint16 // 0: that of IPv4 or IPv6
		remaining int    // bytes of tags that the kernel leaves in the packet
	}{
		"no tag":            {nil, 0, 0},
		"802.1Q":            {[]uint16{0x8100, 7}, 0, 0},
		"802.1Q, priority":  {[]uint16{0x8100, 0x4007}, 0, 0},
		"802.1ad":           {[]uint16{0x88a8, 7}, 0, 0},
		"QinQ":              {[]uint16{0x88a8, 7, 0x8100, 9}, ring.VLAN, 4},
		"QinQ of 802.1Q":    {[]uint16{0x8100, 7, 0x8100, 9}, ring.VLAN, 4},
		"QinQ, priority v4": {[]uint16{0x88a8, 7, 0x8100, 0x4509}, ring.VLAN, 4},
		"QinQ, priority v6": {[]uint16{0x88a8, 7, 0x8100, 0x6009}, ring.VLAN, 4},
		"old QinQ":          {[]uint16{0x9100, 7}, ring.OldQinQ, 4},
		"old QinQ, inner":   {[]uint16{0x8100, 7, 0x9100, 9}, ring.OldQinQ, 4},
		"old QinQ, outer":   {[]uint16{0x9100, 7, 0x8100, 9}, ring.OldQinQ, 8},
		"three":             {[]uint16{0x88a8, 7, 0x88a8, 8, 0x8100, 9}, ring.VLAN, 8},
		"four, old QinQ":    {[]uint16{0x9100, 7, 0x9100, 8, 0x9100, 9, 0x8100, 10}, ring.OldQinQ, 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t)
			sender := makePair(t, n, "tap0")
			capture := startRing(t, n, defaults("tap0"))
			var want []string
			packets := map[string][]byte{}
			for _, s := range samples() {
				sender.send(t, s.packet, c.tags...)
				packets[s.name] = s.packet
				if s.passes {
					want = append(want, s.name)
				}
			}
			capture.endWith(t, want)
			for _, p := range capture.seen[0] {
				protocol := c.protocol
				if protocol == 0 {
					protocol = map[byte]uint16{4: ring.IPv4, 6: ring.IPv6}[p.data[0]>>4]
				}
				if p.protocol != protocol || p.length != len(p.data) {
					t.Errorf("%s: protocol %#x, length %d of %d; want %#x", p.name(), p.protocol, p.length, len(p.data), protocol)
				}
				if got := p.data[c.remaining:]; !slices.Equal(got, packets[p.name()]) {
					t.Errorf("%s: got %x, want %x", p.name(), got, packets[p.name()])
				}
			}
		})
	}
}

func TestRingFilterOfTunnels(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	sender := makePair(t, n, "tap0")
	cfg := defaults("tap0")
	cfg.Filter.Decapsulate, cfg.Filter.VXLANPorts = true, []uint16{vxlan}
	capture := startRing(t, n, cfg)
	var want []string
	send := func(passes bool, name string, packet []byte) {
		sender.send(t, packet, 0x88a8, 7, 0x8100, 9)
		if passes {
			want = append(want, name)
		}
	}
	send(true, "GRE", packet4(other4, server4, gre, 0, 0, []byte("\x00GRE")))
	send(true, "GRE over IPv6", packet6(other6, server6, gre, []byte("\x00GRE over IPv6")))
	send(true, "after options", packet6(other6, server6, options6, []byte("\x00after options")))
	send(true, "VXLAN after options", packet6(other6, server6, hopByHop,
		append([]byte{udp, 0, 1, 4, 0, 0, 0, 0}, ports(4000, vxlan, "VXLAN after options")...)))
	send(true, "VXLAN", packet4(other4, server4, udp, 0, 5, ports(4000, vxlan, "VXLAN")))
	send(true, "VXLAN over IPv6", datagram(other6, server6, udp, 4000, vxlan, "VXLAN over IPv6"))
	send(true, "IPv6 in IPv4", packet4(other4, server4, 41, 0, 0, []byte("\x00IPv6 in IPv4")))
	send(true, "IPv4 in IPv6", packet6(other6, server6, 4, []byte("\x00IPv4 in IPv6")))
	send(true, "GENEVE", packet4(other4, server4, udp, 0, 0, ports(4000, 6081, "GENEVE")))
	send(true, "L2TP", packet4(other4, server4, udp, 0, 0, ports(1701, 1701, "L2TP")))
	send(true, "fragment", laterFragment(other4, server4, "fragment"))
	send(true, "query", datagram(resolver4, server4, udp, 4000, dnsPort, "query"))
	send(false, "foreign", datagram(other4, server4, udp, 4000, dnsPort, "foreign"))
	capture.endWith(t, want)
}

// TestRingFilterOfOutgoingTags checks outgoing packets, as a sensor on the resolver's host
// sees them: the kernel presents their tags in the packet.
func TestRingFilterOfOutgoingTags(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	makePair(t, n, "tap0")
	sender := newSender(t, n, "tap0")
	capture := startRing(t, n, defaults("tap0"))
	var want []string
	for _, tags := range [][]uint16{nil, {0x8100, 7}, {0x88a8, 7, 0x8100, 9}} {
		for _, s := range samples() {
			sender.send(t, s.packet, tags...)
			if s.passes {
				want = append(want, s.name)
			}
		}
	}
	for _, s := range samples() { // the kernel does not treat 0x9100 as a tag
		sender.send(t, s.packet, 0x9100, 7, 0x8100, 9)
		if s.passes {
			want = append(want, s.name)
		}
	}
	capture.endWith(t, want)
	for _, p := range capture.seen[0] {
		if want := map[byte]uint16{0: ring.OldQinQ, 4: ring.IPv4, 6: ring.IPv6}[p.data[0]>>4]; p.protocol != want {
			t.Errorf("%s: protocol %#x of %x", p.name(), p.protocol, p.data)
		}
	}
}
