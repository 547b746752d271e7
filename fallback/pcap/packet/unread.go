package packet

import "slices"

// A protocol is one in which DNS messages may be. Some are never read, others are not read
// without Config.Decapsulate.
type protocol uint8

const (
	gre protocol = iota
	ipInIP
	vxlan
	geneve
	l2tp
	gtp
	etherIP
	esp
	mplsWithoutIP
	macsec
	protocols
	none = protocols
)

// protocolTable has the rows of Stats.Unread.
var protocolTable = [protocols]struct{ name, meaning string }{
	gre:           {"gre", "GRE tunnels that are not read: decapsulate is off, or they are of PPTP"},
	ipInIP:        {"ip_in_ip", "IP-in-IP tunnels that are not read: decapsulate is off"},
	vxlan:         {"vxlan", "VXLAN tunnels that are not read: decapsulate is off"},
	geneve:        {"geneve", "GENEVE tunnels that are not read: decapsulate is off"},
	l2tp:          {"l2tp", "L2TP tunnels, which are not read"},
	gtp:           {"gtp", "GTP tunnels, which are not read"},
	etherIP:       {"etherip", "EtherIP tunnels, which are not read"},
	esp:           {"esp", "packets encrypted by IPsec, which are not read"},
	mplsWithoutIP: {"mpls", "packets in MPLS that are not IP, which are not read"},
	macsec:        {"macsec", "packets encrypted by MACsec, which are not read"},
}

// UDP destination ports (https://www.iana.org/assignments/service-names-port-numbers).
const (
	portL2TP   = 1701 // RFC 2661
	portGTP    = 2152 // GTP-U (3GPP TS 29.281)
	portGENEVE = 6081 // RFC 8926 section 3.3
)

// protocolOf returns the protocol of a UDP destination port, or none.
func (d *Dissector) protocolOf(port uint16) protocol {
	switch {
	case slices.Contains(d.config.VXLANPorts, port):
		return vxlan
	case port == portGENEVE:
		return geneve
	case port == portL2TP:
		return l2tp
	case port == portGTP:
		return gtp
	}
	return none
}

// countUnreadIP counts a packet in an IP protocol that is not read.
func (d *Dissector) countUnreadIP(proto uint8) {
	switch proto {
	case protoGRE:
		d.countUnread(gre)
	case protoIPv4, protoIPv6:
		d.countUnread(ipInIP)
	case protoL2TP:
		d.countUnread(l2tp)
	case protoEtherIP:
		d.countUnread(etherIP)
	case protoESP:
		d.countUnread(esp)
	default:
		d.countOther()
	}
}

// countUnread counts a packet in a protocol that is not read.
func (d *Dissector) countUnread(p protocol) { d.stats.Unread[p]++ }
