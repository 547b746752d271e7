package integration

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// rewrite copies a capture file, applies wrap to each packet, and returns the new path.
func rewrite(t *testing.T, dir, file string, wrap func([]byte) []byte) string {
	t.Helper()
	packets, infos := packetsOf(t, file)
	for i := range packets {
		packets[i] = wrap(packets[i])
		infos[i].CaptureLength, infos[i].Length = len(packets[i]), len(packets[i])
	}
	path := filepath.Join(dir, filepath.Base(file))
	writePackets(t, path, packets, infos)
	return path
}

// packetsOf reads a capture file of Ethernet frames.
func packetsOf(t *testing.T, file string) (packets [][]byte, infos []gopacket.CaptureInfo) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return packets, infos
		}
		if err != nil {
			t.Fatal(err)
		}
		packets, infos = append(packets, data), append(infos, info)
	}
}

// writePackets writes a capture file of Ethernet frames.
func writePackets(t *testing.T, path string, packets [][]byte, infos []gopacket.CaptureInfo) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(1<<18, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i := range packets {
		if err := w.WritePacket(infos[i], packets[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// tunnel4 and tunnel6 are the ends of tunnels, which are neither resolvers nor servers.
var (
	tunnel4 = [2]netip.Addr{netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("10.1.1.2")}
	tunnel6 = [2]netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")}
	station = []byte{2, 0, 0, 0, 0, 2}
)

// inTag returns a function that puts a frame into a VLAN (IEEE 802.1Q).
func inTag(id uint16) func([]byte) []byte {
	return func(frame []byte) []byte {
		const addresses = 12
		tag := binary.BigEndian.AppendUint16([]byte{0x81, 0x00}, id)
		return slices.Concat(frame[:addresses], tag, frame[addresses:])
	}
}

// Headers after that of GRE (draft-foschiano-erspan section 4): type II with version, VLAN,
// session and index; type III with a timestamp, without the optional part.
var (
	erspan2 = []byte{0x10, 0x05, 0x00, 0x07, 0, 0, 0, 9}
	erspan3 = []byte{0x20, 0x05, 0x00, 0x07, 0, 0, 1, 2, 0, 0, 0, 0}
)

// decapsulating has the attributes of a packet source that decapsulates the tunnels of inGRE and
// inVXLAN, whose destinations are not addresses of the interface.
const decapsulating = `
  decapsulate      = true
  decapsulate_from = ["10.1.1.1", "fd00::1"]
  decapsulate_to   = ["10.1.1.2", "fd00::2"]
`

// inGRE returns a function that puts a frame, after another header, into GRE (RFC 2784) over
// IPv4. With such a header GRE has a sequence number (RFC 2890), as for ERSPAN II and III.
func inGRE(protocol uint16, header []byte) func([]byte) []byte {
	return func(frame []byte) []byte {
		var g []byte
		if header == nil {
			g = binary.BigEndian.AppendUint16([]byte{0, 0}, protocol)
		} else {
			g = append(binary.BigEndian.AppendUint16([]byte{0x10, 0}, protocol), 0, 0, 0, 1)
		}
		return ether(station, packet4(tunnel4[0], tunnel4[1], gre, 0, 0, slices.Concat(g, header, frame)))
	}
}

// withEtherType puts a header after the Ethernet header, which gets another EtherType.
func withEtherType(etherType uint16, header, frame []byte) []byte {
	const addresses, ethernet = 12, 14
	return slices.Concat(frame[:addresses], binary.BigEndian.AppendUint16(nil, etherType), header, frame[ethernet:])
}

// isIPv6 reports whether a frame contains IPv6.
func isIPv6(frame []byte) bool { return frame[12] == 0x86 && frame[13] == 0xdd }

// inMPLS puts two labels (RFC 3032) before the IP header of a frame.
func inMPLS(frame []byte) []byte {
	return withEtherType(0x8847, []byte{0, 0x03, 0xe8, 64, 0, 0x03, 0xe9, 64}, frame)
}

// inPPPoE puts the headers of PPPoE (RFC 2516) and PPP before the IP header of a frame.
func inPPPoE(frame []byte) []byte {
	const ethernet, ppp4, ppp6 = 14, 0x21, 0x57
	header := binary.BigEndian.AppendUint16([]byte{0x11, 0, 0, 9}, uint16(len(frame)-ethernet+2))
	protocol := uint16(ppp4)
	if isIPv6(frame) {
		protocol = ppp6
	}
	return withEtherType(0x8864, binary.BigEndian.AppendUint16(header, protocol), frame)
}

// inIP puts the IP packet of a frame into IPv4 (RFC 2003, RFC 4213).
func inIP(frame []byte) []byte {
	const ethernet, ip4, ip6 = 14, 4, 41
	protocol := byte(ip4)
	if isIPv6(frame) {
		protocol = ip6
	}
	return ether(station, packet4(tunnel4[0], tunnel4[1], protocol, 0, 0, frame[ethernet:]))
}

// inGENEVE puts a frame into GENEVE (RFC 8926) over IPv4, without a checksum.
func inGENEVE(frame []byte) []byte {
	const headers = 16
	u := binary.BigEndian.AppendUint16(nil, 50000)
	u = binary.BigEndian.AppendUint16(u, 6081)
	u = binary.BigEndian.AppendUint16(u, uint16(headers+len(frame)))
	u = append(u, 0, 0, 0, 0, 0x65, 0x58, 0, 0, 7, 0)
	return ether(station, packet4(tunnel4[0], tunnel4[1], udp, 0, 0, append(u, frame...)))
}

// inVXLAN puts a frame into VXLAN (RFC 7348) over IPv6, without a checksum, as RFC 6935 allows.
func inVXLAN(frame []byte) []byte {
	const header = 8
	u := binary.BigEndian.AppendUint16(nil, 50000)
	u = binary.BigEndian.AppendUint16(u, vxlan)
	u = binary.BigEndian.AppendUint16(u, uint16(2*header+len(frame)))
	u = append(u, 0, 0, 8, 0, 0, 0, 0, 0, 77, 0)
	return ether(station, packet6(tunnel6[0], tunnel6[1], udp, append(u, frame...)))
}
