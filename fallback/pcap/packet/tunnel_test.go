package packet

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// mirror and mirror6 are the outer flows of tunnels that decapsulatingConfig opens.
var (
	mirror  = outer("10.9.9.1", "10.9.9.2")
	mirror6 = outer("fd00:9::1", "fd00:9::2")
)

func outer(src, dst string) flow {
	return flow{
		netip.AddrPortFrom(netip.MustParseAddr(src), 40000),
		netip.AddrPortFrom(netip.MustParseAddr(dst), portVXLAN),
	}
}

// inGRE returns an IP packet with a GRE header, in hex, followed by inner.
func inGRE(t testing.TB, header string, inner []byte) []byte {
	t.Helper()
	return greBetween(t, mirror, header, inner)
}

func greBetween(t testing.TB, f flow, header string, inner []byte) []byte {
	t.Helper()
	return bytesOf(t, f.ip(layers.IPProtocolGRE), gopacket.Payload(append(fromHex(t, header), inner...)))
}

func inVXLAN(t testing.TB, inner []byte) []byte {
	t.Helper()
	return vxlanBetween(t, mirror, inner)
}

func vxlanBetween(t testing.TB, f flow, inner []byte) []byte {
	t.Helper()
	return udpPacket(t, f, append(fromHex(t, "08000000 00002a00"), inner...))
}

func inGENEVE(t testing.TB, header string, inner []byte) []byte {
	t.Helper()
	return udpPacket(t, toPort(mirror, portGENEVE), append(fromHex(t, header), inner...))
}

// toPort returns the flow with another destination port.
func toPort(f flow, port uint16) flow {
	f.dst = netip.AddrPortFrom(f.dst.Addr(), port)
	return f
}

// ipProtocolOf returns the protocol number of a flow's packets in IP.
func ipProtocolOf(f flow) layers.IPProtocol {
	if f.src.Addr().Is6() {
		return layers.IPProtocolIPv6
	}
	return layers.IPProtocolIPv4
}

func decapsulatingConfig() Config {
	c := testConfig
	c.Decapsulate = true
	for _, f := range []flow{mirror, mirror6} {
		c.TunnelsFrom = append(c.TunnelsFrom, netip.PrefixFrom(f.src.Addr(), f.src.Addr().BitLen()))
		c.TunnelsTo = append(c.TunnelsTo, netip.PrefixFrom(f.dst.Addr(), f.dst.Addr().BitLen()))
	}
	return c
}

func TestMirroredTrafficIsUnwrapped(t *testing.T) {
	for _, f := range []flow{queryFlow(resolver4, server4), queryFlow(resolver6, server6)} {
		wire := questionWire(t, 1)
		frame := udpFrame(t, f, wire)
		ip, etherType := frame[ethernetLen:], "0800"
		if f.src.Addr().Is6() {
			etherType = "86dd"
		}
		for _, c := range []struct {
			name string
			b    []byte
		}{
			{"GRE", inGRE(t, "0000"+etherType, ip)},
			{"GRE with checksum, key and sequence number", inGRE(t, "b000"+etherType+"12340000 00000007 00000001", ip)},
			{"GRE with a key", inGRE(t, "2000"+etherType+"00000007", ip)},
			{"GRE with a frame", inGRE(t, "00006558", frame)},
			{"ERSPAN I", inGRE(t, "000088be", frame)},
			{"ERSPAN II", inGRE(t, "100088be 00000001"+"1064 0001 00000000", frame)},
			{"ERSPAN III", inGRE(t, "100022eb 00000001"+"2064 0001 00000000 00000000", frame)},
			{"ERSPAN III with a subheader", inGRE(t, "100022eb 00000001"+"2064 0001 00000000 00000001"+"0000000000000000", frame)},
			{"VXLAN", inVXLAN(t, frame)},
			{"VXLAN at Linux's port", udpPacket(t, toPort(mirror, portLinuxVXLAN), append(fromHex(t, "08000000 00002a00"), frame...))},
			{"GENEVE", inGENEVE(t, "00006558 00000700", frame)},
			{"GENEVE with options", inGENEVE(t, "03006558 00000700"+"010203ff 61626364 00000000", frame)},
			{"GENEVE with critical options", inGENEVE(t, "01406558 00000700"+"01028000", frame)},
			{"GENEVE with IP", inGENEVE(t, "0000"+etherType+"00000700", ip)},
			{"IP in IPv4", bytesOf(t, mirror.ip(ipProtocolOf(f)), gopacket.Payload(ip))},
			{"IP in IPv6", bytesOf(t, mirror6.ip(ipProtocolOf(f)), gopacket.Payload(ip))},
			{"IP in IP in VXLAN", inVXLAN(t, append(ethernetHeader(mirror), bytesOf(t, mirror.ip(ipProtocolOf(f)), gopacket.Payload(ip))...))},
			{"ERSPAN in VXLAN", inVXLAN(t, append(fromHex(t, "020000000002 020000000001 0800"), inGRE(t, "000088be", frame)...))},
		} {
			d := New(decapsulatingConfig())
			check(t, dissect(d, c.b), query(f, transform.UDP, wire))
			if d.Stats().Tunnelled == 0 {
				t.Errorf("%s: not counted", c.name)
			}
			fragmented := dissect(New(decapsulatingConfig()), fragmentsOf(c.b, 7, 64)...)
			check(t, fragmented, query(f, transform.UDP, wire))
			if t.Failed() {
				t.Fatalf("%v, %s", f.src, c.name)
			}
			plain := New(testConfig)
			got := dissect(plain, c.b)
			unread := uint64(0)
			for _, n := range plain.Stats().Unread {
				unread += n
			}
			if len(got.Messages) != 0 || unread != 1 {
				t.Errorf("%s, without decapsulation: messages %d, unread %d", c.name, len(got.Messages), unread)
			}
		}
	}
}

func TestFragmentsInATunnelAreFound(t *testing.T) {
	f, wire := queryFlow(resolver4, server4).back(), bigAnswer(t, 3000)
	var wrapped [][]byte
	for _, piece := range fragmentsOf(udpPacket(t, f, wire), 7, 1400) {
		wrapped = append(wrapped, fragmentsOf(inGRE(t, "00000800", piece), uint32(len(wrapped)), 1000)...) // and fragments of that
	}
	check(t, dissect(New(decapsulatingConfig()), wrapped...), answer(f, transform.UDP, wire))
}

func TestNestingOfTunnelsIsBounded(t *testing.T) {
	f, wire := queryFlow(resolver4, server4), questionWire(t, 1)
	b := udpPacket(t, f, wire)
	for depth := 1; depth <= 20; depth++ {
		b = inGRE(t, "00000800", b)
		d := New(decapsulatingConfig())
		got := dissect(d, b)
		if depth <= maxDepth {
			check(t, got, query(f, transform.UDP, wire))
		} else if len(got.Messages) != 0 || !cmp.Equal(got.Dropped, []transform.Reason{transform.Malformed}) || d.Stats().TooDeep != 1 {
			t.Errorf("%d deep: messages %d, dropped %v, %+v", depth, len(got.Messages), got.Dropped, d.Stats())
		}
	}
}

// tunnels returns a packet in each kind of tunnel between two addresses.
func tunnels(t testing.TB, f flow, frame []byte) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"GRE":        greBetween(t, f, "00000800", frame[ethernetLen:]),
		"ERSPAN I":   greBetween(t, f, "000088be", frame),
		"ERSPAN II":  greBetween(t, f, "100088be 00000001"+"1064 0001 00000000", frame),
		"ERSPAN III": greBetween(t, f, "100022eb 00000001"+"2064 0001 00000000 00000000", frame),
		"VXLAN":      vxlanBetween(t, f, frame),
		"GENEVE":     udpPacket(t, toPort(f, portGENEVE), append(fromHex(t, "00006558 00000700"), frame...)),
		"IP in IP":   bytesOf(t, f.ip(layers.IPProtocolIPv4), gopacket.Payload(frame[ethernetLen:])),
	}
}

func TestTunnelsAreOpenedByTheirAddresses(t *testing.T) {
	inner := queryFlow(resolver4, server4)
	wire := questionWire(t, 1)
	frame := udpFrame(t, inner, wire)
	open, nowhere, wide := decapsulatingConfig(), decapsulatingConfig(), decapsulatingConfig()
	nowhere.TunnelsTo = nil
	wide.TunnelsFrom = []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}
	wide.TunnelsTo = []netip.Prefix{netip.MustParsePrefix("fd00:9::/64"), netip.MustParsePrefix("10.9.9.0/24")}
	for _, c := range []struct {
		name   string
		config Config
		outer  flow
		opens  bool
	}{
		{"as configured", open, mirror, true},
		{"as configured, IPv6", open, mirror6, true},
		{"another source", open, outer("10.9.9.3", "10.9.9.2"), false},
		{"another source, IPv6", open, outer("fd00:9::3", "fd00:9::2"), false},
		{"another destination", open, outer("10.9.9.1", "10.9.9.3"), false},
		{"another destination, IPv6", open, outer("fd00:9::1", "fd00:9::3"), false},
		{"the other way", open, outer("10.9.9.2", "10.9.9.1"), false},
		{"the source, mapped into IPv6", open, outer("::ffff:10.9.9.1", "fd00:9::2"), false},
		{"no destination configured", nowhere, mirror, false},
		{"in the prefixes", wide, mirror, true},
		{"outside the prefixes", wide, outer("10.8.9.1", "10.9.9.2"), false},
		{"in the prefixes, but for the source", wide, mirror6, false},
	} {
		for kind, b := range tunnels(t, c.outer, frame) {
			for pieces, packets := range map[string][][]byte{"whole": {b}, "in fragments": fragmentsOf(b, 7, 64)} {
				d := New(c.config)
				got := dissect(d, packets...)
				want, refused := []transform.Message(nil), uint64(0)
				if c.opens {
					want = []transform.Message{query(inner, transform.UDP, wire)}
				} else if len(packets) == 1 {
					refused = 1 // fragments are not reassembled
				}
				check(t, got, want...)
				if s := d.Stats(); s.TunnelsRefused != refused || (s.Tunnelled == 1) != c.opens || s.Fragments.Assembled > 0 != (c.opens && len(packets) > 1) {
					t.Errorf("refused %d, want %d; %+v", s.TunnelsRefused, refused, s)
				}
				if t.Failed() {
					t.Fatalf("%s, %s, %s", c.name, kind, pieces)
				}
			}
		}
	}
}

func TestEveryTunnelAroundAPacketMustBeOpened(t *testing.T) {
	inner := queryFlow(resolver4, server4)
	wire := questionWire(t, 1)
	frame := udpFrame(t, inner, wire)
	foreign := outer("198.51.100.66", "10.9.9.2")
	link := ethernetHeader(mirror)
	for _, c := range []struct {
		name            string
		outside, inside flow
		opens           bool
		tunnelled       uint64
	}{
		{"both as configured", mirror, mirror, true, 2},
		{"the inner from elsewhere", mirror, foreign, false, 1},
		{"the outer from elsewhere", foreign, mirror, false, 0},
	} {
		for kind, b := range tunnels(t, c.inside, frame) {
			d := New(decapsulatingConfig())
			got := dissect(d, vxlanBetween(t, c.outside, append(bytes.Clone(link), b...)))
			var want []transform.Message
			if c.opens {
				want = append(want, query(inner, transform.UDP, wire))
			}
			check(t, got, want...)
			if s := d.Stats(); s.Tunnelled != c.tunnelled || (s.TunnelsRefused == 1) == c.opens {
				t.Errorf("%s, %s in VXLAN: %d tunnelled, want %d; %d refused", c.name, kind, s.Tunnelled, c.tunnelled, s.TunnelsRefused)
			}
		}
	}
}

func TestTunnelsDoNotAlloc(t *testing.T) {
	frame := udpFrame(t, queryFlow(resolver4, server4), questionWire(t, 1))
	d := New(decapsulatingConfig())
	var sink countingSink
	for _, f := range []flow{mirror, mirror6, outer("198.51.100.66", "10.9.9.2")} {
		for kind, b := range tunnels(t, f, frame) {
			if n := testing.AllocsPerRun(100, func() {
				d.Frame(raw, &CapturedPacket{Data: b, Length: len(b), Time: at}, &sink)
			}); n != 0 {
				t.Errorf("%s from %v: %v allocations", kind, f.src, n)
			}
		}
	}
	if s := d.Stats(); s.TunnelsRefused != 7*101 || sink.taken != 14*101 { // AllocsPerRun warms up
		t.Errorf("%d tunnels refused, %d messages", s.TunnelsRefused, sink.taken)
	}
}

// TestAResponseToAClientAtTheTunnelsPortIsNoTunnel: a client may query from any port.
func TestAResponseToAClientAtTheTunnelsPortIsNoTunnel(t *testing.T) {
	f := flow{netip.AddrPortFrom(resolver4, portDNS), netip.AddrPortFrom(client4, portVXLAN)}
	d := New(decapsulatingConfig())
	got := dissect(d, udpPacket(t, f, answerWire(t, 0x0800)))
	if len(got.Messages) != 0 || !cmp.Equal(got.Dropped, []transform.Reason{transform.NotOutward}) || d.Stats().TunnelsRefused != 0 {
		t.Errorf("messages %d, dropped %v, %+v; want one inward", len(got.Messages), got.Dropped, d.Stats())
	}
}

func TestInvalidTunnelsAreMalformed(t *testing.T) {
	frame := udpFrame(t, queryFlow(resolver4, server4), questionWire(t, 1))
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"GRE cut", inGRE(t, "0000", nil)},
		{"GRE options cut", inGRE(t, "b0000800 0000", nil)},
		{"GRE with nothing in it", inGRE(t, "00000800", nil)},
		{"ERSPAN II cut", inGRE(t, "100088be 00000001 1064", nil)},
		{"ERSPAN III cut", inGRE(t, "100022eb 00000001 2064 0001 00000000 0000", nil)},
		{"ERSPAN III's subheader cut", inGRE(t, "100022eb 00000001 2064 0001 00000000 00000001 0000", nil)},
		{"a frame cut", inGRE(t, "00006558", frame[:10])},
		{"GENEVE cut", inGENEVE(t, "00006558 0000", nil)},
		{"GENEVE's options cut", inGENEVE(t, "02006558 00000700"+"010203ff", nil)},
		{"GENEVE of another version", inGENEVE(t, "40006558 00000700", frame)},
		{"IP in IP cut", bytesOf(t, mirror.ip(layers.IPProtocolIPv4), gopacket.Payload(frame[ethernetLen:ethernetLen+10]))},
		{"IPv6 in IP that is IPv4", bytesOf(t, mirror.ip(layers.IPProtocolIPv6), gopacket.Payload(frame[ethernetLen:]))},
		{"VXLAN cut", udpPacket(t, mirror, []byte{8, 0, 0})},
		{"VXLAN without its flag", udpPacket(t, mirror, bytes.Repeat([]byte{0}, 64))},
	} {
		got := dissect(New(decapsulatingConfig()), c.b)
		if len(got.Messages) != 0 || !cmp.Equal(got.Dropped, []transform.Reason{transform.Malformed}) {
			t.Errorf("%s: messages %d, dropped %v; want one malformed", c.name, len(got.Messages), got.Dropped)
		}
	}
}

// TestAnAnswerToTheTunnelsPortIsNoTunnel: resolvers query from any port.
func TestAnAnswerToTheTunnelsPortIsNoTunnel(t *testing.T) {
	for _, ends := range [][2]netip.Addr{{resolver4, server4}, {resolver6, server6}} {
		f := flow{netip.AddrPortFrom(ends[1], portDNS), netip.AddrPortFrom(ends[0], portVXLAN)}
		wire := answerWire(t, 0x0800) // an ID that looks like the tunnel's flag
		check(t, dissect(New(decapsulatingConfig()), udpPacket(t, f, wire)), answer(f, transform.UDP, wire))
	}
}
