package collector

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// A socket is a connection whose Read makes its system call without the Go scheduler.
//
// The scheduler's monitor thread sleeps while a process is idle. A system call of package net wakes
// it, and it then wakes up every 20 us while goroutines run, because the call might block. A read of a
// socket that does not block needs no monitor. At the rates of most resolvers that is more than half of
// all wake-ups.
//
// Only one Read may be in progress. It waits for data, and ends at a deadline or by Close, as Read of
// package net does.
type socket struct {
	net.Conn
	raw     syscall.RawConn
	attempt func(fd uintptr) (done bool) // s.read, bound once

	// Of the latest attempt.
	to  []byte
	n   int
	err syscall.Errno
}

// socketOf returns a socket for a connection of package net, and nc itself if it is not one.
func socketOf(nc net.Conn) net.Conn {
	c, ok := nc.(syscall.Conn)
	if !ok {
		return nc
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nc // it is closed, which its Read reports
	}
	s := &socket{Conn: nc, raw: raw}
	s.attempt = s.read
	return s
}

// Read is io.Reader's. Its errors contain no address.
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.to = p
	err := s.raw.Read(s.attempt)
	s.to = nil
	switch {
	case err != nil: // a deadline, or the socket is closed
		return 0, withoutAddress(err)
	case s.err != 0:
		return 0, os.NewSyscallError("read", s.err)
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// read reads once, and reports false if there is nothing to read yet.
func (s *socket) read(fd uintptr) (done bool) {
	for {
		n, _, err := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&s.to[0])), uintptr(len(s.to)))
		if err == syscall.EINTR {
			continue
		}
		s.n, s.err = int(n), err
		return err != syscall.EAGAIN
	}
}

// closeRead makes the kernel accept no more data from the peer, on a Unix socket. It does nothing on
// TCP, which cannot refuse data. It fails only if the peer has closed.
func (s *socket) closeRead() {
	if c, ok := s.Conn.(*net.UnixConn); ok {
		c.CloseRead()
	}
}
