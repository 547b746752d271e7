package collector

import (
	"log/slog"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Peer is who connected: a process on a Unix socket, an address on TCP.
type Peer struct {
	UID     uint32         // Unix socket
	PID     int32          // Unix socket; 0 where the process is in a namespace of its own
	Address netip.AddrPort // TCP; the zero value on a Unix socket
	Name    string         // common name of the certificate that it proved to hold; at most 255 bytes, of any value
}

// peerOf asks the kernel, not the peer. What cannot be told is left zero.
func peerOf(nc net.Conn) (p Peer) {
	switch c := nc.(type) {
	case *net.TCPConn:
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			p.Address = a.AddrPort()
		}
	case *net.UnixConn:
		raw, err := c.SyscallConn()
		if err != nil {
			return p
		}
		raw.Control(func(fd uintptr) {
			if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				p.UID, p.PID = cred.Uid, cred.Pid
			}
		})
	}
	return p
}

// label names the peer in each of its log lines. An address is for debugging only.
func (p Peer) label(log *slog.Logger) *slog.Logger {
	if !p.Address.IsValid() {
		return log.With("uid", p.UID, "pid", p.PID)
	}
	log.Debug("connection accepted", "peer", p.Address)
	return log
}
