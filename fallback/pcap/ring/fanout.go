package ring

import "golang.org/x/net/bpf"

// networkHeader is SKF_NET_OFF (linux/filter.h): larger offsets count from the network
// header. Unlike a socket's filter, a fan-out program sees sent packets with their link
// header.
const networkHeader = 0xfff00000

// fanout returns the program that divides packets among lanes: the kernel uses its
// result modulo the number of lanes. The program hashes the two addresses regardless of
// their order, so that all packets between two hosts reach one lane. It ignores ports,
// because later fragments have none. Packets other than IP go to lane 0.
func fanout(base uint32) ([]bpf.Instruction, error) {
	p := newProgram()
	v4, v6, hashed, neither := p.label(), p.label(), p.label(), p.label()
	p.findIP(base, v4, v6, neither)
	p.setLabel(v4)
	p.hashAddresses(base, offSource4, offDest4, 1)
	p.jump(hashed)
	p.setLabel(v6)
	p.hashAddresses(base, offSource6, offDest6, 4)
	p.setLabel(hashed)
	p.spreadBits(13)
	p.fold(16)
	p.do(bpf.RetA{})
	p.setLabel(neither)
	p.do(bpf.RetConstant{Val: 0})
	return p.assemble()
}

// hashAddresses leaves a hash of two addresses in A. Each has words 32-bit words. It
// hashes their exclusive or, which does not depend on the direction.
func (p *program) hashAddresses(base, source, dest uint32, words int) {
	const sum, one, header = 0, 1, 2 // scratch words
	p.do(bpf.LoadConstant{Dst: bpf.RegA, Val: 0}, bpf.StoreScratch{Src: bpf.RegA, N: sum},
		bpf.StoreScratch{Src: bpf.RegX, N: header})
	for i := range uint32(words) {
		p.do(
			bpf.LoadScratch{Dst: bpf.RegX, N: header},
			bpf.LoadIndirect{Off: base + source + 4*i, Size: 4},
			bpf.StoreScratch{Src: bpf.RegA, N: one},
			bpf.LoadIndirect{Off: base + dest + 4*i, Size: 4},
			bpf.LoadScratch{Dst: bpf.RegX, N: one},
			bpf.ALUOpX{Op: bpf.ALUOpXor},
			bpf.LoadScratch{Dst: bpf.RegX, N: sum},
			bpf.ALUOpX{Op: bpf.ALUOpAdd},
		)
		p.spreadBits(16)
		p.do(bpf.StoreScratch{Src: bpf.RegA, N: sum})
	}
}

// spreadBits folds the upper bits of A into the lower and multiplies A, so that every
// bit changes the bits above it.
func (p *program) spreadBits(bits uint32) {
	const golden = 0x9e3779b1 // 2^32 over the golden ratio, and a prime (Knuth, 6.4)
	p.fold(bits)
	p.do(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: golden})
}

// fold sets A to the exclusive or of A and A shifted right by bits.
func (p *program) fold(bits uint32) {
	p.do(bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: bits}, bpf.ALUOpX{Op: bpf.ALUOpXor})
}
