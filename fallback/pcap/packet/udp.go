package packet

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const udpLen = 8

// udp reads a UDP header (RFC 768) and takes the message or opens the tunnel in it.
func (d *Dissector) udp(g *datagram) {
	b := g.payload
	if len(b) < udpLen {
		d.dropMalformed()
		return
	}
	src := netip.AddrPortFrom(g.src, binary.BigEndian.Uint16(b))
	dst := netip.AddrPortFrom(g.dst, binary.BigEndian.Uint16(b[2:]))
	role := d.role(src, dst)
	if src.Port() != portDNS && dst.Port() != portDNS { // a response to a query from a tunnel's port is not a tunnel
		d.tunnelInUDP(g, dst.Port())
		return
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < udpLen || length > len(b) {
		d.dropMalformed()
		return
	}
	wire := b[udpLen:length]
	if role == transform.OtherRole || reversed(role, src, dst, wire) {
		d.noteQuery(src, dst, wire)
		d.sink.Drop(transform.NotOutward)
		return
	}
	if (g.assembled || d.config.VerifyChecksum) && !d.verified(g, b[:length]) {
		return
	}
	d.take(role, transform.UDP, src, dst, wire, d.time)
}

// verified returns true if the datagram has a valid checksum, and else drops the datagram.
// A reassembled datagram is verified even without VerifyChecksum: nothing else shows that its
// fragments belong together. The sender computes its checksum before fragmenting, and does not
// leave this to the network card.
func (d *Dissector) verified(g *datagram, b []byte) bool {
	if validChecksum(g, b) {
		return true
	}
	d.stats.BadChecksum++
	d.dropMalformed()
	return false
}

// validChecksum verifies the checksum of RFC 768 over a datagram and the pseudo header
// (RFC 8200 section 8.1 for IPv6). Zero means no checksum, and is valid over IPv6 too.
func validChecksum(g *datagram, b []byte) bool {
	if b[6] == 0 && b[7] == 0 {
		return true
	}
	sum := uint64(protoUDP) + uint64(len(b))
	src, dst := g.src.As16(), g.dst.As16()
	if g.src.Is4() {
		sum += sum16(src[12:]) + sum16(dst[12:])
	} else {
		sum += sum16(src[:]) + sum16(dst[:])
	}
	sum += sum16(b)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum == 0xffff
}

// sum16 adds 16-bit words without folding. It adds longer words and their carries, which
// fold to the same sum (RFC 1071 section 2).
func sum16(b []byte) (sum uint64) {
	for ; len(b) >= 32; b = b[32:] {
		var carry uint64
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), 0)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b[24:]), carry)
		sum += carry
	}
	sum = sum>>32 + sum&0xffffffff // so that the rest cannot overflow
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		sum += uint64(b[0]) << 8
	}
	return sum
}
