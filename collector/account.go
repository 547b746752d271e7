package collector

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Connection describes one connection that has sent START.
type Connection struct {
	Number        uint64 // counts the source's connections from 1; "connection" in the log
	Peer          Peer
	Since         time.Time // accepted
	Identity      string    // as the resolver states it; at most 255 bytes, of any value
	Version       string    // likewise
	Bidirectional bool
	Frames        uint64     // data frames, unreadable ones included
	Types         TypeCounts // of the readable frames
	Outward       uint64     // messages that are outward by type and times
	Remedy        Remedy     // as reported; zero: not reported, or no longer due
}

// A Peer is the other end of a connection: a process on a Unix socket, an address on TCP.
type Peer struct {
	UID     uint32         // Unix socket
	PID     int32          // Unix socket; 0 if the process is in another PID namespace
	Address netip.AddrPort // TCP; the zero value on a Unix socket
	Name    string         // common name of its verified certificate; at most 255 bytes, of any value
}

// peerOf asks the kernel for the peer. Fields that the kernel does not know are zero.
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

// label returns log with the peer's attributes. An address is logged once, at debug level.
func (p Peer) label(log *slog.Logger) *slog.Logger {
	if !p.Address.IsValid() {
		return log.With("uid", p.UID, "pid", p.PID)
	}
	log.Debug("connection accepted", "peer", p.Address)
	return log
}

// TypeCounts counts messages by dnstap.Message_Type. Types that dnstap.proto does not have are
// counted at 0.
type TypeCounts [dnstap.Message_UPDATE_RESPONSE + 1]uint64

// attr returns the counts that are not 0, by the types' names.
func (c *TypeCounts) attr() slog.Attr {
	var counts []any
	for t, n := range c {
		if n > 0 {
			counts = append(counts, slog.Uint64(typeName(t), n))
		}
	}
	return slog.Group("messages", counts...)
}

func typeName(t int) string {
	if name, known := dnstap.Message_Type_name[int32(t)]; known {
		return name
	}
	return "unknown"
}

// maxLabel is the limit of identity, version and certificate name, in bytes. Over DNS, an NSID
// or version.bind is a character-string of at most 255 (RFC 1035, section 3.3).
const maxLabel = 255

// An account counts what a stream has received. Only the goroutine that reads uses it.
type account struct {
	frames            uint64 // data frames
	oversize          uint32 // bytes of the first data frame above max_frame; 0: none
	types             TypeCounts
	identity, version []byte
	renamed           bool // identity or version changed after the last publish

	notOutward uint64 // messages that the lane dropped as not outward
	outward    uint64 // all other messages
	forwarded  uint64 // outward messages dropped as forwarded: to or from another resolver
	direct     uint64 // outward responses that were not dropped as forwarded
}

// noteOversize keeps the length of the first data frame above max_frame.
func (a *account) noteOversize(length uint32) {
	if a.oversize == 0 {
		a.oversize = length
	}
}

// note counts the type of a decoded frame, and copies its identity and version.
func (a *account) note(f *fields) {
	kind := f.messageType
	if kind < 0 || int(kind) >= len(a.types) {
		kind = 0
	}
	a.types[kind]++
	if f.newNames {
		f.newNames = false
		a.setLabel(&a.identity, f.bytes(f.identity))
		a.setLabel(&a.version, f.bytes(f.version))
	}
}

// setLabel copies a frame's value, up to maxLabel, to kept. A nil value, of a frame without
// the field, changes nothing.
func (a *account) setLabel(kept *[]byte, value []byte) {
	value = value[:min(len(value), maxLabel)]
	if value != nil && !bytes.Equal(*kept, value) {
		*kept = append((*kept)[:0], value...)
		a.renamed = true
	}
}

// countReason counts a message by the lane's reason. Only a response counts as direct: the
// lane may drop a query as forwarded after it returned Kept.
func (a *account) countReason(role transform.Role, reason transform.Reason) {
	switch {
	case reason == transform.NotOutward:
		a.notOutward++
		return
	case reason == transform.Forwarded:
		a.forwarded++
	case role == transform.ResolverResponse:
		a.direct++
	}
	a.outward++
}

// publish copies the account to c.shown after a burst. It logs a new identity or version, and
// the first frame above max_frame.
func (c *conn) publish() {
	a := &c.stream.account
	c.mu.Lock()
	c.shown.Frames, c.shown.Types, c.shown.Outward = a.frames, a.types, a.outward
	first := c.shown.Identity == "" && c.shown.Version == ""
	if a.renamed {
		c.shown.Identity, c.shown.Version = string(a.identity), string(a.version)
	}
	c.mu.Unlock()
	if a.renamed {
		a.renamed = false
		level := slog.LevelDebug // a relay may send frames of several resolvers in turn
		if first {
			level = slog.LevelInfo
		}
		c.log.Log(context.Background(), level, "resolver named itself",
			"identity", string(a.identity), "version", string(a.version))
	}
	if a.oversize > 0 && !c.oversizeLogged {
		c.oversizeLogged = true
		c.log.Warn("a frame was skipped, because it is longer than max_frame; further ones are only counted",
			"length", a.oversize, "max_frame", c.limits.MaxFrame)
	}
	c.checkOutward()
}

// show returns the description of the connection; false before START.
func (c *conn) show() (Connection, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown, c.began
}
