package ring

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

// metadata is what a program can read of a packet in addition to its data.
type metadata struct {
	protocol uint32
	device   uint32 // ARPHRD_
	kind     uint32 // PACKET_
}

// execute runs a program in the virtual machine of golang.org/x/net/bpf. The machine has
// no metadata of packets, so loads of these are replaced by constants.
func execute(t testing.TB, program []bpf.Instruction, v metadata, data []byte) int {
	t.Helper()
	known := make([]bpf.Instruction, len(program))
	for i, in := range program {
		known[i] = in
		if e, ok := in.(bpf.LoadExtension); ok {
			known[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: map[bpf.Extension]uint32{
				bpf.ExtProto: v.protocol, bpf.ExtLinkLayerType: v.device, bpf.ExtType: v.kind,
			}[e.Num]}
		}
	}
	vm, err := bpf.NewVM(known)
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

// ipv4 returns a packet with options, a number of 32-bit words, in its header.
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

// tagged puts the rest of a VLAN tag before a packet: TCI and EtherType, then more tags.
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
