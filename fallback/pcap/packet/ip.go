package packet

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers (https://www.iana.org/assignments/protocol-numbers).
const (
	protoHopByHop    = 0
	protoIPv4        = 4 // in IP (RFC 2003, RFC 2473)
	protoTCP         = 6
	protoUDP         = 17
	protoIPv6        = 41 // in IP (RFC 4213, RFC 2473)
	protoRouting     = 43
	protoFragment    = 44
	protoGRE         = 47
	protoESP         = 50
	protoAuth        = 51
	protoEtherIP     = 97
	protoL2TP        = 115
	protoDestination = 60
	protoMobility    = 135
	protoHIP         = 139
	protoShim6       = 140
)

const (
	ipv4Len       = 20
	ipv6Len       = 40
	fragmentLen   = 8
	maxExtensions = 16

	moreFragments = 0x2000 // of IPv4's flags and offset (RFC 791 section 3.1)
	offsetMask    = 0x1fff
)

// A datagram is the payload of an IP header and the fields that concern it.
type datagram struct {
	src, dst netip.Addr
	proto    uint8
	payload  []byte

	// Of a fragment.
	fragment bool
	id       uint32
	offset   int // bytes
	more     bool

	assembled bool // from fragments
}

// ipv4 reads an IPv4 header (RFC 791 section 3.1).
func (d *Dissector) ipv4(b []byte) {
	if len(b) < ipv4Len || b[0]>>4 != 4 {
		d.dropMalformed()
		return
	}
	header := int(b[0]&15) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) + d.missing // the network card fills in the length (TSO)
	}
	if header < ipv4Len || header > len(b) || total < header || total > len(b)+d.missing {
		d.dropMalformed()
		return
	}
	flags := binary.BigEndian.Uint16(b[6:])
	g := datagram{
		src:     netip.AddrFrom4([4]byte(b[12:16])),
		dst:     netip.AddrFrom4([4]byte(b[16:20])),
		proto:   b[9],
		payload: d.trim(b[header:], total-header),
		offset:  int(flags&offsetMask) * 8,
		more:    flags&moreFragments != 0,
		id:      uint32(binary.BigEndian.Uint16(b[4:])),
	}
	g.fragment = g.more || g.offset > 0
	d.datagram(&g)
}

// ipv6 reads an IPv6 header and its extension headers (RFC 8200 sections 3 and 4).
func (d *Dissector) ipv6(b []byte) {
	if len(b) < ipv6Len || b[0]>>4 != 6 {
		d.dropMalformed()
		return
	}
	g := datagram{
		src:   netip.AddrFrom16([16]byte(b[8:24])),
		dst:   netip.AddrFrom16([16]byte(b[24:40])),
		proto: b[6],
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length == 0 {
		length = len(b) - ipv6Len + d.missing // TSO, as in IPv4
	}
	if length > len(b)-ipv6Len+d.missing {
		d.dropMalformed()
		return
	}
	g.payload = d.trim(b[ipv6Len:], length)
	if !g.extensions() {
		d.dropMalformed()
		return
	}
	d.datagram(&g)
}

// trim returns the first length octets of b, without the padding of the link layer. If fewer
// were captured, it sets d.missing to the number of the others.
func (d *Dissector) trim(b []byte, length int) []byte {
	d.missing = max(0, length-len(b))
	return b[:min(len(b), length)]
}

// extensions skips extension headers up to a fragment header or the payload. It reports
// whether they are valid.
func (g *datagram) extensions() bool {
	for range maxExtensions {
		b := g.payload
		size := 0
		switch g.proto {
		case protoHopByHop, protoRouting, protoDestination, protoMobility, protoHIP, protoShim6: // RFC 7045
			if len(b) >= 2 {
				size = (int(b[1]) + 1) * 8
			}
		case protoAuth: // RFC 4302 section 2.2
			if len(b) >= 2 {
				size = (int(b[1]) + 2) * 4
			}
		case protoFragment:
			return g.fragmentHeader()
		default:
			return true
		}
		if size == 0 || size > len(b) {
			return false
		}
		g.proto, g.payload = b[0], b[size:]
	}
	return false
}

// fragmentHeader reads a fragment header (RFC 8200 section 4.5) and reports whether it is
// valid. A fragment that is the whole datagram (RFC 6946) is not treated as a fragment.
func (g *datagram) fragmentHeader() bool {
	b := g.payload
	if len(b) < fragmentLen {
		return false
	}
	offset := binary.BigEndian.Uint16(b[2:])
	g.offset, g.more = int(offset&^7), offset&1 != 0
	g.id = binary.BigEndian.Uint32(b[4:])
	g.proto, g.payload = b[0], b[fragmentLen:]
	g.fragment = g.more || g.offset > 0
	return g.fragment || g.extensions()
}

// datagram continues with the protocol of a datagram, or adds a fragment to its datagram.
func (d *Dissector) datagram(g *datagram) {
	if g.fragment && !d.assemble(g) {
		return
	}
	switch {
	case g.proto == protoUDP:
		d.udp(g)
	case g.proto == protoTCP:
		d.tcp(g)
	case !d.config.Decapsulate:
		d.countUnreadIP(g.proto)
	case g.proto == protoGRE:
		d.gre(g)
	case g.proto == protoIPv4, g.proto == protoIPv6:
		d.ipInIP(g)
	default:
		d.countUnreadIP(g.proto)
	}
}
