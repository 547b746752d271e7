package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"
)

// Protocol numbers (IANA), and where their headers hold what the filter asks for.
const (
	protoTCP    = 6
	protoUDP    = 17
	protoGRE    = 47
	protoICMP6  = 58
	nextFrag    = 44
	portDNS     = 53
	portVXLAN   = 4789
	moreOrLater = 0x3fff // MF and the offset, in an IPv4 header (RFC 791)

	offProto4, offSource4, offDest4 = 9, 12, 16
	offFrag4                        = 6
	offNext6, offSource6, offDest6  = 6, 8, 24
	header6                         = 40
)

// extensions are the IPv6 headers behind which DNS may still be (RFC 7045), but for
// the fragment header: hop-by-hop, routing, authentication, destination, mobility,
// HIP, shim6.
var extensions = []uint32{0, 43, 51, 60, 135, 139, 140}

// maxTags is how many VLAN tags may be left before an IP header; package packet looks
// behind as many.
const maxTags = 4

// Scratch words of the filter. The register X holds where the IP header begins.
const (
	wordAddr   = 0 // and the three behind: the address that is looked up
	wordSource = 4 // 1: the source is a resolver
	wordDest   = 5 // 1: the destination is
)

// everything is how much of a packet passes: all of it.
const everything = 256 << 10

// A filter is one of classic BPF in the making. The kernel runs it on a packet's
// network header and what follows.
type filter struct {
	*program
	accept, drop label
}

// program makes the filter's program.
func (f Filter) program() ([]bpf.Instruction, error) {
	four, six, err := families(f.Resolvers)
	if err != nil {
		return nil, err
	}
	p := filter{program: newProgram()}
	p.accept, p.drop = p.label(), p.label()
	v4, v6, ports := p.label(), p.label(), p.label()

	p.withoutLoopbackCopies()
	p.network(0, v4, v6, p.drop)
	p.place(v4)
	if f.Decapsulate {
		p.tunnels4()
	}
	p.between(four, offSource4, offDest4, 1)
	p.transport4(ports)
	p.place(v6)
	if f.Decapsulate {
		p.tunnels6()
	}
	p.between(six, offSource6, offDest6, 4)
	p.transport6(ports)
	p.place(ports)
	p.ports()
	p.place(p.accept)
	p.do(bpf.RetConstant{Val: everything})
	p.place(p.drop)
	p.do(bpf.RetConstant{Val: 0})

	code, err := p.assemble()
	if err != nil {
		return nil, fmt.Errorf("%d prefixes of resolvers make a filter of more than %d instructions, which the kernel does not take: name fewer, shorter ones",
			len(f.Resolvers), maxInstructions)
	}
	return code, nil
}

// families divides prefixes by their family, each once.
func families(prefixes []netip.Prefix) (four, six []netip.Prefix, err error) {
	if len(prefixes) == 0 {
		return nil, nil, errors.New("no resolvers, without whose addresses nothing tells outward traffic")
	}
	seen := map[netip.Prefix]bool{}
	for _, p := range prefixes {
		if !p.IsValid() {
			return nil, nil, errors.New("a prefix of resolvers is not valid")
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

// withoutLoopbackCopies drops what leaves by loopback: it is seen as it arrives.
func (p *filter) withoutLoopbackCopies() {
	const loopback, outgoing = 772, 4 // ARPHRD_LOOPBACK (linux/if_arp.h), PACKET_OUTGOING (linux/if_packet.h)
	other := p.label()
	p.do(bpf.LoadExtension{Num: bpf.ExtLinkLayerType})
	p.ifEqual(loopback, next, other)
	p.do(bpf.LoadExtension{Num: bpf.ExtType})
	p.ifEqual(outgoing, p.drop, other)
	p.place(other)
}

// network finds the IP header, whose place it puts into X, at base or behind VLAN tags
// that are left there, and goes to v4 or v6.
//
// A packet on its way out may still be said to have a tag that base is already
// behind: whether there is one is for the data to say.
func (p *program) network(base uint32, v4, v6, neither label) {
	untagged := p.label()
	p.do(bpf.LoadConstant{Dst: bpf.RegX, Val: 0}, bpf.LoadExtension{Num: bpf.ExtProto})
	p.behind(v4, v6, neither)
	for n := range uint32(maxTags) {
		p.do(bpf.LoadAbsolute{Off: base + 4*n + 2, Size: 2}, bpf.LoadConstant{Dst: bpf.RegX, Val: 4 * (n + 1)})
		p.behind(v4, v6, untagged)
	}
	p.place(untagged)
	p.do(bpf.LoadAbsolute{Off: base, Size: 1}, bpf.LoadConstant{Dst: bpf.RegX, Val: 0},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
	p.ifEqual(4, v4, next)
	p.ifEqual(6, v6, neither)
}

// behind goes by the EtherType in A: to v4, to v6, on to what follows if it is a VLAN
// tag's, or to other.
func (p *program) behind(v4, v6, other label) {
	tagged := p.label()
	p.ifEqual(IPv4, v4, next)
	p.ifEqual(IPv6, v6, next)
	p.ifEqual(VLAN, tagged, next)
	p.ifEqual(QinQ, tagged, next)
	p.ifEqual(OldQinQ, tagged, other)
	p.place(tagged)
}

// tunnels4 accepts what may be, or be part of, a tunnel.
func (p *filter) tunnels4() {
	other := p.label()
	p.do(bpf.LoadIndirect{Off: offFrag4, Size: 2})
	p.ifAnyBit(moreOrLater, p.accept, next)
	p.do(bpf.LoadIndirect{Off: offProto4, Size: 1})
	p.ifEqual(protoGRE, p.accept, next)
	p.ifEqual(protoUDP, next, other)
	p.do(bpf.StoreScratch{Src: bpf.RegX, N: wordAddr})
	p.toTransport4()
	p.do(bpf.LoadIndirect{Off: 2, Size: 2}, bpf.LoadScratch{Dst: bpf.RegX, N: wordAddr})
	p.ifEqual(portVXLAN, p.accept, other)
	p.place(other)
}

// tunnels6 accepts extension headers, behind which a tunnel may be: Linux itself puts
// destination options before GRE, the limit of encapsulations (RFC 2473 section 4.1.1).
// Those before ICMPv6 are what every host sends that listens to multicast.
func (p *filter) tunnels6() {
	extended, other := p.label(), p.label()
	p.do(bpf.LoadIndirect{Off: offNext6, Size: 1})
	for _, h := range []uint32{protoGRE, nextFrag} {
		p.ifEqual(h, p.accept, next)
	}
	for _, h := range extensions {
		p.ifEqual(h, extended, next)
	}
	p.ifEqual(protoUDP, next, other)
	p.do(bpf.LoadIndirect{Off: header6 + 2, Size: 2})
	p.ifEqual(portVXLAN, p.accept, other)
	p.place(extended)
	p.do(bpf.LoadIndirect{Off: header6, Size: 1})
	p.ifEqual(protoICMP6, other, p.accept)
	p.place(other)
}

// between notes which of a packet's addresses are resolvers', and drops it where
// none is.
func (p *filter) between(resolvers []netip.Prefix, source, dest uint32, words int) {
	p.do(bpf.LoadConstant{Dst: bpf.RegA, Val: 0},
		bpf.StoreScratch{Src: bpf.RegA, N: wordSource}, bpf.StoreScratch{Src: bpf.RegA, N: wordDest})
	for _, end := range []struct {
		offset uint32
		note   int
	}{{source, wordSource}, {dest, wordDest}} {
		for i := range words {
			p.do(bpf.LoadIndirect{Off: end.offset + 4*uint32(i), Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: wordAddr + i})
		}
		found, done := p.label(), p.label()
		for _, r := range resolvers {
			p.lookUp(r, found)
		}
		p.jump(done)
		p.place(found)
		p.do(bpf.LoadConstant{Dst: bpf.RegA, Val: 1}, bpf.StoreScratch{Src: bpf.RegA, N: end.note})
		p.place(done)
	}
	some := p.label()
	p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordSource})
	p.ifEqual(1, some, next)
	p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordDest})
	p.ifEqual(1, some, p.drop)
	p.place(some)
}

// lookUp goes to found if the address in the scratch words is in a prefix.
func (p *filter) lookUp(prefix netip.Prefix, found label) {
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
	p.place(other)
}

// transport4 accepts fragments, and puts where the transport header of TCP and UDP
// begins into X.
func (p *filter) transport4(ports label) {
	known := p.label()
	p.do(bpf.LoadIndirect{Off: offFrag4, Size: 2})
	p.ifAnyBit(moreOrLater, p.accept, next)
	p.do(bpf.LoadIndirect{Off: offProto4, Size: 1})
	p.ifEqual(protoUDP, known, next)
	p.ifEqual(protoTCP, known, p.drop)
	p.place(known)
	p.toTransport4()
	p.jump(ports)
}

// toTransport4 moves X over an IPv4 header, options included.
func (p *filter) toTransport4() {
	p.do(bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 15}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{})
}

func (p *filter) transport6(ports label) {
	known := p.label()
	p.do(bpf.LoadIndirect{Off: offNext6, Size: 1})
	p.ifEqual(protoUDP, known, next)
	p.ifEqual(protoTCP, known, next)
	for _, h := range append([]uint32{nextFrag}, extensions...) {
		p.ifEqual(h, p.accept, next)
	}
	p.jump(p.drop)
	p.place(known)
	p.do(bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: header6}, bpf.TAX{})
	p.jump(ports)
}

// ports accepts what a resolver asks at port 53, or what port 53 answers it.
func (p *filter) ports() {
	answer := p.label()
	p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordSource})
	p.ifEqual(1, next, answer)
	p.do(bpf.LoadIndirect{Off: 2, Size: 2})
	p.ifEqual(portDNS, p.accept, answer)
	p.place(answer)
	p.do(bpf.LoadScratch{Dst: bpf.RegA, N: wordDest})
	p.ifEqual(1, next, p.drop)
	p.do(bpf.LoadIndirect{Off: 0, Size: 2})
	p.ifEqual(portDNS, p.accept, p.drop)
}
