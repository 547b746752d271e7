package ring

import "golang.org/x/net/bpf"

// sampleFilter returns a program that accepts UDP packets to port 53 and packets in tunnels, of
// any host.
func sampleFilter() ([]bpf.Instruction, error) {
	const vxlan, linuxVXLAN = 4789, 8472 // UDP ports
	p := filter{program: newProgram()}
	p.accept, p.drop = p.label(), p.label()
	v4, v6, ports := p.label(), p.label(), p.label()

	p.withoutLoopbackCopies()
	p.findIP(0, v4, v6, p.drop)

	p.setLabel(v4)
	p.do(bpf.LoadIndirect{Off: offProto4, Size: 1})
	p.tunnelOrUDP()
	p.do(bpf.LoadIndirect{Off: offFrag4, Size: 2})
	p.ifAnyBit(moreOrLater, p.drop, next)
	p.toTransport4()
	p.jump(ports)

	p.setLabel(v6)
	p.do(bpf.LoadIndirect{Off: offNext6, Size: 1})
	p.tunnelOrUDP()
	p.do(bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: header6}, bpf.TAX{})

	p.setLabel(ports)
	p.do(bpf.LoadIndirect{Off: 2, Size: 2})
	for _, port := range []uint32{portDNS, vxlan, linuxVXLAN, portGENEVE} {
		p.ifEqual(port, p.accept, next)
	}
	p.setLabel(p.drop)
	p.do(bpf.RetConstant{Val: 0})
	p.setLabel(p.accept)
	p.do(bpf.RetConstant{Val: wholePacket})
	return p.assemble()
}

// tunnelOrUDP accepts a packet if the protocol in A is that of a tunnel, continues if it is UDP,
// and drops it otherwise.
func (p *filter) tunnelOrUDP() {
	for _, tunnel := range []uint32{protoGRE, protoIPv4, protoIPv6} {
		p.ifEqual(tunnel, p.accept, next)
	}
	p.ifEqual(protoUDP, next, p.drop)
}
