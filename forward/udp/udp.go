// Package udp sends NMSG containers as UDP datagrams: each in one datagram, or in
// fragments if it is larger than the MTU, at a limited rate.
//
// The package does not know what a container contains, which batches are queued, or
// whether a receiver exists. Network errors arrive late, if at all.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

const (
	maxDatagrams = 64 // in one system call

	dialTimeout  = 10 * time.Second
	redialAfter  = 30 * time.Second // shortest time between dials after errors
	refusalDelay = 100 * time.Millisecond

	// The queues of the kernel may be full for a short time.
	maxBusyTries = 20
	busyWait     = 2 * time.Millisecond
)

// Config is the configuration that only UDP sinks have.
type Config struct {
	Rate int // datagrams a second at most, each fragment counted; 0: no limit
}

// New returns a transport to the sink's target. The first Send resolves the host.
func (c Config) New(s *forward.SinkConfig, _ forward.Env) (forward.Transport, error) {
	return newTransport(s.Target.Address, s.MTU, c.Rate), nil
}

func newTransport(address string, mtu, rate int) *transport {
	return &transport{address: address, mtu: mtu, rate: rate, limit: newLimit(rate)}
}

type transport struct {
	address string
	mtu     int // bytes of a datagram
	rate    int
	limit   limit

	conn    *net.UDPConn
	batch   datagramWriter // conn, for several datagrams at once
	release func() bool    // stops the context function that ends a blocked write
	dialled time.Time
	redial  bool      // after an error: the host may have a new address
	checkAt time.Time // when Rest checks for refused datagrams; zero: never
	refusal error     // found by Rest; the next Send returns it too; nil: none

	datagrams []ipv4.Message
	buffers   [][]byte // one each
	parts     []part   // one each
	fragments []byte
	ends      []int
}

// A datagramWriter is the part of *ipv4.PacketConn that is used. It works for IPv6 too.
type datagramWriter interface {
	WriteBatch(datagrams []ipv4.Message, flags int) (int, error)
}

// A part describes a datagram: a container or a fragment of one.
type part struct {
	container int
	last      bool // the last datagram of the container
}

// Open does nothing: Send opens the socket, and reopens it after errors.
func (u *transport) Open(context.Context) error { return nil }

// Send sends the units of the first batch.
func (u *transport) Send(ctx context.Context, bs []*forward.Batch, from int) (forward.Result, error) {
	if err := u.connect(ctx); err != nil {
		return forward.Result{}, err
	}
	b := bs[0]
	u.makeDatagrams(b, from)
	r := forward.Result{Trouble: u.refusal}
	u.refusal = nil
	var t tries
	for i := 0; i < len(u.datagrams); {
		n, err := u.limit.wait(ctx, min(maxDatagrams, len(u.datagrams)-i))
		if err != nil {
			return r, err
		}
		n, err = u.batch.WriteBatch(u.datagrams[i:i+n], 0)
		for range n { // -1 with an error
			u.countSent(&r, b, i)
			i, t = i+1, tries{}
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if why, again := u.handleError(&r, err, &t); !again {
			r.Lose(b, u.parts[i].container, why)
			i, t = u.afterContainer(i), tries{}
		}
	}
	return r, nil
}

// MayTake returns the longest time that the rate delays the first batch. It has at most
// twice the datagrams that its bytes would fill.
func (u *transport) MayTake(bs []*forward.Batch) time.Duration {
	if u.rate == 0 {
		return 0
	}
	datagrams := len(bs[0].Units) + 2*len(bs[0].Buf)/u.mtu
	return time.Duration(datagrams) * time.Second / time.Duration(u.rate)
}

// makeDatagrams makes datagrams of the batch's containers, from number from on.
func (u *transport) makeDatagrams(b *forward.Batch, from int) {
	u.datagrams, u.buffers, u.parts = u.datagrams[:0], u.buffers[:0], u.parts[:0]
	u.fragments, u.ends = u.fragments[:0], u.ends[:0]
	for i := from; i < len(b.Units); i++ {
		if c := b.Bytes(i); len(c) <= u.mtu {
			u.add(c, part{i, true})
		} else {
			u.addFragments(c, i, uint32(b.ID)+b.First+uint32(i))
		}
	}
}

// addFragments cuts container i into fragments. A retry uses the same id, and other
// containers of the sink have other ids.
func (u *transport) addFragments(c []byte, i int, id uint32) {
	at, first := len(u.fragments), len(u.ends)
	u.fragments, u.ends = nmsg.AppendFragments(u.fragments, u.ends, c, u.mtu, id)
	for k := first; k < len(u.ends); k++ {
		u.add(u.fragments[at:u.ends[k]], part{i, k == len(u.ends)-1})
		at = u.ends[k]
	}
}

func (u *transport) add(datagram []byte, p part) {
	u.buffers = append(u.buffers, datagram)
	n := len(u.buffers)
	u.datagrams = append(u.datagrams, ipv4.Message{Buffers: u.buffers[n-1 : n : n]})
	u.parts = append(u.parts, p)
}

// countSent counts datagram i as sent.
func (u *transport) countSent(r *forward.Result, b *forward.Batch, i int) {
	u.limit.sent()
	u.checkAt = time.Now().Add(refusalDelay)
	r.Sent.Datagrams++
	r.Sent.Bytes += uint64(len(u.datagrams[i].Buffers[0]))
	if u.parts[i].last {
		r.Units++
		r.Delivered += uint64(b.Units[u.parts[i].container].Records)
		r.Sent.Containers++
	}
}

// afterContainer returns the first datagram of the next container.
func (u *transport) afterContainer(i int) int {
	for !u.parts[i].last {
		i++
	}
	return i + 1
}

// tries counts the tries of one datagram.
type tries struct {
	busy    int
	refused bool
}

// handleError decides whether a datagram that was not sent is sent again or lost.
func (u *transport) handleError(r *forward.Result, err error, t *tries) (why forward.Loss, again bool) {
	if (errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN)) && t.busy < maxBusyTries {
		t.busy++
		time.Sleep(busyWait)
		return 0, true
	}
	u.redial = true
	r.Trouble = withoutAddress(err)
	if !errors.Is(err, unix.ECONNREFUSED) {
		return forward.Failed, false
	}
	// An earlier datagram was refused; this one was not sent at all.
	r.Trouble = refusedBy(r.Trouble)
	again = !t.refused
	t.refused = true
	return forward.Refused, again
}

// connect opens a socket, and resolves the host again after errors. The old socket stays
// open until the new one is open.
func (u *transport) connect(ctx context.Context) error {
	if u.conn != nil && (!u.redial || time.Since(u.dialled) < redialAfter) {
		return nil
	}
	conn, err := dialUDP(ctx, u.address)
	u.dialled, u.redial = time.Now(), false
	if err != nil {
		if u.conn != nil {
			return nil
		}
		return err
	}
	u.closeSocket()
	u.conn, u.batch = conn, ipv4.NewPacketConn(conn)
	u.release = context.AfterFunc(ctx, func() { conn.SetWriteDeadline(time.Unix(1, 0)) })
	return nil
}

func dialUDP(ctx context.Context, address string) (*net.UDPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", address)
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return nil, fmt.Errorf("the host in its URL cannot be resolved: %s (is the name right, does this machine resolve names?)", reasonOf(dns))
	}
	if err != nil {
		return nil, fmt.Errorf("opening a socket to its URL: %w", withoutAddress(err))
	}
	return conn.(*net.UDPConn), nil
}

// reasonOf returns why a name was not resolved. The text of err may contain addresses.
func reasonOf(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "no such host"
	case err.IsTimeout:
		return "no answer in time"
	default:
		return "no answer from the name service"
	}
}

// withoutAddress returns err without the addresses that package net adds. collector has its
// own copy, because sources and sinks do not import each other.
func withoutAddress(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Rest checks whether the peer has refused the last datagrams. The next Send would report
// it too, but may be much later.
func (u *transport) Rest(context.Context) (time.Time, error) {
	switch {
	case u.checkAt.IsZero():
		return time.Time{}, nil
	case time.Now().Before(u.checkAt):
		return u.checkAt, nil
	}
	u.checkAt = time.Time{}
	if u.refusal = u.pending(); u.refusal == nil {
		return time.Time{}, nil
	}
	u.redial = true
	return time.Time{}, forward.TroubleError{Err: u.refusal}
}

// pending returns and clears the pending error of the socket.
func (u *transport) pending() error {
	raw, err := u.conn.SyscallConn()
	if err != nil {
		return withoutAddress(err)
	}
	var code int
	var failed error
	if err := raw.Control(func(fd uintptr) { code, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) }); err != nil {
		return withoutAddress(err)
	}
	switch {
	case failed != nil:
		return fmt.Errorf("asking the socket what became of datagrams: %w", failed)
	case unix.Errno(code) == unix.ECONNREFUSED:
		return refusedBy(unix.ECONNREFUSED)
	case code != 0:
		return unix.Errno(code)
	}
	return nil
}

func refusedBy(err error) error { return fmt.Errorf("no process listens at the target: %w", err) }

// Close closes the socket.
func (u *transport) Close(context.Context) error {
	u.closeSocket()
	return nil
}

func (u *transport) closeSocket() {
	if u.conn == nil {
		return
	}
	u.release()
	u.conn.Close() // a UDP socket has no data that Close could lose
	u.conn = nil
}
