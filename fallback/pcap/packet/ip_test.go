package packet

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// withExtensions puts extension headers between an IPv6 header and its payload.
func withExtensions(t *testing.T, b []byte, first uint8, headers ...string) []byte {
	t.Helper()
	out, carried := slices.Clone(b[:ipv6Len]), b[6]
	out[6] = first
	for i, h := range headers {
		ext := fromHex(t, h)
		if i == len(headers)-1 {
			ext[0] = carried
		}
		out = append(out, ext...)
	}
	out = append(out, b[ipv6Len:]...)
	binary.BigEndian.PutUint16(out[4:], uint16(len(out)-ipv6Len))
	return out
}

// withOptions adds options to an IPv4 header. Its checksum is then wrong, but is not verified.
func withOptions(b []byte, options []byte) []byte {
	out := append(slices.Clone(b[:ipv4Len]), options...)
	out[0] = 0x40 | byte(len(out)/4)
	out = append(out, b[ipv4Len:]...)
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	return out
}

func TestOptionalHeaders(t *testing.T) {
	wire := questionWire(t, 1)
	f4, f6 := queryFlow(resolver4, server4), queryFlow(resolver6, server6)
	plain4, plain6 := udpPacket(t, f4, wire), udpPacket(t, f6, wire)
	unsized := func(b []byte, at int) []byte {
		b = slices.Clone(b)
		b[at], b[at+1] = 0, 0
		return b
	}
	for _, c := range []struct {
		name string
		flow flow
		b    []byte
	}{
		{"IPv4", f4, plain4},
		{"IPv4 options", f4, withOptions(plain4, []byte{0x94, 4, 0, 0})},
		{"IPv4, as many options as fit", f4, withOptions(plain4, bytes.Repeat([]byte{1}, 40))},
		{"IPv4, length left to the network card", f4, unsized(plain4, 2)},
		{"IPv6", f6, plain6},
		{"IPv6, length left to the network card", f6, unsized(plain6, 4)},
		{"hop-by-hop", f6, withExtensions(t, plain6, 0, "1100 0502 0000 0100")},
		{"destination options", f6, withExtensions(t, plain6, 60, "1100 0104 0000 0000")},
		{"routing", f6, withExtensions(t, plain6, 43, "1102 0401 0000 0000 20010db8000000000000000000000001")},
		{"authentication", f6, withExtensions(t, plain6, 51, "1104 0000 00000001 00000001 000000000000000000000000")},
		{"mobility", f6, withExtensions(t, plain6, 135, "1100 0000 0000 0000")},
		{"HIP", f6, withExtensions(t, plain6, 139, "1100 0000 0000 0000")},
		{"shim6", f6, withExtensions(t, plain6, 140, "1100 0000 0000 0000")},
		{"several", f6, withExtensions(t, plain6, 0, "3c00 0502 0000 0100", "2b00 0104 0000 0000", "1100 0400 0000 0000")},
		{"a fragment that is the whole", f6, withExtensions(t, plain6, 44, "1100 0000 00000007")},
		{"options after such a fragment", f6, withExtensions(t, plain6, 44, "3c00 0000 00000007", "1100 0104 0000 0000")},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, dissect(New(testConfig), c.b), query(c.flow, transform.UDP, wire))
		})
	}
}

func TestInvalidHeadersAreMalformed(t *testing.T) {
	wire := questionWire(t, 1)
	plain4, plain6 := udpPacket(t, queryFlow(resolver4, server4), wire), udpPacket(t, queryFlow(resolver6, server6), wire)
	with := func(b []byte, at int, v ...byte) []byte {
		b = slices.Clone(b)
		copy(b[at:], v)
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"no version", with(plain4, 0, 0x05)},
		{"IPv4 header too short", with(plain4, 0, 0x44)},
		{"IPv4 header beyond the packet", with(plain4[:40], 0, 0x4f)},
		{"IPv4 length within the header", with(plain4, 2, 0, 19)},
		{"IPv4 length beyond the packet", with(plain4, 2, 0xff, 0xff)},
		{"IPv4 too short for UDP", with(plain4, 2, 0, 27)},
		{"IPv6 length beyond the packet", with(plain6, 4, 0xff, 0xff)},
		{"extension beyond the packet", with(plain6, 6, protoHopByHop)},
		{"extension cut", withExtensions(t, plain6, 0, "11ff 0502 0000 0100")},
		{"fragment header cut", with(plain6[:ipv6Len+4], 6, protoFragment)},
		{"extensions without end", withExtensions(t, plain6, 60, slices.Repeat([]string{"3c00 0104 0000 0000"}, 40)...)},
		{"UDP length within the header", with(plain4, ipv4Len+4, 0, 7)},
		{"UDP length beyond the packet", with(plain4, ipv4Len+4, 0xff, 0xff)},
		{"UDP length of nothing", with(plain4, ipv4Len+4, 0, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := dissect(New(testConfig), c.b)
			if len(got.Messages) != 0 || len(got.Dropped) != 1 || got.Dropped[0] != transform.Malformed {
				t.Errorf("messages %+v, dropped %v; want one malformed", got.Messages, got.Dropped)
			}
		})
	}
}

func TestOctetsAfterTheDatagramAreIgnored(t *testing.T) {
	f, wire := queryFlow(resolver4, server4), questionWire(t, 1)
	b := udpPacket(t, f, append(slices.Clone(wire), "trailer"...))
	binary.BigEndian.PutUint16(b[ipv4Len+4:], uint16(udpLen+len(wire)))
	check(t, dissect(New(testConfig), b), query(f, transform.UDP, wire))
}

func TestSum16EqualsTheSumOfSingleWords(t *testing.T) {
	folded := func(sum uint64) uint64 {
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		return sum
	}
	r := rand.New(rand.NewPCG(1, 2))
	for length := range 300 {
		ones, some := bytes.Repeat([]byte{0xff}, length), make([]byte, length)
		for i := range some {
			some[i] = byte(r.Uint32())
		}
		for _, b := range [][]byte{ones, some} {
			want := uint64(0)
			for i, octet := range b {
				want += uint64(octet) << (8 * (1 - i%2))
			}
			if got := folded(sum16(b)); got != folded(want) {
				t.Errorf("%x: got %#x, want %#x", b, got, folded(want))
			}
		}
	}
}

func TestChecksumsAreVerifiedIfConfigured(t *testing.T) {
	strict := testConfig
	strict.VerifyChecksum = true
	for _, f := range []flow{queryFlow(resolver4, server4), queryFlow(resolver6, server6)} {
		for _, length := range []int{12, 13} { // odd lengths are padded with zero
			right := udpPacket(t, f, bytes.Repeat([]byte{0xa5}, length))
			header := len(right) - udpLen - length
			wrong, none := slices.Clone(right), slices.Clone(right)
			wrong[header+6] ^= 1
			none[header+6], none[header+7] = 0, 0
			for _, c := range []struct {
				name   string
				config Config
				b      []byte
				bad    bool
			}{
				{"right", strict, right, false}, {"none", strict, none, false}, {"wrong", strict, wrong, true},
				{"wrong, not verified", testConfig, wrong, false},
			} {
				d := New(c.config)
				got := dissect(d, c.b)
				if c.bad != (len(got.Dropped) == 1) || c.bad == (len(got.Messages) == 1) || c.bad != (d.Stats().BadChecksum == 1) {
					t.Errorf("%v, %d bytes, %s: %d messages, dropped %v, %d bad checksums", f.src, length, c.name,
						len(got.Messages), got.Dropped, d.Stats().BadChecksum)
				}
			}
		}
	}
}
