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
	rawOpenBSD  Link = 14
	rawBSD      Link = 12
	raw         Link = 101 // IPv4 or IPv6 without a link header
	loop        Link = 108 // OpenBSD loopback: the address family, big-endian
	linuxCooked Link = 113 // tcpdump -i any, until 2018
	rawIPv4     Link = 228
	rawIPv6     Link = 229
	linuxSLL2   Link = 276 // tcpdump -i any, since 2018
)

// Check returns an error if the link layer is not supported.
func (l Link) Check() error {
	if l.known() {
		return nil
	}
	return fmt.Errorf("link layer type %d (tcpdump.org/linktypes.html) is not supported: "+
		"capture Ethernet, Linux cooked, raw IP or loopback", l)
}

func (l Link) known() bool {
	switch l {
	case null, ethernet, rawBSD, rawOpenBSD, raw, loop, linuxCooked, rawIPv4, rawIPv6, linuxSLL2:
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
	etherBridging = 0x6558 // an Ethernet frame, in GRE
)

const (
	ethernetLen = 14
	vlanLen     = 4
	cookedLen   = 16
	sll2Len     = 20
	familyLen   = 4
	maxTags     = 4 // VLAN tags in a row
)

// frame reads the link layer's header and continues with the network layer.
func (d *Dissector) frame(link Link, b []byte) {
	if !link.known() {
		d.stats.UnknownLink++
		return
	}
	header, at := 0, -1 // length, and where the EtherType is
	switch link {
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

// ipByVersion reads an IP packet whose version only its first octet shows.
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

// network continues by the EtherType of b, after any VLAN tags.
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
		default:
			d.countOther()
			return
		}
	}
	d.dropMalformed()
}
