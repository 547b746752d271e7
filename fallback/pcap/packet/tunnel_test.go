package packet

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

var mirror = flow{
	netip.AddrPortFrom(netip.MustParseAddr("10.9.9.1"), 40000),
	netip.AddrPortFrom(netip.MustParseAddr("10.9.9.2"), portVXLAN),
}

// inGRE is an IP packet with a GRE header, in hex, and what is behind it.
func inGRE(t *testing.T, header string, inner []byte) []byte {
	t.Helper()
	b := udpPacket(t, mirror, append(unhex(t, header), inner...))
	b = append(b[:ipv4Len], b[ipv4Len+udpLen:]...)
	b[9] = protoGRE
	b[2], b[3] = byte(len(b)>>8), byte(len(b))
	return b
}

func inVXLAN(t *testing.T, inner []byte) []byte {
	return udpPacket(t, mirror, append(unhex(t, "08000000 00002a00"), inner...))
}

func decapsulating() Config {
	c := testConfig
	c.Decapsulate = true
	return c
}

func TestMirroredTrafficIsUnwrapped(t *testing.T) {
	for _, f := range []flow{asking(resolver4, server4), asking(resolver6, server6)} {
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
			{"ERSPAN in VXLAN", inVXLAN(t, append(unhex(t, "020000000002 020000000001 0800"), inGRE(t, "000088be", frame)...))},
		} {
			d := New(decapsulating())
			check(t, dissect(d, c.b), query(f, transform.UDP, wire))
			if d.Stats().Tunnelled == 0 {
				t.Errorf("%s: not counted", c.name)
			}
			fragmented := dissect(New(decapsulating()), fragmentsOf(c.b, 7, 64)...)
			check(t, fragmented, query(f, transform.UDP, wire))
			if t.Failed() {
				t.Fatalf("%v, %s", f.src, c.name)
			}
			plain := New(testConfig)
			if got := dissect(plain, c.b); len(got.Messages) != 0 || plain.Stats().Other != 1 {
				t.Errorf("%s, not asked for: messages %d, other %d", c.name, len(got.Messages), plain.Stats().Other)
			}
		}
	}
}

func TestFragmentsInATunnelAreFound(t *testing.T) {
	f, wire := asking(resolver4, server4).back(), bigAnswer(t, 3000)
	var wrapped [][]byte
	for _, piece := range fragmentsOf(udpPacket(t, f, wire), 7, 1400) {
		wrapped = append(wrapped, fragmentsOf(inGRE(t, "00000800", piece), uint32(len(wrapped)), 1000)...) // and fragments of that
	}
	check(t, dissect(New(decapsulating()), wrapped...), answer(f, transform.UDP, wire))
}

func TestTunnelsInTunnelsHaveAnEnd(t *testing.T) {
	f, wire := asking(resolver4, server4), questionWire(t, 1)
	b := udpPacket(t, f, wire)
	for depth := 1; depth <= 20; depth++ {
		b = inGRE(t, "00000800", b)
		d := New(decapsulating())
		got := dissect(d, b)
		if depth <= maxDepth {
			check(t, got, query(f, transform.UDP, wire))
		} else if len(got.Messages) != 0 || !cmp.Equal(got.Dropped, []transform.Reason{transform.Malformed}) || d.Stats().TooDeep != 1 {
			t.Errorf("%d deep: messages %d, dropped %v, %+v", depth, len(got.Messages), got.Dropped, d.Stats())
		}
	}
}

func TestTunnelsThatLie(t *testing.T) {
	frame := udpFrame(t, asking(resolver4, server4), questionWire(t, 1))
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
		{"VXLAN cut", udpPacket(t, mirror, []byte{8, 0, 0})},
		{"VXLAN without its flag", udpPacket(t, mirror, bytes.Repeat([]byte{0}, 64))},
	} {
		got := dissect(New(decapsulating()), c.b)
		if len(got.Messages) != 0 || !cmp.Equal(got.Dropped, []transform.Reason{transform.Malformed}) {
			t.Errorf("%s: messages %d, dropped %v; want one malformed", c.name, len(got.Messages), got.Dropped)
		}
	}
}

// TestAnAnswerToTheTunnelsPortIsNoTunnel: resolvers ask from any port.
func TestAnAnswerToTheTunnelsPortIsNoTunnel(t *testing.T) {
	for _, ends := range [][2]netip.Addr{{resolver4, server4}, {resolver6, server6}} {
		f := flow{netip.AddrPortFrom(ends[1], portDNS), netip.AddrPortFrom(ends[0], portVXLAN)}
		wire := answerWire(t, 0x0800) // an ID that looks like the tunnel's flag
		check(t, dissect(New(decapsulating()), udpPacket(t, f, wire)), answer(f, transform.UDP, wire))
	}
}
