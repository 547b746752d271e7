package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// FuzzFrame compares the dissector with gopacket: datagrams between a resolver and port 53
// are the same where both read them, and gopacket reads every one that the dissector reads.
func FuzzFrame(f *testing.F) {
	for _, flow := range []flow{
		queryFlow(resolver4, server4), queryFlow(resolver6, server6), queryFlow(client4, resolver4),
		{netip.AddrPortFrom(resolver4, 53), netip.AddrPortFrom(server4, 53)},
	} {
		f.Add(udpFrame(f, flow, questionWire(f, 1)))
		f.Add(udpFrame(f, flow.back(), answerWire(f, 1)))
		frame := udpFrame(f, flow, questionWire(f, 1))
		f.Add(append(append(bytes.Clone(frame[:12]), 0x81, 0, 0, 7), frame[12:]...))
		f.Add(append(ethernetHeader(flow), fragmentsOf(udpPacket(f, flow, bigAnswer(f, 200)), 1, 64)[1]...))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		got := &recorder{}
		New(testConfig).Frame(ethernet, &CapturedPacket{Data: frame, Length: len(frame), Time: at}, got)
		if etherType, _ := afterTags(frame); etherType == etherMPLS || etherType == etherPPPoE {
			return // gopacket guesses what follows
		}
		want, sure := oracle(withLength(frame))
		switch {
		case len(got.Messages) > 1:
			t.Fatalf("%d messages of one packet", len(got.Messages))
		case len(got.Messages) == 1:
			if m := &got.Messages[0]; want == nil || !bytes.Equal(m.Wire, want.Wire) || m.Server != want.Server || m.Resolver != want.Resolver {
				t.Errorf("got  %+v\nwant %+v", m, want)
			}
		case sure:
			t.Errorf("nothing, dropped %v; want %+v", got.Dropped, want)
		}
	})
}

// withLength returns a frame whose IP header has a length, if it was left to the network
// card. gopacket does not support that.
func withLength(frame []byte) []byte {
	_, at := afterTags(frame)
	if len(frame) < at+ipv6Len {
		return frame
	}
	frame = bytes.Clone(frame)
	length, n := frame[at+2:at+4], len(frame)-at
	if frame[at]>>4 == 6 {
		length, n = frame[at+4:at+6], n-ipv6Len
	}
	if length[0] == 0 && length[1] == 0 {
		binary.BigEndian.PutUint16(length, uint16(n))
	}
	return frame
}

// afterTags returns the EtherType after the VLAN tags of a frame, and the offset of what follows.
func afterTags(frame []byte) (etherType uint16, at int) {
	at = ethernetLen
	for len(frame) >= at+vlanLen && slices.Contains([]uint16{etherVLAN, etherQinQ, etherOldQinQ}, binary.BigEndian.Uint16(frame[at-2:])) {
		at += vlanLen
	}
	if len(frame) >= at {
		etherType = binary.BigEndian.Uint16(frame[at-2:])
	}
	return etherType, at
}

// oracle returns the message that gopacket reads from a frame. sure means that the
// dissector must read it too.
func oracle(frame []byte) (m *transform.Message, sure bool) {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || p.NetworkLayer() == nil {
		return nil, false
	}
	flow := p.NetworkLayer().NetworkFlow()
	src, _ := netip.AddrFromSlice(flow.Src().Raw())
	dst, _ := netip.AddrFromSlice(flow.Dst().Raw())
	from, to := netip.AddrPortFrom(src, uint16(udp.SrcPort)), netip.AddrPortFrom(dst, uint16(udp.DstPort))
	wire := udp.Payload
	sure = !p.Metadata().Truncated && int(udp.Length) == udpLen+len(wire)
	for _, l := range p.Layers() {
		switch l.LayerType() {
		case layers.LayerTypeUDP, layers.LayerTypeDNS, gopacket.LayerTypePayload, gopacket.LayerTypeDecodeFailure:
		case layers.LayerTypeEthernet:
			sure = sure && bothRead(l.(*layers.Ethernet).EthernetType)
		case layers.LayerTypeDot1Q:
			sure = sure && bothRead(l.(*layers.Dot1Q).Type)
		case layers.LayerTypeIPv4:
			ip := l.(*layers.IPv4)
			sure = sure && ip.Version == 4 && ip.Length > 0
		case layers.LayerTypeIPv6:
			ip := l.(*layers.IPv6)
			sure = sure && ip.Version == 6 && ip.Length > 0
		default:
			sure = false // extension headers, tunnels: gopacket reads more of them than the dissector
		}
	}
	resolver := transform.NewNetworks(testConfig.Resolvers)
	switch {
	case resolver.Has(src) && !resolver.Has(dst) && to.Port() == 53 && !reversed(transform.ResolverQuery, from, to, wire):
		return &transform.Message{Server: to, Resolver: from, Wire: wire}, sure
	case resolver.Has(dst) && !resolver.Has(src) && from.Port() == 53 && !reversed(transform.ResolverResponse, from, to, wire):
		return &transform.Message{Server: from, Resolver: to, Wire: wire}, sure
	}
	return nil, false
}

// bothRead excludes the types for which gopacket guesses the next layer.
func bothRead(next layers.EthernetType) bool {
	return next == layers.EthernetTypeIPv4 || next == layers.EthernetTypeIPv6 || next == layers.EthernetTypeDot1Q
}

// FuzzLinks reads any input on every link layer, with tunnels opened. With every tunnel
// refused, messages are those without decapsulation.
func FuzzLinks(f *testing.F) {
	for _, inside := range bothFamilies() {
		packet := udpPacket(f, inside, answerWire(f, 1))
		for _, link := range []Link{null, ethernet, pppLink, pppHDLC, pppEther, raw, loop, linuxCooked, linuxSLL2, rawIPv4, nflog} {
			f.Add(uint16(link), packet)
		}
		f.Add(uint16(pppLink), append(fromHex(f, "ff03 0281 003e8040 003e8140"), packet...))
		f.Add(uint16(pppEther), append(fromHex(f, "1100 0007 003f 0021"), packet...))
		f.Add(uint16(nflog), append(fromHex(f, "0200 0005 0800 0100 08000100 4100 0900"), packet...))
		frame := udpFrame(f, inside, answerWire(f, 1))
		f.Add(uint16(ethernet), frame)
		for _, outside := range []flow{mirror, mirror6} {
			for _, b := range tunnels(f, outside, frame) {
				f.Add(uint16(raw), b)
			}
		}
	}
	everywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	f.Fuzz(func(t *testing.T, link uint16, b []byte) {
		take := func(c Config) (*recorder, Stats) {
			c.Resolvers, c.VerifyChecksum = testConfig.Resolvers, true
			d, got := New(c), &recorder{}
			d.Frame(Link(link), &CapturedPacket{Data: b, Length: len(b), Time: at}, got)
			d.Finish(got)
			if len(got.Messages) > 1 || len(got.Dropped) > 1 {
				t.Errorf("%d messages, dropped %v of one packet", len(got.Messages), got.Dropped)
			}
			return got, d.Stats()
		}
		take(Config{Decapsulate: true, TunnelsFrom: everywhere, TunnelsTo: everywhere})
		plain, _ := take(Config{})
		refusing, stats := take(Config{Decapsulate: true, TunnelsFrom: everywhere})
		if len(refusing.Messages) != len(plain.Messages) || stats.Tunnelled > 0 {
			t.Errorf("every tunnel refused: %d messages, %d tunnelled; without decapsulation %d messages",
				len(refusing.Messages), stats.Tunnelled, len(plain.Messages))
		}
	})
}

// FuzzFragments reassembles fragments that the input describes, three octets each: the
// datagram, the offset and the length. The fragments of a datagram agree, so that the result
// is the datagram or nothing.
func FuzzFragments(f *testing.F) {
	f.Add([]byte{0, 0, 20, 0, 20, 20, 0, 40, 11})
	f.Add([]byte{1, 20, 20, 1, 0, 20, 0, 0, 5, 1, 40, 11, 0, 5, 46})
	f.Add([]byte{0, 0, 20, 0, 10, 20, 0, 30, 21})
	f.Fuzz(func(t *testing.T, plan []byte) {
		flows := bothFamilies()
		wires := [][]byte{bigAnswer(t, 400), bigAnswer(t, 400)}
		d, got := New(testConfig), &recorder{}
		for ; len(plan) >= 3; plan = plan[3:] {
			i := int(plan[0]) % 4
			whole := udpPacket(t, flows[i&1], wires[i>>1])
			payload := whole[len(whole)-408:]
			from := min(int(plan[1])*8, 400)
			to := min(from+int(plan[2])*8, len(payload))
			p := fragmentOf(whole, uint32(i), from, payload[from:to], to < len(payload))
			d.Frame(raw, &CapturedPacket{Data: p, Length: len(p), Time: at}, got)
		}
		for _, m := range got.Messages {
			if !bytes.Equal(m.Wire, wires[0]) && !bytes.Equal(m.Wire, wires[1]) {
				t.Errorf("%x is none of the datagrams", m.Wire)
			}
		}
		d.Finish(got)
		checkNothingHeld(t, d)
	})
}
