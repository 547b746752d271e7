package packet

import (
	"encoding/binary"
	"fmt"
)

// A Link is a type of link layer, as numbered in capture files
// (https://www.tcpdump.org/linktypes.html).
type Link uint16

const (
	null        Link = 0 // BSD loopback: the address family, in the byte order of the capturing host
	ethernet    Link = 1
	pppLink     Link = 9
	rawOpenBSD  Link = 14
	rawBSD      Link = 12
	pppHDLC     Link = 50  // PPP or Cisco HDLC, with address and control octets
	pppEther    Link = 51  // PPPoE without Ethernet
	raw         Link = 101 // IPv4 or IPv6 without a link header
	loop        Link = 108 // OpenBSD loopback: the address family, big-endian
	linuxCooked Link = 113 // tcpdump -i any, until 2018
	rawIPv4     Link = 228
	rawIPv6     Link = 229
	nflog       Link = 239 // tcpdump -i nflog
	linuxSLL2   Link = 276 // tcpdump -i any, since 2018
)

// Check returns an error if the link layer is not supported.
func (l Link) Check() error {
	if l.known() {
		return nil
	}
	return fmt.Errorf("link layer type %d (tcpdump.org/linktypes.html) is not supported: "+
		"capture Ethernet, Linux cooked, PPP, NFLOG, raw IP or loopback", l)
}

func (l Link) known() bool {
	switch l {
	case null, ethernet, pppLink, rawBSD, rawOpenBSD, pppHDLC, pppEther, raw, loop, linuxCooked, rawIPv4, rawIPv6, nflog, linuxSLL2:
		return true
	}
	return false
}

// EtherTypes (IEEE 802, https://www.iana.org/assignments/ieee-802-numbers). Package ring has its
// own, because the two packages do not import each other.
const (
	etherIPv4     = 0x0800
	etherIPv6     = 0x86dd
	etherVLAN     = 0x8100 // IEEE 802.1Q
	etherQinQ     = 0x88a8 // IEEE 802.1ad
	etherOldQinQ  = 0x9100
	etherBridging = 0x6558 // an Ethernet frame, in GRE and GENEVE
	etherMPLS     = 0x8847 // RFC 3032
	etherPPPoE    = 0x8864 // a PPPoE session (RFC 2516)
	etherMACsec   = 0x88e5 // IEEE 802.1AE
)

const (
	ethernetLen = 14
	vlanLen     = 4
	cookedLen   = 16
	sll2Len     = 20
	familyLen   = 4
	labelLen    = 4
	pppoeLen    = 6
	hdlcLen     = 4
	nflogLen    = 4
	maxTags     = 4 // VLAN tags in a row
)

// frame reads the link layer's header and continues with the network layer.
func (d *Dissector) frame(link Link, b []byte) {
	if !link.known() {
		d.stats.UnknownLink++
		return
	}
	header, at := 0, -1 // length of the header, and offset of the EtherType; -1: none
	switch link {
	case pppLink:
		d.ppp(b)
		return
	case pppHDLC:
		d.hdlc(b)
		return
	case pppEther:
		d.pppoe(b)
		return
	case nflog:
		d.nflog(b)
		return
	case ethernet:
		header, at = ethernetLen, 12
	case linuxCooked:
		header, at = cookedLen, 14
	case linuxSLL2:
		header, at = sll2Len, 0
	case null, loop:
		header = familyLen
	}
	if len(b) < header {
		d.dropMalformed()
		return
	}
	if at < 0 {
		d.ipByVersion(b[header:])
		return
	}
	d.network(binary.BigEndian.Uint16(b[at:]), b[header:])
}

// ipByVersion reads an IP packet, whose version it takes from the first octet.
func (d *Dissector) ipByVersion(b []byte) {
	switch {
	case len(b) > 0 && b[0]>>4 == 4:
		d.ipv4(b)
	case len(b) > 0 && b[0]>>4 == 6:
		d.ipv6(b)
	default:
		d.dropMalformed()
	}
}

// network skips the VLAN tags at the start of b, and continues by the EtherType.
func (d *Dissector) network(etherType uint16, b []byte) {
	for range maxTags + 1 {
		switch etherType {
		case etherIPv4:
			d.ipv4(b)
			return
		case etherIPv6:
			d.ipv6(b)
			return
		case etherVLAN, etherQinQ, etherOldQinQ:
			if len(b) < vlanLen {
				d.dropMalformed()
				return
			}
			etherType, b = binary.BigEndian.Uint16(b[2:]), b[vlanLen:]
		case etherMPLS:
			d.mpls(b)
			return
		case etherPPPoE:
			d.pppoe(b)
			return
		case etherMACsec:
			d.countUnread(macsec)
			return
		default:
			d.countOther()
			return
		}
	}
	d.dropMalformed()
}

// mpls skips a stack of MPLS labels (RFC 3032 section 2.1). The labels do not state what follows;
// only IP is read.
func (d *Dissector) mpls(b []byte) {
	const bottom = 1 // of the stack, in the third octet of a label
	for last := false; !last; b = b[labelLen:] {
		if len(b) <= labelLen {
			d.dropMalformed()
			return
		}
		last = b[2]&bottom != 0
	}
	switch b[0] >> 4 {
	case 4, 6:
		d.ipByVersion(b)
	default:
		d.countUnread(mplsWithoutIP)
	}
}

// pppoe reads the header of a PPPoE session (RFC 2516 section 4).
func (d *Dissector) pppoe(b []byte) {
	if len(b) < pppoeLen {
		d.dropMalformed()
		return
	}
	d.ppp(b[pppoeLen:])
}

// ppp reads a PPP header (RFC 1661 section 2), with or without the address and control octets of
// RFC 1662.
func (d *Dissector) ppp(b []byte) {
	const ipv4, ipv6, mpls = 0x21, 0x57, 0x281 // https://www.iana.org/assignments/ppp-numbers
	if len(b) >= 2 && b[0] == 0xff && b[1] == 0x03 {
		b = b[2:]
	}
	size := 2
	if len(b) > 0 && b[0]&1 != 0 {
		size = 1 // compressed
	}
	if len(b) < size {
		d.dropMalformed()
		return
	}
	protocol := 0
	for _, octet := range b[:size] {
		protocol = protocol<<8 | int(octet)
	}
	switch b = b[size:]; protocol {
	case ipv4:
		d.ipv4(b)
	case ipv6:
		d.ipv6(b)
	case mpls:
		d.mpls(b)
	default:
		d.countOther()
	}
}

// hdlc reads Cisco HDLC, which the first octet identifies, or PPP in HDLC-like framing.
func (d *Dissector) hdlc(b []byte) {
	const unicast, multicast = 0x0f, 0x8f
	if len(b) < hdlcLen {
		d.dropMalformed()
		return
	}
	if b[0] == unicast || b[0] == multicast {
		d.network(binary.BigEndian.Uint16(b[2:]), b[hdlcLen:])
		return
	}
	d.ppp(b)
}

// nflog reads the attributes of a packet that Linux netfilter logged
// (https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html), up to the packet itself.
func (d *Dissector) nflog(b []byte) {
	const attributeLen, payload = 4, 9
	for b = b[min(nflogLen, len(b)):]; len(b) >= attributeLen; {
		// They are in the byte order of the capturing host. Types are below 256 and not zero.
		var order binary.ByteOrder = binary.LittleEndian
		if b[2] == 0 {
			order = binary.BigEndian
		}
		size := int(order.Uint16(b))
		if size < attributeLen {
			break
		}
		if order.Uint16(b[2:]) == payload {
			d.ipByVersion(b[attributeLen:min(size, len(b))])
			return
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	d.dropMalformed()
}
