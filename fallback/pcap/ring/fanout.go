package ring

import "golang.org/x/net/bpf"

// networkHeader is SKF_NET_OFF (linux/filter.h): offsets from here on count from the
// network header. A fan-out program sees packets on their way out with their link
// header, unlike a socket's filter.
const networkHeader = 0xfff00000

// fanout makes the program that divides packets among lanes: the kernel takes what
// it returns modulo their number. It knows a packet's addresses alone, without their
// order, so that what two hosts send each other meets in one lane, fragments too,
// which have no ports. What is no IP is lane 0's.
func fanout(base uint32) ([]bpf.Instruction, error) {
	p := newProgram()
	v4, v6, mixed, neither := p.label(), p.label(), p.label(), p.label()
	p.network(base, v4, v6, neither)
	p.place(v4)
	p.mix(base, offSource4, offDest4, 1)
	p.jump(mixed)
	p.place(v6)
	p.mix(base, offSource6, offDest6, 4)
	p.place(mixed)
	p.stir(13)
	p.fold(16)
	p.do(bpf.RetA{})
	p.place(neither)
	p.do(bpf.RetConstant{Val: 0})
	return p.assemble()
}

// mix leaves a hash of two addresses of so many words in A: that of their exclusive
// or, which is the same both ways.
func (p *program) mix(base, source, dest uint32, words int) {
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
		p.stir(16)
		p.do(bpf.StoreScratch{Src: bpf.RegA, N: sum})
	}
}

// stir lets every bit of A count for those above it, by a multiplication, after the
// upper ones have been folded into the lower.
func (p *program) stir(bits uint32) {
	const golden = 0x9e3779b1 // 2^32 over the golden ratio, and a prime (Knuth, 6.4)
	p.fold(bits)
	p.do(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: golden})
}

func (p *program) fold(bits uint32) {
	p.do(bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: bits}, bpf.ALUOpX{Op: bpf.ALUOpXor})
}
