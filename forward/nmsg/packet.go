package nmsg

import (
	"encoding/binary"
	"net/netip"
)

const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	udpHeaderLen  = 8
	protoUDP      = 17
	hops          = 64

	// The largest DNS message whose packet's 16-bit lengths hold: IPv4 counts its
	// own header (RFC 791 section 3.1), IPv6 does not (RFC 8200 section 3).
	maxMessageIPv4 = 1<<16 - 1 - ipv4HeaderLen - udpHeaderLen
	maxMessageIPv6 = 1<<16 - 1 - udpHeaderLen
)

// endpoints are a record's two ends in one family, the server's: NMSG readers
// take both addresses to be of response_ip's.
type endpoints struct {
	resolver, server netip.AddrPort
}

func (e *endpoints) v4() bool { return e.server.Addr().Is4() }

func (e *endpoints) maxMessage() int {
	if e.v4() {
		return maxMessageIPv4
	}
	return maxMessageIPv6
}

func (e *endpoints) packetLen(msg []byte) int {
	if e.v4() {
		return ipv4HeaderLen + udpHeaderLen + len(msg)
	}
	return ipv6HeaderLen + udpHeaderLen + len(msg)
}

// appendPacket appends the IP packet that carries msg, of at most maxMessage
// bytes, from src to dst. Its UDP checksum is 0, which says that there is none.
func appendPacket(b []byte, src, dst netip.AddrPort, msg []byte) []byte {
	udpLen := uint16(udpHeaderLen + len(msg))
	if src.Addr().Is4() {
		b = appendIPv4Header(b, src.Addr(), dst.Addr(), udpLen)
	} else {
		b = appendIPv6Header(b, src.Addr(), dst.Addr(), udpLen)
	}
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, udpLen)
	b = append(b, 0, 0)
	return append(b, msg...)
}

func appendIPv4Header(b []byte, src, dst netip.Addr, payload uint16) []byte {
	start := len(b)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, ipv4HeaderLen+payload)
	b = append(b, 0, 0, 0, 0, hops, protoUDP, 0, 0)
	b = appendAddr(b, src)
	b = appendAddr(b, dst)
	binary.BigEndian.PutUint16(b[start+10:], headerChecksum(b[start:]))
	return b
}

func appendIPv6Header(b []byte, src, dst netip.Addr, payload uint16) []byte {
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, payload)
	b = append(b, protoUDP, hops)
	b = appendAddr(b, src)
	return appendAddr(b, dst)
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		a4 := a.As4()
		return append(b, a4[:]...)
	}
	a16 := a.As16()
	return append(b, a16[:]...)
}

func addrLen(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 16
}

// headerChecksum is the IPv4 header checksum (RFC 791 section 3.1) of a header
// whose checksum field is zero.
func headerChecksum(header []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum)
}

// PacketDNS returns the DNS message inside a whole IP packet that carries UDP,
// as the packets of a [QueryResponse] are. It borrows from packet, and reads
// neither IP fragments nor IPv6 extension headers nor TCP.
func PacketDNS(packet []byte) ([]byte, bool) {
	if len(packet) == 0 {
		return nil, false
	}
	var udp []byte
	var ok bool
	switch packet[0] >> 4 {
	case 4:
		udp, ok = ipv4Payload(packet)
	case 6:
		udp, ok = ipv6Payload(packet)
	}
	if !ok || len(udp) < udpHeaderLen {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(udp[4:]))
	if n < udpHeaderLen || n > len(udp) {
		return nil, false
	}
	return udp[udpHeaderLen:n], true
}

func ipv4Payload(packet []byte) ([]byte, bool) {
	if len(packet) < ipv4HeaderLen {
		return nil, false
	}
	header := int(packet[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(packet[2:]))
	fragment := binary.BigEndian.Uint16(packet[6:])&^0x4000 != 0 // anything but "don't fragment"
	if header < ipv4HeaderLen || header > total || total > len(packet) || fragment || packet[9] != protoUDP {
		return nil, false
	}
	return packet[header:total], true
}

func ipv6Payload(packet []byte) ([]byte, bool) {
	if len(packet) < ipv6HeaderLen || packet[6] != protoUDP {
		return nil, false
	}
	end := ipv6HeaderLen + int(binary.BigEndian.Uint16(packet[4:]))
	if end > len(packet) {
		return nil, false
	}
	return packet[ipv6HeaderLen:end], true
}
