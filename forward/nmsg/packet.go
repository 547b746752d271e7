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

	// The largest DNS message that fits the 16-bit length of a packet: IPv4 counts its
	// own header (RFC 791 section 3.1), IPv6 does not (RFC 8200 section 3).
	maxPacketIPv4 = 1<<16 - 1 - ipv4HeaderLen - udpHeaderLen
	maxPacketIPv6 = 1<<16 - 1 - udpHeaderLen
)

func (e *endpoints) packetLen(msg []byte) int {
	if e.v4() {
		return ipv4HeaderLen + udpHeaderLen + len(msg)
	}
	return ipv6HeaderLen + udpHeaderLen + len(msg)
}

// appendPacket appends an IP packet from src to dst that contains msg, of at most
// maxPacketIPv4 or maxPacketIPv6 bytes. Its UDP checksum is 0, which means: none.
func appendPacket(b []byte, src, dst netip.AddrPort, msg []byte) []byte {
	size := udpHeaderLen + len(msg)
	if src.Addr().Is4() {
		b = appendIPv4Header(b, src.Addr().As4(), dst.Addr().As4(), size)
	} else {
		b = appendIPv6Header(b, src.Addr().As16(), dst.Addr().As16(), size)
	}
	ports := uint64(src.Port())<<16 | uint64(dst.Port())
	b = binary.BigEndian.AppendUint64(b, ports<<32|uint64(size)<<16)
	return append(b, msg...)
}

// appendIPv4Header appends an IPv4 header (RFC 791 section 3.1) for size bytes of UDP.
func appendIPv4Header(b []byte, src, dst [4]byte, size int) []byte {
	length := 0x4500<<16 | uint32(ipv4HeaderLen+size)
	protocol := uint32(hops<<24 | protoUDP<<16)
	from, to := binary.BigEndian.Uint32(src[:]), binary.BigEndian.Uint32(dst[:])
	protocol |= uint32(checksumOf(length, protocol, from, to))

	b = binary.BigEndian.AppendUint64(b, uint64(length)<<32)
	b = binary.BigEndian.AppendUint64(b, uint64(protocol)<<32|uint64(from))
	return binary.BigEndian.AppendUint32(b, to)
}

// appendIPv6Header appends an IPv6 header (RFC 8200 section 3) for size bytes of UDP.
func appendIPv6Header(b []byte, src, dst [16]byte, size int) []byte {
	b = binary.BigEndian.AppendUint64(b, 0x60<<56|uint64(size)<<16|protoUDP<<8|hops)
	b = append(b, src[:]...)
	return append(b, dst[:]...)
}

// checksumOf returns the IPv4 header checksum (RFC 791 section 3.1) of a header that
// consists of these words; all others are zero.
func checksumOf(words ...uint32) uint16 {
	var sum uint32
	for _, w := range words {
		sum += w>>16 + w&0xffff
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum)
}

// PacketDNS returns the DNS message in a whole IP packet with UDP, like the packets of a
// [QueryResponse]. The result points into packet. It returns false for IP fragments, IPv6
// extension headers and TCP.
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
