package ring

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A socket is the file descriptor of a packet socket (packet(7)). Each method is the
// one system call that it is named for.
type socket int

// newSocket opens a socket with protocol 0, so that it receives nothing before bind.
// With SOCK_DGRAM the kernel removes the link header of any device.
func newSocket() (socket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return -1, noCapability(err)
	}
	if err != nil {
		return -1, fmt.Errorf("open a packet socket: %w", err)
	}
	return socket(fd), nil
}

// noCapability returns an error that states how to get the capability CAP_NET_RAW.
func noCapability(err error) error {
	binary, pathErr := os.Executable()
	if pathErr != nil {
		binary = "/path/of/dnstap-pdns"
	}
	return fmt.Errorf("capture packets: the process lacks the capability CAP_NET_RAW: run `setcap cap_net_raw+ep %s`, or set AmbientCapabilities=CAP_NET_RAW in the service unit (%w)",
		binary, err)
}

// attachFilter sets the program that selects packets, and replaces the previous one.
func (s socket) attachFilter(program []unix.SockFilter) error {
	err := unix.SetsockoptSockFprog(int(s), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("attach a filter of %d instructions: %w: raise the sysctl net.core.optmem_max or name fewer resolvers", len(program), err)
	}
	return opError("attach a filter", err)
}

// mapRing makes a receive ring of size octets and maps it.
func (s socket) mapRing(size int) ([]byte, error) {
	if err := unix.SetsockoptInt(int(s), unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, opError("choose TPACKET_V3", err)
	}
	// TPACKET_V3 ignores the frame size, but it must divide a block.
	const frame = 2048
	err := unix.SetsockoptTpacketReq3(int(s), unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size: blockSize, Block_nr: uint32(size / blockSize),
		Frame_size: frame, Frame_nr: uint32(size / frame),
		Retire_blk_tov: uint32(retireTime / time.Millisecond),
	})
	if err != nil {
		return nil, fmt.Errorf("allocate a ring of %d bytes: %w", size, err)
	}
	mem, err := unix.Mmap(int(s), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return mem, opError("map a ring", err)
}

// bind starts receiving all protocols from one interface or, with index 0, from all.
func (s socket) bind(index int) error {
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network byte order
	return opError("bind to the interface", unix.Bind(int(s), &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
}

// index returns the index of the interface that the socket is bound to. It is -1 after
// the interface was removed.
func (s socket) index() int {
	at, err := unix.Getsockname(int(s))
	if link, ok := at.(*unix.SockaddrLinklayer); ok && err == nil {
		return link.Ifindex
	}
	return -1
}

// promiscuous makes the interface promiscuous until the socket is closed.
func (s socket) promiscuous(index int) error {
	return opError("make the interface promiscuous", unix.SetsockoptPacketMreq(int(s), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
		&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}))
}

// newGroup puts a bound socket into a new fan-out group and returns the group's number.
func (s socket) newGroup(program []unix.SockFilter) (group int, err error) {
	if err := s.join(0, unix.PACKET_FANOUT_FLAG_UNIQUEID); err != nil {
		return 0, err
	}
	err = unix.SetsockoptSockFprog(int(s), unix.SOL_PACKET, unix.PACKET_FANOUT_DATA,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return 0, opError("set the fan-out program", err)
	}
	group, err = unix.GetsockoptInt(int(s), unix.SOL_PACKET, unix.PACKET_FANOUT)
	return group & 0xffff, opError("read the fan-out group", err)
}

// join makes a bound socket the last member of a fan-out group.
func (s socket) join(group, flags int) error {
	return opError("join a fan-out group", unix.SetsockoptInt(int(s), unix.SOL_PACKET, unix.PACKET_FANOUT,
		group|(unix.PACKET_FANOUT_CBPF|flags)<<16))
}

// statistics returns the kernel's counts since the last call. packets includes drops.
func (s socket) statistics() (packets, drops, freezes uint32, err error) {
	st, err := unix.GetsockoptTpacketStatsV3(int(s), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, 0, 0, opError("read the kernel's statistics", err)
	}
	return st.Packets, st.Drops, st.Freeze_q_cnt, nil
}

// takeError returns the socket's pending error, and clears it.
func (s socket) takeError() error {
	code, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return opError("receive packets", err)
}

func opError(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// kernelForm returns the program in the kernel's encoding.
func kernelForm(program []bpf.Instruction) ([]unix.SockFilter, error) {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assemble a filter: %w", err)
	}
	out := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		out[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return out, nil
}
