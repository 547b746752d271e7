package ring

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A socket is a packet socket (packet(7)). Each method is the one system call that it
// is named for.
type socket int

// newSocket opens a socket that receives nothing before it is bound: protocol 0.
// SOCK_DGRAM has the kernel take link headers away, of any device.
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

// noCapability says what to do.
func noCapability(err error) error {
	binary, pathErr := os.Executable()
	if pathErr != nil {
		binary = "/path/of/dnstap-pdns"
	}
	return fmt.Errorf("capturing packets needs the capability CAP_NET_RAW: run `setcap cap_net_raw+ep %s`, or set AmbientCapabilities=CAP_NET_RAW in the service unit (%w)",
		binary, err)
}

// attachFilter sets the program that decides what comes in; it replaces another.
func (s socket) attachFilter(program []unix.SockFilter) error {
	err := unix.SetsockoptSockFprog(int(s), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("attach a filter of %d instructions: %w: raise the sysctl net.core.optmem_max, or name fewer resolvers", len(program), err)
	}
	return opError("attach a filter", err)
}

// mapRing makes a receive ring and maps it.
func (s socket) mapRing(size int) ([]byte, error) {
	if err := unix.SetsockoptInt(int(s), unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, opError("choose TPACKET_V3", err)
	}
	// The frame size is of no meaning to version 3, but must divide a block.
	const frame = 2048
	err := unix.SetsockoptTpacketReq3(int(s), unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size: blockSize, Block_nr: uint32(size / blockSize),
		Frame_size: frame, Frame_nr: uint32(size / frame),
		Retire_blk_tov: uint32(retireTime / time.Millisecond),
	})
	if err != nil {
		return nil, fmt.Errorf("make a ring of %d bytes: %w", size, err)
	}
	mem, err := unix.Mmap(int(s), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return mem, opError("map a ring", err)
}

// bind begins to receive all protocols, of one interface or, with index 0, of all.
func (s socket) bind(index int) error {
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network byte order
	return opError("bind to the interface", unix.Bind(int(s), &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
}

// index is that of the interface that the socket is bound to; the kernel makes it -1
// when the interface is removed.
func (s socket) index() int {
	at, err := unix.Getsockname(int(s))
	if link, ok := at.(*unix.SockaddrLinklayer); ok && err == nil {
		return link.Ifindex
	}
	return -1
}

// promiscuous sets the interface so until the socket is closed.
func (s socket) promiscuous(index int) error {
	return opError("make the interface promiscuous", unix.SetsockoptPacketMreq(int(s), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
		&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}))
}

// newGroup puts a bound socket into a fan-out group of its own, whose number it
// returns.
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

// join puts a bound socket into a fan-out group, behind those that are in it.
func (s socket) join(group, flags int) error {
	return opError("join a fan-out group", unix.SetsockoptInt(int(s), unix.SOL_PACKET, unix.PACKET_FANOUT,
		group|(unix.PACKET_FANOUT_CBPF|flags)<<16))
}

// statistics are those since the last call. Packets include drops.
func (s socket) statistics() (packets, drops, freezes uint32, err error) {
	st, err := unix.GetsockoptTpacketStatsV3(int(s), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, 0, 0, opError("read the kernel's statistics", err)
	}
	return st.Packets, st.Drops, st.Freeze_q_cnt, nil
}

// takeError returns what poll(2) has told of, and clears it.
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

// kernelForm is a program as the kernel takes it.
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
