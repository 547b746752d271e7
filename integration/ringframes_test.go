package integration

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// These packets are built by hand from the RFCs, because a library may share its errors with
// the code under test.

const (
	tcp, udp, icmp, gre = 6, 17, 1, 47
	fragment6, options6 = 44, 60
	hopByHop            = 0
	dnsPort, vxlan      = 53, 4789
)

var (
	resolver4, server4 = netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("198.51.100.7")
	resolver6, server6 = netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("2001:db8:1::7")
	other4, other6     = netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8:2::9")
)

// ports returns the start of a transport header and, after a zero byte, a name by which the
// test recognises the packet.
func ports(from, to uint16, name string) []byte {
	b := binary.BigEndian.AppendUint16(nil, from)
	b = binary.BigEndian.AppendUint16(b, to)
	return append(append(b, make([]byte, 16)...), name...)
}

// packet4 returns a packet with an IPv4 header (RFC 791) with that many words of options.
func packet4(src, dst netip.Addr, proto byte, fragment uint16, options int, payload []byte) []byte {
	size := 20 + 4*options
	h := make([]byte, size)
	h[0] = 0x40 | byte(size/4)
	binary.BigEndian.PutUint16(h[2:], uint16(size+len(payload)))
	binary.BigEndian.PutUint16(h[6:], fragment)
	h[8], h[9] = 64, proto
	copy(h[12:], src.AsSlice())
	copy(h[16:], dst.AsSlice())
	for i := 20; i < size; i++ {
		h[i] = 1 // no operation
	}
	var sum uint32
	for i := 0; i < size; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum+sum>>16))
	return append(h, payload...)
}

// packet6 returns a packet with an IPv6 header (RFC 8200); payload includes extension headers.
func packet6(src, dst netip.Addr, nextHeader byte, payload []byte) []byte {
	h := make([]byte, 40)
	h[0] = 0x60
	binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
	h[6], h[7] = nextHeader, 64
	copy(h[8:], src.AsSlice())
	copy(h[24:], dst.AsSlice())
	return append(h, payload...)
}

// datagram returns a packet with ports and a name.
func datagram(src, dst netip.Addr, proto byte, from, to uint16, name string) []byte {
	if src.Is4() {
		return packet4(src, dst, proto, 0, 0, ports(from, to, name))
	}
	return packet6(src, dst, proto, ports(from, to, name))
}

// laterFragment returns a fragment other than the first, which has no ports.
func laterFragment(src, dst netip.Addr, name string) []byte {
	if src.Is4() {
		return packet4(src, dst, udp, 100, 0, append([]byte{0}, name...))
	}
	return packet6(src, dst, fragment6, append([]byte{udp, 0, 1, 0, 0, 0, 0, 7, 0}, name...))
}

// ether returns a frame to an address, with VLAN tags (EtherType and TCI, outermost first).
func ether(to []byte, packet []byte, tags ...uint16) []byte {
	f := slices.Concat(to, []byte{2, 0, 0, 0, 0, 1})
	for _, t := range tags {
		f = binary.BigEndian.AppendUint16(f, t)
	}
	etherType := uint16(0x0800)
	if packet[0]>>4 == 6 {
		etherType = 0x86dd
	}
	return append(binary.BigEndian.AppendUint16(f, etherType), packet...)
}

// A sender sends frames from one interface of a pair, so that they arrive at the other.
type sender struct {
	fd int
	to []byte // the Ethernet address of the other interface
}

// makePair makes a pair of interfaces NAME and NAME-peer, and returns a sender on the peer.
func makePair(t *testing.T, n *lab.Namespace, name string) *sender {
	t.Helper()
	n.IP(t, "link add "+name+" address 02:00:00:00:00:02 type veth peer name "+name+"-peer\n"+
		"link set "+name+" up\nlink set "+name+"-peer up")
	return newSender(t, n, name+"-peer")
}

func newSender(t *testing.T, n *lab.Namespace, name string) *sender {
	t.Helper()
	c := &sender{fd: -1, to: []byte{2, 0, 0, 0, 0, 2}}
	var err error
	n.Enter(t, func() { c.fd, err = openPacketSocket(name) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(c.fd) })
	return c
}

func openPacketSocket(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return fd, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return fd, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: int(request.Uint32())})
}

func (c *sender) send(t *testing.T, packet []byte, tags ...uint16) {
	t.Helper()
	if _, err := unix.Write(c.fd, ether(c.to, packet, tags...)); err != nil {
		t.Fatal(err)
	}
}
