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
	if src.Addr().Is4() {
		h := ipv4Header(src, dst, len(msg))
		b = append(b, h[:]...)
	} else {
		h := ipv6Header(src, dst, len(msg))
		b = append(b, h[:]...)
	}
	return append(b, msg...)
}

// ipv4Header returns an IPv4 header (RFC 791 section 3.1) followed by a UDP header, for size
// bytes of data.
func ipv4Header(src, dst netip.AddrPort, size int) (h [ipv4HeaderLen + udpHeaderLen]byte) {
	from, to := src.Addr().As4(), dst.Addr().As4()
	words := [...]uint32{
		0x4500<<16 | uint32(len(h)+size), 0, hops<<24 | protoUDP<<16,
		binary.BigEndian.Uint32(from[:]), binary.BigEndian.Uint32(to[:]),
	}
	words[2] |= uint32(checksumOf(words[0], words[2], words[3], words[4]))
	for i, w := range words {
		binary.BigEndian.PutUint32(h[4*i:], w)
	}
	putUDPHeader(h[ipv4HeaderLen:], src.Port(), dst.Port(), size)
	return h
}

// ipv6Header returns an IPv6 header (RFC 8200 section 3) followed by a UDP header, for size
// bytes of data.
func ipv6Header(src, dst netip.AddrPort, size int) (h [ipv6HeaderLen + udpHeaderLen]byte) {
	h[0] = 0x60
	binary.BigEndian.PutUint16(h[4:], uint16(udpHeaderLen+size))
	h[6], h[7] = protoUDP, hops
	from, to := src.Addr().As16(), dst.Addr().As16()
	copy(h[8:], from[:])
	copy(h[24:], to[:])
	putUDPHeader(h[ipv6HeaderLen:], src.Port(), dst.Port(), size)
	return h
}

// putUDPHeader writes a UDP header, with checksum 0, for size bytes of data.
func putUDPHeader(h []byte, src, dst uint16, size int) {
	binary.BigEndian.PutUint16(h, src)
	binary.BigEndian.PutUint16(h[2:], dst)
	binary.BigEndian.PutUint16(h[4:], uint16(udpHeaderLen+size))
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
