package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

const (
	maxDatagrams = 64 // in one system call

	dialTimeout = 10 * time.Second
	redialAfter = 30 * time.Second // at most so often, when there is trouble
	answerAfter = 100 * time.Millisecond

	// The kernel's own queues may be full for a moment.
	maxBusyTries = 20
	busyWait     = 2 * time.Millisecond
)

// udp sends each container as one datagram, or as fragments if it is larger than
// the MTU.
type udp struct {
	address string
	mtu     int
	pace    pace

	conn    *net.UDPConn
	batch   datagramWriter // conn, for several datagrams at once
	release func() bool    // of the watch that ends a blocked write
	dialled time.Time
	suspect bool      // there was trouble: the host may have moved
	asked   time.Time // when a refusal of what was sent is looked for; zero: nothing was
	refusal error     // that was found, until the next Send tells it too; nil: none

	datagrams []ipv4.Message
	buffers   [][]byte // one each
	parts     []part   // one each
	fragments []byte
	ends      []int
}

// A datagramWriter is what udp wants of an *ipv4.PacketConn, which serves IPv6 too.
type datagramWriter interface {
	WriteBatch(datagrams []ipv4.Message, flags int) (int, error)
}

// A part says which container a datagram carries, or a part of which.
type part struct {
	container int
	last      bool // the container's last
}

func newUDP(c *SinkConfig) *udp {
	return &udp{address: c.Target.Address, mtu: c.MTU, pace: newPace(c.Rate)}
}

func (u *udp) Send(ctx context.Context, b *batch, from int) (outcome, error) {
	if err := u.connect(ctx); err != nil {
		return outcome{}, err
	}
	u.lay(b, from)
	o := outcome{trouble: u.refusal}
	u.refusal = nil
	var t tries
	for i := 0; i < len(u.datagrams); {
		n, err := u.pace.await(ctx, min(maxDatagrams, len(u.datagrams)-i))
		if err != nil {
			return o, err
		}
		n, err = u.batch.WriteBatch(u.datagrams[i:i+n], 0)
		for range n { // -1 beside an error
			u.took(&o, b, i)
			i, t = i+1, tries{}
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return o, ctx.Err()
		}
		if why, again := u.judge(&o, err, &t); !again {
			o.lose(b, u.parts[i].container, why)
			i, t = u.behind(i), tries{}
		}
	}
	return o, nil
}

// lay makes datagrams of the batch's containers.
func (u *udp) lay(b *batch, from int) {
	u.datagrams, u.buffers, u.parts = u.datagrams[:0], u.buffers[:0], u.parts[:0]
	u.fragments, u.ends = u.fragments[:0], u.ends[:0]
	for i := from; i < len(b.containers); i++ {
		if c := b.container(i); len(c) <= u.mtu {
			u.put(c, part{i, true})
		} else {
			u.layFragments(c, i, uint32(b.seqID)+b.seq+uint32(i))
		}
	}
}

// layFragments cuts container i. Its id is the same whenever it is sent again, and
// another one than the sink's other containers have.
func (u *udp) layFragments(c []byte, i int, id uint32) {
	at, first := len(u.fragments), len(u.ends)
	u.fragments, u.ends = nmsg.AppendFragments(u.fragments, u.ends, c, u.mtu, id)
	for k := first; k < len(u.ends); k++ {
		u.put(u.fragments[at:u.ends[k]], part{i, k == len(u.ends)-1})
		at = u.ends[k]
	}
}

func (u *udp) put(datagram []byte, p part) {
	u.buffers = append(u.buffers, datagram)
	n := len(u.buffers)
	u.datagrams = append(u.datagrams, ipv4.Message{Buffers: u.buffers[n-1 : n : n]})
	u.parts = append(u.parts, p)
}

// took counts datagram i, which the kernel took.
func (u *udp) took(o *outcome, b *batch, i int) {
	u.pace.went()
	u.asked = time.Now().Add(answerAfter)
	o.sent.Datagrams++
	o.sent.Bytes += uint64(len(u.datagrams[i].Buffers[0]))
	if u.parts[i].last {
		o.done++
		o.delivered += uint64(b.containers[u.parts[i].container].records)
		o.sent.Containers++
	}
}

// behind is the first datagram of the next container.
func (u *udp) behind(i int) int {
	for !u.parts[i].last {
		i++
	}
	return i + 1
}

// tries are those of one datagram.
type tries struct {
	busy    int
	refused bool
}

// judge says what becomes of a datagram that was not taken: it is sent again, or
// lost.
func (u *udp) judge(o *outcome, err error, t *tries) (why Loss, again bool) {
	if (errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN)) && t.busy < maxBusyTries {
		t.busy++
		time.Sleep(busyWait)
		return 0, true
	}
	u.suspect = true
	o.trouble = withoutAddress(err)
	if !errors.Is(err, unix.ECONNREFUSED) {
		return Failed, false
	}
	// An earlier datagram was refused; this one was not even tried.
	o.trouble = refusedBy(o.trouble)
	again = !t.refused
	t.refused = true
	return Refused, again
}

// connect has a socket, and looks up the host again after trouble. A socket that is
// there stays until there is a better one.
func (u *udp) connect(ctx context.Context) error {
	if u.conn != nil && (!u.suspect || time.Since(u.dialled) < redialAfter) {
		return nil
	}
	conn, err := dialUDP(ctx, u.address)
	u.dialled, u.suspect = time.Now(), false
	if err != nil {
		if u.conn != nil {
			return nil
		}
		return err
	}
	u.hangUp()
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

// reasonOf says why a name was not resolved. The error's own text may hold addresses.
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

// withoutAddress leaves off what net puts before an error: it ends up in logs.
func withoutAddress(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Rest looks whether the peer has refused the last of what was sent: the next
// datagram, which would be told, may be long in coming.
func (u *udp) Rest(context.Context) (time.Time, error) {
	switch {
	case u.asked.IsZero():
		return time.Time{}, nil
	case time.Now().Before(u.asked):
		return u.asked, nil
	}
	u.asked = time.Time{}
	if u.refusal = u.pending(); u.refusal == nil {
		return time.Time{}, nil
	}
	u.suspect = true
	return time.Time{}, troubleError{u.refusal}
}

// pending takes the error that the socket holds for whoever asks next.
func (u *udp) pending() error {
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

func refusedBy(err error) error { return fmt.Errorf("nobody listens where the datagrams go: %w", err) }

func (u *udp) Close(context.Context) error {
	u.hangUp()
	return nil
}

func (u *udp) hangUp() {
	if u.conn == nil {
		return
	}
	u.release()
	u.conn.Close() // nothing is held that closing could lose
	u.conn = nil
}
