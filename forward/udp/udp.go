// Package udp sends NMSG containers as UDP datagrams: each in one datagram, or in
// fragments if it is larger than the MTU, at a limited rate. It reads the errors that the
// network reports, and waits while the receiver cannot be reached.
//
// The package does not know what a container contains or which batches are queued. It
// cannot know which datagrams arrived: the network reports few errors, and reports them late.
package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

const (
	maxDatagrams = 64 // in one system call

	// The queues of the kernel may be full for a short time.
	maxBusyTries = 20
	busyWait     = 2 * time.Millisecond

	// replayPatience is how long a replay waits for a closed path to open.
	replayPatience = 10 * time.Second
)

// Config is the configuration that only UDP sinks have.
type Config struct {
	Rate int // datagrams a second at most, each fragment counted; 0: no limit
}

// New returns a transport to the sink's target. The first Send resolves the host.
func (c Config) New(s *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	return newTransport(c, s, env)
}

func newTransport(c Config, s *forward.SinkConfig, env forward.Env) (*transport, error) {
	r, err := newResolver(s.Target.Address)
	if err != nil {
		return nil, err
	}
	return &transport{
		mtu: s.MTU, rate: c.Rate, limit: newLimit(c.Rate),
		mode: env.Mode, log: env.Log.With("peer", s.Target.String()), countErrors: env.CountErrors,
		resolver: r, open: openSocket,
	}, nil
}

type transport struct {
	mtu         int // bytes of a datagram
	rate        int
	limit       limit
	mode        forward.Mode
	log         *slog.Logger
	countErrors func(forward.NetworkErrors)

	resolver resolver
	open     func(ctx context.Context, to netip.AddrPort) (socket, error)
	socket   socket     // nil: none is open
	peer     netip.Addr // of the latest socket
	unused   bool       // nothing was sent on the socket
	path     path
	lastSent time.Time // of a datagram; zero: none was sent
	gaveUp   bool      // a replay ended because the path stayed closed

	datagrams []ipv4.Message
	buffers   [][]byte // one for each datagram
	parts     []part   // one for each datagram
	fragments []byte   // of all containers that are cut
	ends      []int    // offsets in fragments
}

// A part describes a datagram: a container or a fragment of one.
type part struct {
	container int
	last      bool // the last datagram of the container
}

// A closedError reports that the path is closed.
type closedError struct{ cause error }

// Error returns the text of the cause.
func (e closedError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e closedError) Unwrap() error { return e.cause }

// Open does nothing: Send opens the socket, and reopens it after errors.
func (u *transport) Open(context.Context) error { return nil }

// Send sends the units of the first batch. If the path is closed, it sends one unit as a
// probe and returns an error; in Replay it does so only after replayPatience.
func (u *transport) Send(ctx context.Context, bs []*forward.Batch, from int) (forward.Result, error) {
	var r forward.Result
	for {
		err := u.send(ctx, &r, bs[0], from)
		_, closed := errors.AsType[closedError](err)
		switch {
		case !closed || u.mode != forward.Replay:
			return r, err
		case time.Since(u.path.since) >= replayPatience:
			u.gaveUp = true
			return r, fmt.Errorf("%w, for %v", err, replayPatience)
		case r.Units > 0:
			return r, nil
		}
	}
}

func (u *transport) send(ctx context.Context, r *forward.Result, b *forward.Batch, from int) error {
	if err := u.connect(ctx); err != nil {
		return err
	}
	if err := u.awaitTry(ctx); err != nil {
		return err
	}
	u.makeDatagrams(b, from)
	n, probes := len(u.datagrams), u.path.closed()
	if probes {
		n = u.afterContainer(0)
		u.path.probe(time.Now())
	}
	var t tries
	for i := 0; i < n; {
		allowed, err := u.limit.wait(ctx, min(maxDatagrams, n-i))
		if err != nil {
			return err
		}
		sent, failed := u.socket.WriteBatch(u.datagrams[i:i+allowed], 0)
		if sent > 0 { // -1 with an error
			u.countSent(r, b, i, sent)
			i, t = i+sent, tries{}
		}
		err = u.readErrors()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case u.path.closed() && !probes:
			return closedError{u.path.cause}
		case failed == nil || t.again(failed):
			continue
		case u.isOwn(failed):
			r.LossCause = withoutAddress(failed)
			r.Lose(b, u.parts[i].container, forward.Failed)
			i, t = u.afterContainer(i), tries{}
			u.path.probing = false
		default:
			u.closeSocket()
			return withoutAddress(failed)
		}
	}
	if u.path.closed() {
		return closedError{u.path.cause}
	}
	return nil
}

// awaitTry waits while the path is closed, until a probe is due. Then it
// opens the path if the probe caused no error.
func (u *transport) awaitTry(ctx context.Context) error {
	if !u.path.closed() {
		return nil
	}
	if err := sleep(ctx, time.Until(u.path.nextTry())); err != nil {
		return err
	}
	err := u.readErrors()
	u.pass()
	return err
}

// pass opens the path if its probe caused no error.
func (u *transport) pass() {
	if u.path.pass(time.Now()) {
		u.log.Info("the path to the receiver is open again")
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// MayTake returns the longest time that the rate delays the first batch. It counts a
// datagram for each container, and twice those that the bytes would fill.
func (u *transport) MayTake(bs []*forward.Batch) time.Duration {
	if u.rate == 0 || len(bs) == 0 {
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

// addFragments cuts c, which is container i, into fragments. A retry uses the same id, and
// other containers of the sink have other ids.
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

// countSent counts n datagrams, from number i on, as sent.
func (u *transport) countSent(r *forward.Result, b *forward.Batch, i, n int) {
	u.lastSent, u.unused = time.Now(), false
	for ; n > 0; i, n = i+1, n-1 {
		u.limit.sent()
		r.Sent.Datagrams++
		r.Sent.Bytes += uint64(len(u.datagrams[i].Buffers[0]))
		if u.parts[i].last {
			r.Units++
			r.Delivered += uint64(b.Units[u.parts[i].container].Records)
			r.Sent.Containers++
		}
	}
}

// afterContainer returns the number of the datagram after the container of datagram i.
func (u *transport) afterContainer(i int) int {
	for !u.parts[i].last {
		i++
	}
	return i + 1
}

// tries counts the tries of one datagram.
type tries struct{ busy, other int }

// maxTries limits the tries of a datagram while the kernel is not busy. It may report the error
// of an earlier datagram instead of sending this one.
const maxTries = 3

// again reports whether a datagram that was not sent because of err is sent again at once.
func (t *tries) again(err error) bool {
	if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN) {
		t.other++
		return t.other < maxTries
	}
	t.busy++
	time.Sleep(busyWait)
	return t.busy <= maxBusyTries
}

// isOwn reports whether err concerns one datagram only. The kernel also returns EINVAL if the
// socket's own address has gone; a new socket has another.
func (u *transport) isOwn(err error) bool {
	return errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EINVAL) && u.unused
}

// connect opens a socket if there is none, or if the receiver's name has another address. The
// old socket stays open until the new one is open.
func (u *transport) connect(ctx context.Context) error {
	if !u.peer.IsValid() {
		addrs, err := u.resolver.now(ctx)
		if err != nil {
			return err
		}
		return u.dial(ctx, addrs)
	}
	u.resolver.start(ctx, u.path.closed() || u.socket == nil)
	switch addrs := u.resolver.result(); {
	case addrs != nil && !slices.Contains(addrs, u.peer):
		return u.dial(ctx, addrs)
	case u.socket == nil:
		return u.dial(ctx, []netip.Addr{u.peer})
	}
	return nil
}

// dial opens a socket to the first of addrs to which the kernel has a route.
func (u *transport) dial(ctx context.Context, addrs []netip.Addr) error {
	var failed error
	for _, a := range addrs {
		s, err := u.open(ctx, netip.AddrPortFrom(a, u.resolver.port))
		if err != nil {
			failed = err
			continue
		}
		u.closeSocket()
		u.socket, u.unused = s, true
		if u.peer != a {
			if u.peer.IsValid() {
				u.log.Info("the receiver's name has another address")
			}
			u.peer, u.path = a, path{}
		}
		return nil
	}
	if u.socket != nil {
		return nil
	}
	return fmt.Errorf("opening a socket to its URL: %w", failed)
}

// Idle reads the errors of the datagrams that were sent last, and looks the receiver's name up
// again when that is due.
func (u *transport) Idle(ctx context.Context) (time.Time, error) {
	if !u.peer.IsValid() {
		return time.Time{}, nil
	}
	err := u.connect(ctx)
	if err == nil {
		err = u.readErrors()
	}
	u.pass()
	if err == nil && u.path.closed() {
		err = closedError{u.path.cause}
	}
	return u.nextIdle(time.Now()), err
}

const (
	// Errors usually come within errorDelay, and none comes after lastError: a host that
	// does not answer on its network is reported after three seconds.
	errorDelay = 100 * time.Millisecond
	lastError  = 5 * time.Second
)

// nextIdle returns when Idle has work again; zero: never.
func (u *transport) nextIdle(now time.Time) time.Time {
	next := u.resolver.due(u.path.closed() || u.socket == nil)
	soonest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	switch age := now.Sub(u.lastSent); {
	case age < quietTime:
		soonest(now.Add(errorDelay))
	case age < lastError || u.resolver.found != nil:
		soonest(now.Add(quietTime))
	}
	if u.path.probing {
		soonest(u.path.nextTry())
	}
	return next
}

// Close closes the socket. In Replay it first waits for the errors of the last datagrams.
func (u *transport) Close(ctx context.Context) error {
	defer u.closeSocket()
	u.resolver.stop()
	if u.mode != forward.Replay || u.socket == nil || u.gaveUp {
		return nil
	}
	if err := sleep(ctx, time.Until(u.lastSent.Add(quietTime))); err != nil {
		return nil // what was not sent is lost already
	}
	err := u.readErrors()
	u.pass()
	if err == nil && u.path.closed() {
		err = fmt.Errorf("the last records may not have arrived: %w", u.path.cause)
	}
	return err
}

func (u *transport) closeSocket() {
	if u.socket != nil {
		u.socket.Close() // a UDP socket has no data that Close could lose
		u.socket = nil
	}
}
