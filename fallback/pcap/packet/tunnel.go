package packet

import "encoding/binary"

// maxDepth bounds the nesting of tunnels: a mirror of a mirror has two.
const maxDepth = 4

const (
	greLen        = 4
	vxlanLen      = 8
	geneveLen     = 8
	erspan2Len    = 8
	erspan3Len    = 12
	erspan3SubLen = 8

	greChecksum = 0x80 // RFC 2784 section 2.1, RFC 2890 section 2
	greRouting  = 0x40
	greKey      = 0x20
	greSequence = 0x10
	greVersion  = 0x07

	etherERSPAN  = 0x88be // types I and II (draft-foschiano-erspan)
	etherERSPAN3 = 0x22eb // type III

	erspan3HasSub = 0x01 // O, in the last octet of the header
)

// tunnelAllowed reports whether the configuration opens tunnels between g's addresses.
func (d *Dissector) tunnelAllowed(g *datagram) bool {
	return d.tunnelsFrom.Has(g.src) && d.tunnelsTo.Has(g.dst)
}

// admitTunnel returns the result of tunnelAllowed, and counts a refused tunnel: any host could
// have sent it, so that its contents prove nothing.
func (d *Dissector) admitTunnel(g *datagram) bool {
	if d.tunnelAllowed(g) {
		return true
	}
	d.stats.TunnelsRefused++
	return false
}

// gre opens tunnels of RFC 2784, and of ERSPAN, in which switches mirror frames over GRE.
func (d *Dissector) gre(g *datagram) {
	if !d.admitTunnel(g) {
		return
	}
	b := g.payload
	if len(b) < greLen || !d.descend() {
		d.dropMalformed()
		return
	}
	flags := b[0]
	if flags&greRouting != 0 || b[1]&greVersion != 0 {
		d.countUnread(gre) // RFC 1701's source routes, PPTP
		return
	}
	header := greLen
	for _, optional := range [...]byte{greChecksum, greKey, greSequence} {
		if flags&optional != 0 {
			header += 4
		}
	}
	if header > len(b) {
		d.dropMalformed()
		return
	}
	etherType, inner := binary.BigEndian.Uint16(b[2:]), b[header:]
	switch etherType {
	case etherERSPAN:
		size := 0
		if flags&greSequence != 0 { // type I has neither a sequence number nor a header
			size = erspan2Len
		}
		d.erspan(inner, size)
	case etherERSPAN3:
		size := erspan3Len
		if len(inner) >= erspan3Len && inner[erspan3Len-1]&erspan3HasSub != 0 {
			size += erspan3SubLen
		}
		d.erspan(inner, size)
	case etherBridging:
		d.frame(ethernet, inner)
	default:
		d.network(etherType, inner)
	}
}

// erspan reads the Ethernet frame after an ERSPAN header of this length.
func (d *Dissector) erspan(b []byte, header int) {
	if len(b) < header {
		d.dropMalformed()
		return
	}
	d.frame(ethernet, b[header:])
}

// tunnelInUDP opens the tunnel in a datagram to a port of tunnels.
func (d *Dissector) tunnelInUDP(g *datagram, port uint16) {
	kind := d.protocolOf(port)
	switch {
	case kind == none:
		d.countOther()
	case !d.config.Decapsulate || kind != vxlan && kind != geneve:
		d.countUnread(kind)
	case !d.admitTunnel(g) || g.assembled && !d.verified(g, g.payload):
	case kind == vxlan:
		d.vxlan(g.payload[udpLen:])
	default:
		d.geneve(g.payload[udpLen:])
	}
}

// vxlan opens tunnels of RFC 7348.
func (d *Dissector) vxlan(b []byte) {
	const hasID = 0x08
	if len(b) < vxlanLen || b[0]&hasID == 0 || !d.descend() {
		d.dropMalformed()
		return
	}
	d.frame(ethernet, b[vxlanLen:])
}

// geneve opens tunnels of RFC 8926.
func (d *Dissector) geneve(b []byte) {
	const version, control, optionWords = 0xc0, 0x80, 0x3f
	if len(b) < geneveLen || b[0]&version != 0 {
		d.dropMalformed()
		return
	}
	header := geneveLen + int(b[0]&optionWords)*4
	if header > len(b) || !d.descend() {
		d.dropMalformed()
		return
	}
	switch etherType, inner := binary.BigEndian.Uint16(b[2:]), b[header:]; {
	case b[1]&control != 0: // between the ends of the tunnel
		d.countOther()
	case etherType == etherBridging:
		d.frame(ethernet, inner)
	default:
		d.network(etherType, inner)
	}
}

// ipInIP opens tunnels of IP directly in IP.
func (d *Dissector) ipInIP(g *datagram) {
	switch {
	case !d.admitTunnel(g):
	case !d.descend():
		d.dropMalformed()
	case g.proto == protoIPv4:
		d.ipv4(g.payload)
	default:
		d.ipv6(g.payload)
	}
}

// descend counts a tunnel around the current packet. It returns false if there are more than
// maxDepth.
func (d *Dissector) descend() bool {
	d.depth++
	if d.depth > maxDepth {
		d.stats.TooDeep++
		return false
	}
	d.stats.Tunnelled++
	return true
}
