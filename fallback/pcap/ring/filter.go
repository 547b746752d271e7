package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"
)

// Protocol numbers (IANA), ports, and offsets in IP headers.
const (
	protoIPv4   = 4
	protoTCP    = 6
	protoUDP    = 17
	protoIPv6   = 41
	protoGRE    = 47
	protoEthIP  = 97
	protoL2TP   = 115
	protoICMP6  = 58
	nextFrag    = 44
	portDNS     = 53
	portL2TP    = 1701
	portGENEVE  = 6081
	moreOrLater = 0x3fff // MF and the offset, in an IPv4 header (RFC 791)

	offProto4, offSource4, offDest4 = 9, 12, 16
	offFrag4                        = 6
	offNext6, offSource6, offDest6  = 6, 8, 24
	header6                         = 40
)

// extensions are the IPv6 extension headers that may precede DNS (RFC 7045), except for
// the fragment header: hop-by-hop, routing, authentication, destination, mobility, HIP,
// shim6.
var extensions = []uint32{0, 43, 51, 60, 135, 139, 140}

// maxTags is the largest number of VLAN tags that the kernel may leave before an IP
// header. It is the same in package packet.
const maxTags = 4

// Scratch words of the filter. Register X holds the offset of the IP header.
const (
	wordAddr   = 0 // and the next three: the address to be matched
	wordSource = 4 // 1 if the source is a resolver
	wordDest   = 5 // 1 if the destination is a resolver
)

// wholePacket is the number of octets that pass: more than any packet has.
const wholePacket = 256 << 10

// A filter is a program of classic BPF under construction. The kernel runs it on a
// packet from the network header on.
type filter struct {
	*program
	accept, drop label
}

// program returns the program of the filter.
func (f Filter) program() ([]bpf.Instruction, error) {
	four, six, err := families(f.Resolvers)
	if err != nil {
		return nil, err
	}
	p := filter{program: newProgram()}
	p.accept, p.drop = p.label(), p.label()
	v4, v6, ports := p.label(), p.label(), p.label()

	p.withoutLoopbackCopies()
	p.findIP(0, v4, v6, p.drop)
	p.setLabel(v4)
	if f.Decapsulate {
		p.tunnels4(f.VXLANPorts)
	}
	p.requireResolver(four, offSource4, offDest4, 1)
	p.transport4(ports)
	p.setLabel(v6)
	if f.Decapsulate {
		p.tunnels6(f.VXLANPorts)
	}
	p.requireResolver(six, offSource6, offDest6, 4)
	p.transport6(ports)
	p.setLabel(ports)
	p.ports()
	p.setLabel(p.accept)
	p.do(bpf.RetConstant{Val: wholePacket})
	p.setLabel(p.drop)
	p.do(bpf.RetConstant{Val: 0})

	code, err := p.assemble()
	if err != nil {
		return nil, fmt.Errorf("%d prefixes of resolvers make a filter of more than %d instructions, the kernel's limit: use fewer or shorter prefixes",
			len(f.Resolvers), maxInstructions)
	}
	return code, nil
}

// families divides prefixes by their address family, after it has unmapped IPv4-mapped ones,
// and removes duplicates. It returns an error if there is no prefix, or an invalid one.
func families(prefixes []netip.Prefix) (four, six []netip.Prefix, err error) {
	if len(prefixes) == 0 {
		return nil, nil, errors.New("no resolvers are set: their addresses identify outward traffic")
	}
	seen := map[netip.Prefix]bool{}
	for _, p := range prefixes {
		if !p.IsValid() {
			return nil, nil, errors.New("a prefix in resolvers is not valid")
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		p = p.Masked()
		switch {
		case seen[p]:
		case p.Addr().Is4():
			four = append(four, p)
		default:
			six = append(six, p)
		}
		seen[p] = true
	}
	return four, six, nil
}

// withoutLoopbackCopies drops packets that leave by loopback, because they are captured
// again when they arrive.
func (p *filter) withoutLoopbackCopies() {
	const loopback, outgoing = 772, 4 // ARPHRD_LOOPBACK (linux/if_arp.h), PACKET_OUTGOING (linux/if_packet.h)
	other := p.label()
	p.do(bpf.LoadExtension{Num: bpf.ExtLinkLayerType})
	p.ifEqual(loopback, next, other)
	p.do(bpf.LoadExtension{Num: bpf.ExtType})
	p.ifEqual(outgoing, p.drop, other)
	p.setLabel(other)
}

// findIP sets X to the offset of the IP header from base, after the VLAN tags that the
// kernel left and after MPLS labels or PPPoE, and jumps to v4, v6 or neither.
//
// The kernel may report a tag for a sent packet although the IP header is at base.
// Therefore the data decide whether there is one.
func (p *program) findIP(base uint32, v4, v6, neither label) {
	untagged, labelled, session := p.label(), p.label(), p.label()
	p.do(bpf.LoadConstant{Dst: bpf.RegX, Val: 0}, bpf.LoadExtension{Num: bpf.ExtProto})
	p.branchOnEtherType(v4, v6, labelled, session, neither)
	for n := range uint32(maxTags) {
		p.do(bpf.LoadAbsolute{Off: base + 4*n + 2, Size: 2}, bpf.LoadConstant{Dst: bpf.RegX, Val: 4 * (n + 1)})
		p.branchOnEtherType(v4, v6, labelled, session, untagged)
	}
	p.setLabel(untagged)
	p.do(bpf.LoadAbsolute{Off: base, Size: 1}, bpf.LoadConstant{Dst: bpf.RegX, Val: 0},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
	p.ifEqual(4, v4, next)
	p.ifEqual(6, v6, neither)
	p.setLabel(labelled)
	p.skipLabels(base, v4, v6, neither)
	p.setLabel(session)
	p.skipPPPoE(base, v4, v6, neither)
}

// maxLabels is the largest number of MPLS labels before an IP header.
const maxLabels = 8

// skipLabels moves X past a stack of MPLS labels (RFC 3032 section 2.1), and jumps to v4 or v6 if
// IP follows, else to neither.
func (p *program) skipLabels(base uint32, v4, v6, neither label) {
	const bottom = 1 // of the stack, in the third octet of a label
	last := p.label()
	for range maxLabels {
		p.do(bpf.LoadIndirect{Off: base + 2, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: wordAddr})
		p.advance(4)
		p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordAddr})
		p.ifAnyBit(bottom, last, next)
	}
	p.jump(neither)
	p.setLabel(last)
	p.do(bpf.LoadIndirect{Off: base, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
	p.ifEqual(4, v4, next)
	p.ifEqual(6, v6, neither)
}

// skipPPPoE moves X past the headers of PPPoE (RFC 2516 section 4) and PPP, and jumps to v4 or v6
// if IP follows, else to neither.
func (p *program) skipPPPoE(base uint32, v4, v6, neither label) {
	const header, ipv4, ipv6 = 6, 0x21, 0x57
	p.do(bpf.LoadIndirect{Off: base + header, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: wordAddr})
	p.advance(header + 2)
	p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordAddr})
	p.ifEqual(ipv4, v4, next)
	p.ifEqual(ipv6, v6, neither)
}

// advance adds n to X.
func (p *program) advance(n uint32) {
	p.do(bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: n}, bpf.TAX{})
}

// branchOnEtherType tests the EtherType in A. It jumps to v4, v6, labelled (MPLS) or session
// (PPPoE), continues if it is a VLAN tag's, or jumps to other.
func (p *program) branchOnEtherType(v4, v6, labelled, session, other label) {
	tagged := p.label()
	p.ifEqual(IPv4, v4, next)
	p.ifEqual(IPv6, v6, next)
	p.ifEqual(mpls, labelled, next)
	p.ifEqual(pppoe, session, next)
	p.ifEqual(VLAN, tagged, next)
	p.ifEqual(QinQ, tagged, next)
	p.ifEqual(OldQinQ, tagged, other)
	p.setLabel(tagged)
}

// tunnels4 accepts IPv4 packets that may be a tunnel or a part of one.
func (p *filter) tunnels4(vxlanPorts []uint16) {
	other := p.label()
	p.do(bpf.LoadIndirect{Off: offFrag4, Size: 2})
	p.ifAnyBit(moreOrLater, p.accept, next)
	p.do(bpf.LoadIndirect{Off: offProto4, Size: 1})
	for _, proto := range tunnelProtocols {
		p.ifEqual(proto, p.accept, next)
	}
	p.ifEqual(protoUDP, next, other)
	p.do(bpf.StoreScratch{Src: bpf.RegX, N: wordAddr})
	p.toTransport4()
	p.do(bpf.LoadIndirect{Off: 2, Size: 2}, bpf.LoadScratch{Dst: bpf.RegX, N: wordAddr})
	p.tunnelPorts(vxlanPorts, other)
	p.setLabel(other)
}

// tunnelProtocols are the IP protocols of tunnels. EtherIP and L2TP are not read, but pass to be
// counted, because a mirror may arrive through them.
var tunnelProtocols = []uint32{protoGRE, protoIPv4, protoIPv6, protoEthIP, protoL2TP}

// tunnelPorts accepts packets whose UDP destination port, in A, is that of a tunnel, and jumps to
// other for the rest.
func (p *filter) tunnelPorts(vxlanPorts []uint16, other label) {
	for _, port := range vxlanPorts {
		p.ifEqual(uint32(port), p.accept, next)
	}
	p.ifEqual(portL2TP, p.accept, next)
	p.ifEqual(portGENEVE, p.accept, other)
}

// tunnels6 accepts IPv6 packets that may be a tunnel or a part of one. It accepts
// extension headers because a tunnel may follow: Linux puts destination options with the
// encapsulation limit before GRE (RFC 2473 section 4.1.1). It does not accept those before
// ICMPv6, because every host sends them for multicast.
func (p *filter) tunnels6(vxlanPorts []uint16) {
	extended, other := p.label(), p.label()
	p.do(bpf.LoadIndirect{Off: offNext6, Size: 1})
	for _, h := range append([]uint32{nextFrag}, tunnelProtocols...) {
		p.ifEqual(h, p.accept, next)
	}
	for _, h := range extensions {
		p.ifEqual(h, extended, next)
	}
	p.ifEqual(protoUDP, next, other)
	p.do(bpf.LoadIndirect{Off: header6 + 2, Size: 2})
	p.tunnelPorts(vxlanPorts, other)
	p.setLabel(extended)
	p.do(bpf.LoadIndirect{Off: header6, Size: 1})
	p.ifEqual(protoICMP6, other, p.accept)
	p.setLabel(other)
}

// requireResolver sets wordSource and wordDest, and drops a packet if neither of its addresses
// is a resolver. source and dest are the offsets of the addresses, and words is the number of
// 32-bit words of each.
func (p *filter) requireResolver(resolvers []netip.Prefix, source, dest uint32, words int) {
	p.do(bpf.LoadConstant{Dst: bpf.RegA, Val: 0},
		bpf.StoreScratch{Src: bpf.RegA, N: wordSource}, bpf.StoreScratch{Src: bpf.RegA, N: wordDest})
	for _, end := range []struct {
		offset uint32
		word   int
	}{{source, wordSource}, {dest, wordDest}} {
		for i := range words {
			p.do(bpf.LoadIndirect{Off: end.offset + 4*uint32(i), Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: wordAddr + i})
		}
		found, done := p.label(), p.label()
		for _, r := range resolvers {
			p.matchPrefix(r, found)
		}
		p.jump(done)
		p.setLabel(found)
		p.do(bpf.LoadConstant{Dst: bpf.RegA, Val: 1}, bpf.StoreScratch{Src: bpf.RegA, N: end.word})
		p.setLabel(done)
	}
	some := p.label()
	p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordSource})
	p.ifEqual(1, some, next)
	p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordDest})
	p.ifEqual(1, some, p.drop)
	p.setLabel(some)
}

// matchPrefix jumps to found if the address at wordAddr is in prefix.
func (p *filter) matchPrefix(prefix netip.Prefix, found label) {
	other := p.label()
	bytes := prefix.Addr().AsSlice()
	left := prefix.Bits()
	for i := 0; left > 0; i++ {
		p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordAddr + i})
		if left < 32 {
			p.do(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: ^uint32(0) << (32 - left)})
		}
		matched := next
		if left <= 32 {
			matched = found
		}
		p.ifEqual(binary.BigEndian.Uint32(bytes[4*i:]), matched, other)
		left -= 32
	}
	if prefix.Bits() == 0 {
		p.jump(found)
	}
	p.setLabel(other)
}

// transport4 accepts fragments. For TCP and UDP it sets X to the offset of the transport
// header and jumps to ports. It drops other packets.
func (p *filter) transport4(ports label) {
	known := p.label()
	p.do(bpf.LoadIndirect{Off: offFrag4, Size: 2})
	p.ifAnyBit(moreOrLater, p.accept, next)
	p.do(bpf.LoadIndirect{Off: offProto4, Size: 1})
	p.ifEqual(protoUDP, known, next)
	p.ifEqual(protoTCP, known, p.drop)
	p.setLabel(known)
	p.toTransport4()
	p.jump(ports)
}

// toTransport4 moves X past an IPv4 header with its options.
func (p *filter) toTransport4() {
	p.do(bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 15}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{})
}

// transport6 accepts fragments and packets with extension headers. For TCP and UDP it sets X
// to the offset of the transport header and jumps to ports. It drops other packets.
func (p *filter) transport6(ports label) {
	known := p.label()
	p.do(bpf.LoadIndirect{Off: offNext6, Size: 1})
	p.ifEqual(protoUDP, known, next)
	p.ifEqual(protoTCP, known, next)
	for _, h := range append([]uint32{nextFrag}, extensions...) {
		p.ifEqual(h, p.accept, next)
	}
	p.jump(p.drop)
	p.setLabel(known)
	p.advance(header6)
	p.jump(ports)
}

// ports accepts packets from a resolver to port 53, and from port 53 to a resolver.
func (p *filter) ports() {
	answer := p.label()
	p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordSource})
	p.ifEqual(1, next, answer)
	p.do(bpf.LoadIndirect{Off: 2, Size: 2})
	p.ifEqual(portDNS, p.accept, answer)
	p.setLabel(answer)
	p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordDest})
	p.ifEqual(1, next, p.drop)
	p.do(bpf.LoadIndirect{Off: 0, Size: 2})
	p.ifEqual(portDNS, p.accept, p.drop)
}
