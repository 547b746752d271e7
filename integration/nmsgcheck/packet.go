package nmsgcheck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Packet is an IP packet with UDP, without options or extension headers.
type Packet struct {
	Raw         []byte // the whole packet
	Src, Dst    netip.AddrPort
	HopLimit    uint8
	HeaderOK    bool // IPv4: the header's checksum is right; IPv6 has none
	UDPChecksum uint16
	Payload     []byte
}

func parsePacket(b []byte) (*Packet, error) {
	if len(b) == 0 {
		return nil, errors.New("empty packet")
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return nil, fmt.Errorf("IP version %d", b[0]>>4)
}

func parseIPv4(b []byte) (*Packet, error) {
	const size = 20
	switch {
	case len(b) < size || b[0] != 0x45:
		return nil, errors.New("not an IPv4 header without options")
	case int(binary.BigEndian.Uint16(b[2:])) != len(b):
		return nil, fmt.Errorf("IPv4 length %d, packet has %d bytes", binary.BigEndian.Uint16(b[2:]), len(b))
	case b[9] != 17:
		return nil, fmt.Errorf("IPv4 protocol %d", b[9])
	}
	var sum uint32
	for i := 0; i < size; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	p := &Packet{Raw: b, HopLimit: b[8], HeaderOK: (sum&0xffff+sum>>16)%0xffff == 0}
	return p.udp(netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), b[size:])
}

func parseIPv6(b []byte) (*Packet, error) {
	const size = 40
	switch {
	case len(b) < size:
		return nil, errors.New("shorter than an IPv6 header")
	case int(binary.BigEndian.Uint16(b[4:])) != len(b)-size:
		return nil, fmt.Errorf("IPv6 length %d, packet has %d bytes", binary.BigEndian.Uint16(b[4:]), len(b)-size)
	case b[6] != 17:
		return nil, fmt.Errorf("IPv6 next header %d", b[6])
	}
	p := &Packet{Raw: b, HopLimit: b[7], HeaderOK: true}
	return p.udp(netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])), b[size:])
}

func (p *Packet) udp(src, dst netip.Addr, b []byte) (*Packet, error) {
	if len(b) < 8 || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		return nil, errors.New("UDP length differs from the packet's")
	}
	p.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
	p.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	p.UDPChecksum = binary.BigEndian.Uint16(b[6:])
	p.Payload = b[8:]
	return p, nil
}
