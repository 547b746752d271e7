package ring

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

// A view is what a program is told of a packet beside its data.
type view struct {
	protocol uint32
	device   uint32 // ARPHRD_
	kind     uint32 // PACKET_
}

// execute runs a program in golang.org/x/net/bpf's own machine, which knows nothing of
// where a packet came from: it is told by constants.
func execute(t testing.TB, program []bpf.Instruction, v view, data []byte) int {
	t.Helper()
	told := make([]bpf.Instruction, len(program))
	for i, in := range program {
		told[i] = in
		if e, ok := in.(bpf.LoadExtension); ok {
			told[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: map[bpf.Extension]uint32{
				bpf.ExtProto: v.protocol, bpf.ExtLinkLayerType: v.device, bpf.ExtType: v.kind,
			}[e.Num]}
		}
	}
	vm, err := bpf.NewVM(told)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// ipv4 is a packet with so many words of options.
func ipv4(src, dst string, proto byte, fragment uint16, options int, payload []byte) []byte {
	h := make([]byte, 20+4*options)
	h[0] = 0x45 + byte(options)
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(payload)))
	binary.BigEndian.PutUint16(h[6:], fragment)
	h[9] = proto
	copy(h[12:], addr(src).AsSlice())
	copy(h[16:], addr(dst).AsSlice())
	return append(h, payload...)
}

func ipv6(src, dst string, nextHeader byte, payload []byte) []byte {
	h := make([]byte, 40)
	h[0] = 0x60
	binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
	h[6] = nextHeader
	copy(h[8:], addr(src).AsSlice())
	copy(h[24:], addr(dst).AsSlice())
	return append(h, payload...)
}

func ports(from, to uint16) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), to), 0, 8, 0, 0)
}

// tagged puts what is left of a VLAN tag before a packet: TCI and EtherType, and more
// tags behind that.
func tagged(packet []byte, more ...uint16) (b []byte) {
	etherType := uint16(IPv4)
	if packet[0]>>4 == 6 {
		etherType = IPv6
	}
	for _, next := range append(more, etherType) {
		b = binary.BigEndian.AppendUint16(append(b, 0x60, 7), next)
	}
	return append(b, packet...)
}
