package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// A socket is a connected UDP socket. Tests have a fake one.
type socket interface {
	// WriteBatch is that of [ipv4.PacketConn]. It works for IPv6 too.
	WriteBatch(datagrams []ipv4.Message, flags int) (int, error)

	// nextError removes an error that the network reported about sent datagrams. The zero
	// Errno: there is none.
	nextError() (unix.Errno, error)

	Close() error
}

// A kernelSocket is a socket of the kernel that queues the errors of the network.
type kernelSocket struct {
	*ipv4.PacketConn // for several datagrams at once
	conn             *net.UDPConn
	release          func() bool // stops the context function that ends a blocked write

	// For nextError, made once.
	raw     syscall.RawConn
	receive func(fd uintptr)
	poll    [1]unix.PollFd
	control [256]byte
	n       int   // octets of control
	failed  error // of the system call
}

// openSocket opens a socket to a receiver. When ctx ends, blocked writes end.
func openSocket(ctx context.Context, to netip.AddrPort) (socket, error) {
	d := net.Dialer{Control: queueErrors}
	dialled, err := d.DialContext(ctx, "udp", to.String())
	if err != nil {
		return nil, withoutAddress(err)
	}
	s := &kernelSocket{conn: dialled.(*net.UDPConn)}
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		s.conn.Close()
		return nil, withoutAddress(err)
	}
	s.PacketConn = ipv4.NewPacketConn(s.conn)
	s.receive = func(fd uintptr) {
		s.poll[0] = unix.PollFd{Fd: int32(fd)}
		if n, err := unix.Poll(s.poll[:], 0); n == 0 && err == nil {
			s.failed = unix.EAGAIN // Recvmsg would say so too, but allocates
			return
		}
		_, s.n, _, _, s.failed = unix.Recvmsg(int(fd), nil, s.control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	}
	s.release = context.AfterFunc(ctx, func() { s.conn.SetWriteDeadline(time.Unix(1, 0)) })
	return s, nil
}

// queueErrors makes the kernel queue the errors of the network for nextError.
func queueErrors(network, _ string, c syscall.RawConn) error {
	level, option := unix.SOL_IP, unix.IP_RECVERR
	if network == "udp6" {
		level, option = unix.SOL_IPV6, unix.IPV6_RECVERR
	}
	var failed error
	if err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, 1) }); err != nil {
		return err
	}
	return failed
}

func (s *kernelSocket) nextError() (unix.Errno, error) {
	for {
		if err := s.raw.Control(s.receive); err != nil {
			return 0, withoutAddress(err)
		}
		switch {
		case errors.Is(s.failed, unix.EAGAIN):
			return 0, nil
		case errors.Is(s.failed, unix.EINTR):
			continue
		case s.failed != nil:
			return 0, fmt.Errorf("reading the errors of datagrams: %w", s.failed)
		}
		if e := networkError(s.control[:s.n]); e != 0 {
			return e, nil
		}
	}
}

// networkError returns the error of the network in control messages (struct
// sock_extended_err); 0: there is none. The kernel's own errors are also queued, but the
// write has returned these.
func networkError(control []byte) unix.Errno {
	for len(control) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return 0
		}
		isError := header.Level == unix.SOL_IP && header.Type == unix.IP_RECVERR ||
			header.Level == unix.SOL_IPV6 && header.Type == unix.IPV6_RECVERR
		if isError && len(data) >= 5 && (data[4] == unix.SO_EE_ORIGIN_ICMP || data[4] == unix.SO_EE_ORIGIN_ICMP6) {
			return unix.Errno(binary.NativeEndian.Uint32(data))
		}
		control = rest
	}
	return 0
}

// Close closes the socket, which has no data that this could lose.
func (s *kernelSocket) Close() error {
	s.release()
	return s.conn.Close()
}

// withoutAddress returns err without the addresses that package net adds. collector has its
// own copy, because sources and sinks do not import each other.
func withoutAddress(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
