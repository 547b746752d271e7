package packet

import "encoding/binary"

// maxDepth bounds tunnels in tunnels: mirrors of mirrors are two deep.
const maxDepth = 4

const (
	greLen        = 4
	vxlanLen      = 8
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

// opens reports whether a tunnel between g's addresses is to be opened.
func (d *Dissector) opens(g *datagram) bool {
	return d.tunnelsFrom.Has(g.src) && d.tunnelsTo.Has(g.dst)
}

// admits does the same, and counts a tunnel that is refused: any host could have sent
// it, so that what it carries proves nothing.
func (d *Dissector) admits(g *datagram) bool {
	if d.opens(g) {
		return true
	}
	d.stats.TunnelsRefused++
	return false
}

// gre looks into RFC 2784's tunnels, and what switches mirror by them.
func (d *Dissector) gre(g *datagram) {
	if !d.admits(g) {
		return
	}
	b := g.payload
	if len(b) < greLen || !d.enter() {
		d.malformed()
		return
	}
	flags := b[0]
	if flags&greRouting != 0 || b[1]&greVersion != 0 {
		d.other() // RFC 1701's source routes, PPTP
		return
	}
	header := greLen
	for _, optional := range [...]byte{greChecksum, greKey, greSequence} {
		if flags&optional != 0 {
			header += 4
		}
	}
	if header > len(b) {
		d.malformed()
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

func (d *Dissector) erspan(b []byte, header int) {
	if len(b) < header {
		d.malformed()
		return
	}
	d.frame(ethernet, b[header:])
}

// vxlan looks into RFC 7348's tunnels.
func (d *Dissector) vxlan(b []byte) {
	const hasID = 0x08
	if len(b) < vxlanLen || b[0]&hasID == 0 || !d.enter() {
		d.malformed()
		return
	}
	d.frame(ethernet, b[vxlanLen:])
}

// enter goes one tunnel deeper, if it may.
func (d *Dissector) enter() bool {
	d.depth++
	if d.depth > maxDepth {
		d.stats.TooDeep++
		return false
	}
	d.stats.Tunnelled++
	return true
}
