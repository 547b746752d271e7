package integration

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
)

// attacker returns the address of one of many servers that are in no capture.
func attacker(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) }

// segment returns an IPv4 packet with a TCP header (RFC 9293 section 3.1) and a payload.
func segment(src, dst netip.Addr, from, to uint16, seq uint32, flags byte, payload string) []byte {
	h := binary.BigEndian.AppendUint16(nil, from)
	h = binary.BigEndian.AppendUint16(h, to)
	h = binary.BigEndian.AppendUint32(h, seq)
	h = append(h, 0, 0, 0, 0, 5<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	return packet4(src, dst, tcp, 0, 0, append(h, payload...))
}

// userDatagram returns an IPv4 packet with a UDP header (RFC 768), without a checksum, and a
// payload.
func userDatagram(src, dst netip.Addr, from, to uint16, length int, payload []byte) []byte {
	h := binary.BigEndian.AppendUint16(nil, from)
	h = binary.BigEndian.AppendUint16(h, to)
	h = binary.BigEndian.AppendUint16(h, uint16(length))
	return packet4(src, dst, udp, 0, 0, slices.Concat(h, []byte{0, 0}, payload))
}

const syn, ack = 2, 16

// attacks are packets that must yield no record, by the kind of attack.
var attacks = map[string]func(i int) [][]byte{
	"SYN flood": func(i int) [][]byte {
		var all [][]byte
		for j := range 10 {
			all = append(all, segment(resolver4, attacker(i), uint16(1024+j), dnsPort, uint32(i), syn, ""))
		}
		return all
	},
	"streams that never send a length": func(i int) [][]byte {
		return [][]byte{
			segment(resolver4, attacker(i), 5000, dnsPort, 100, syn, ""),
			segment(resolver4, attacker(i), 5000, dnsPort, 101, ack, "\x01"),
		}
	},
	"wrong lengths": func(i int) [][]byte {
		return [][]byte{
			segment(attacker(i), resolver4, dnsPort, 5001, 100, syn|ack, ""),
			segment(attacker(i), resolver4, dnsPort, 5001, 101, ack, "\xff\xff"+strings.Repeat("x", 1000)),
			segment(attacker(i), resolver4, dnsPort, 5001, 5000, ack, "\x00\x03abc"),
			segment(attacker(i), resolver4, dnsPort, 5001, 0x80000000, ack, strings.Repeat("z", 1000)),
		}
	},
	"fragments that contradict each other, and too long a datagram": func(i int) [][]byte {
		const more = 0x2000
		first := packet4(attacker(i), resolver4, udp, more, 0, ports(dnsPort, 5002, strings.Repeat("x", 1204)))
		last := packet4(attacker(i), resolver4, udp, 8190, 0, []byte("beyond 64 KiB, by far too long"))
		over := packet4(attacker(i), resolver4, udp, more|1, 0, make([]byte, 1208))
		binary.BigEndian.PutUint16(first[4:], uint16(i))
		binary.BigEndian.PutUint16(over[4:], uint16(i))
		binary.BigEndian.PutUint16(last[4:], uint16(i)+1)
		return [][]byte{last, first, over}
	},
	"fragments that never end": func(i int) [][]byte {
		const more = 0x2000
		p := packet4(resolver4, attacker(i), udp, more, 0, ports(5006, dnsPort, strings.Repeat("x", 1204)))
		binary.BigEndian.PutUint16(p[4:], uint16(i))
		return [][]byte{p}
	},
	"tunnels in tunnels": func(i int) [][]byte {
		frame := ether(station, datagram(resolver4, attacker(i), udp, 5003, dnsPort, "deep"))
		for range 8 {
			frame = inVXLAN(frame)
		}
		return [][]byte{frame[14:]}
	},
	"garbage": func(i int) [][]byte {
		noise := make([]byte, i%600)
		random := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)})
		random.Read(noise)
		short := userDatagram(resolver4, attacker(i), 5004, dnsPort, 8+len(noise), noise)
		badHeader := slices.Clone(short)
		badHeader[0] = 0x4f // the header length exceeds the packet
		return [][]byte{
			short,
			userDatagram(attacker(i), resolver4, dnsPort, 5005, 8+len(noise), noise),
			userDatagram(attacker(i), resolver4, dnsPort, 5005, 9000, noise),
			badHeader,
		}
	},
}

// attackFile writes all attacks, interleaved, and returns the number of packets.
func attackFile(t *testing.T, path string) (count int) {
	t.Helper()
	const rounds, spare = 1500, 128
	var packets [][]byte
	room := 24 << 20 // in a ring of 32 MiB: it fits although no lane reads meanwhile
	for i := range rounds {
		for _, attack := range attacks {
			for _, p := range attack(i) {
				packets = append(packets, ether(station, p))
				room -= len(p) + spare
			}
		}
	}
	if room < 0 {
		t.Fatalf("the attacks are %d bytes too many", -room)
	}
	writeFrames(t, path, packets)
	return len(packets)
}

// writeFrames writes frames to a capture file.
func writeFrames(t *testing.T, path string, frames [][]byte) {
	t.Helper()
	infos := make([]gopacket.CaptureInfo, len(frames))
	for i, f := range frames {
		infos[i] = gopacket.CaptureInfo{Timestamp: time.Unix(1_700_000_000, int64(i)*1000), CaptureLength: len(f), Length: len(f)}
	}
	writePackets(t, path, frames, infos)
}
