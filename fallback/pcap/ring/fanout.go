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
	// The high bits depend on every bit of the addresses, the low ones do not.
	p.do(bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.RetA{})
	p.place(neither)
	p.do(bpf.RetConstant{Val: 0})
	return p.assemble()
}

// mix leaves a hash of two addresses of so many words in A: that of their exclusive
// or, which is the same both ways.
func (p *program) mix(base, source, dest uint32, words int) {
	const golden = 0x9e3779b1 // 2^32 over the golden ratio, to a prime (Knuth 6.4)
	const sum, other = 0, 1   // scratch words
	p.do(bpf.LoadConstant{Dst: bpf.RegA, Val: 0}, bpf.StoreScratch{Src: bpf.RegA, N: sum},
		bpf.StoreScratch{Src: bpf.RegX, N: other})
	for i := range uint32(words) {
		p.do(
			bpf.LoadIndirect{Off: base + source + 4*i, Size: 4},
			bpf.StoreScratch{Src: bpf.RegA, N: 2},
			bpf.LoadIndirect{Off: base + dest + 4*i, Size: 4},
			bpf.LoadScratch{Dst: bpf.RegX, N: 2},
			bpf.ALUOpX{Op: bpf.ALUOpXor},
			bpf.LoadScratch{Dst: bpf.RegX, N: sum},
			bpf.ALUOpX{Op: bpf.ALUOpAdd},
			bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: golden},
			bpf.StoreScratch{Src: bpf.RegA, N: sum},
			bpf.LoadScratch{Dst: bpf.RegX, N: other},
		)
	}
}
