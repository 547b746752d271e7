package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A peer is a UDP socket on loopback. It reads when everything has been sent, so
// that must fit a socket's buffer.
type peer struct {
	conn *net.UDPConn
	read nmsg.Assembler
	gaps int

	names     []string
	datagrams int
	largest   int
}

func listenUDP(tb testing.TB, address string) *peer {
	tb.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	p := &peer{conn: conn}
	p.read.OnGap(func(g nmsg.Gap) { p.gaps += int(g.Missing()) })
	return p
}

func (p *peer) sink() SinkConfig {
	c := testSink("udp")
	c.Target = Target{Scheme: UDP, Address: p.conn.LocalAddr().String()}
	return c
}

// receive reads what has come: on loopback it is there when the sender has sent it.
func (p *peer) receive(tb testing.TB) {
	tb.Helper()
	buf := make([]byte, 1<<16)
	for {
		if err := p.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			tb.Fatal(err)
		}
		n, from, err := p.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			tb.Fatal(err)
		}
		p.datagrams++
		p.largest = max(p.largest, n)
		p.read.Add(buf[:n], time.Now(), from)
		for {
			m, err := p.read.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				tb.Fatal(err)
			}
			name, err := nameOf(&m)
			if err != nil {
				tb.Fatal(err)
			}
			p.names = append(p.names, name)
		}
	}
}

func TestDatagramsArriveOverBothFamilies(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		p := listenUDP(t, address)
		f := newFileForwarder(t, Live, p.sink(), nil)
		if err := runFile(f, func(l *Lane) { burst(l, 0, 0, 200, 100) }); err != nil {
			t.Fatal(err)
		}
		p.receive(t)
		s := f.Ledger().Sinks[0]
		checkNames(t, p.names)
		if s.Delivered != 200 || len(p.names) != 200 || p.gaps != 0 {
			t.Errorf("%s: delivered %d, received %d, %d containers missing", address, s.Delivered, len(p.names), p.gaps)
		}
		if s.Sent.Datagrams != uint64(p.datagrams) || s.Sent.Containers != s.Sent.Datagrams || p.largest > 1280 {
			t.Errorf("%s: sent %+v; received %d datagrams, the largest of %d bytes", address, s.Sent, p.datagrams, p.largest)
		}
	}
}

func TestOnlyAPayloadBeyondTheMTUTravelsInFragments(t *testing.T) {
	for _, zlib := range []bool{false, true} {
		p := listenUDP(t, "127.0.0.1:0")
		c := p.sink()
		c.Zlib = zlib
		f := newFileForwarder(t, Live, c, nil)
		err := runFile(f, func(l *Lane) {
			for i, size := range []int{100, 5000, 100, 60000, 100} {
				l.Begin()
				r := testRecord(0, i, size)
				for k := range r.Response[len(r.Query):] {
					r.Response[len(r.Query)+k] = byte(k * k >> 5 * (k | 1)) // hard to compress
				}
				l.record(r)
				l.End()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		p.receive(t)
		s := f.Ledger().Sinks[0]
		if s.Delivered != 5 || len(p.names) != 5 || p.gaps != 0 || p.largest > c.MTU {
			t.Errorf("zlib %v: delivered %d, received %d, %d containers missing, the largest of %d bytes",
				zlib, s.Delivered, len(p.names), p.gaps, p.largest)
		}
		if s.Sent.Containers != 5 || s.Sent.Datagrams != uint64(p.datagrams) || p.datagrams < 3+65000/c.MTU {
			t.Errorf("zlib %v: sent %+v, received %d datagrams", zlib, s.Sent, p.datagrams)
		}
	}
}

func TestAContainerThatIsSentAgainIsTheSame(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	l := r.Lane("source")
	burst(l, 0, 0, 1, 5000)
	burst(l, 0, 1, 1, 5000)
	l.Close()
	b := r.sinks[0].queue.pop(nil)[0]
	u := newUDP(&SinkConfig{MTU: 1280})
	u.lay(b, 0)
	all := string(u.fragments)
	n := len(u.parts)
	u.lay(b, 1)
	if len(u.parts) >= n || !strings.HasSuffix(all, string(u.fragments)) {
		t.Errorf("%d and %d fragments, the second time other ones", n, len(u.parts))
	}
}

// closedPort is a loopback address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	p := listenUDP(t, "127.0.0.1:0")
	address := p.conn.LocalAddr().String()
	p.conn.Close()
	return address
}

func TestAPeerThatRefusesIsToldAndHoldsNothingUp(t *testing.T) {
	c := testSink("udp")
	c.Target = Target{Scheme: UDP, Address: closedPort(t)}
	f := newFileForwarder(t, Live, c, nil)
	err := runFile(f, func(l *Lane) {
		for i := range 20 {
			burst(l, 0, i*100, 100, 300)
		}
	})
	if err != nil {
		t.Error(err)
	}
	ledger := f.Ledger()
	if err := checkLedger(&ledger); err != nil {
		t.Error(err)
	}
	s := ledger.Sinks[0]
	if s.Offered != 2000 || s.Delivered+s.Lost[Refused] != 2000 {
		t.Errorf("ledger: %+v", s)
	}
	if !strings.Contains(s.Error, "nobody listens where the datagrams go") || strings.Contains(s.Error, "127.0.0.1") {
		t.Errorf("error %q", s.Error)
	}
}

// A selftest has sent one record, and wants to know.
func TestARefusalIsToldThoughNothingElseIsSent(t *testing.T) {
	c := testSink("udp")
	c.Target = Target{Scheme: UDP, Address: closedPort(t)}
	f := newFileForwarder(t, Live, c, nil)
	err := runFile(f, func(l *Lane) {
		burst(l, 0, 0, 1, 300)
		eventually(t, "a refusal", func() bool { return f.Ledger().Sinks[0].Error != "" })
	})
	if err != nil {
		t.Error(err)
	}
	ledger := f.Ledger()
	if err := checkLedger(&ledger); err != nil {
		t.Error(err)
	}
	if s := ledger.Sinks[0]; s.Delivered != 1 || !strings.Contains(s.Error, "nobody listens where the datagrams go") {
		t.Errorf("ledger: %+v", s)
	}
}

func TestARefusedDatagramIsSentOnceMore(t *testing.T) {
	b := new(batch)
	b.containers = []mark{{records: 3}}
	u := &udp{parts: []part{{0, true}}}
	var o outcome
	var tr tries
	if _, again := u.judge(&o, unix.ECONNREFUSED, &tr); !again {
		t.Error("it is lost at once")
	}
	if why, again := u.judge(&o, unix.ECONNREFUSED, &tr); again || why != Refused {
		t.Errorf("%v, again %v", why, again)
	}
	if !u.suspect || o.trouble == nil {
		t.Error("nobody is told")
	}
}

func TestAnErrorCostsItsDatagramOnly(t *testing.T) {
	p := listenUDP(t, "127.0.0.1:0")
	c := p.sink()
	c.MTU = 1 << 20 // beyond what a datagram holds: EMSGSIZE
	f := newFileForwarder(t, Live, c, nil)
	err := runFile(f, func(l *Lane) {
		burst(l, 0, 0, 1, 100)
		for i := range 3 {
			burst(l, 0, 1+2*i, 1, 65400)
			burst(l, 0, 2+2*i, 1, 100)
		}
	})
	if err != nil {
		t.Error(err)
	}
	p.receive(t)
	s := f.Ledger().Sinks[0]
	if s.Offered != 7 || s.Lost[Failed] == 0 || s.Delivered != uint64(len(p.names)) || s.Delivered+s.Lost[Failed] != 7 {
		t.Errorf("received %d, ledger: %+v", len(p.names), s)
	}
	if !strings.Contains(s.Error, "message too long") {
		t.Errorf("error %q", s.Error)
	}
}

func TestABusyKernelIsWaitedForButNotForEver(t *testing.T) {
	u := new(udp)
	var o outcome
	var tr tries
	for range maxBusyTries {
		if _, again := u.judge(&o, unix.ENOBUFS, &tr); !again || o.trouble != nil {
			t.Fatalf("given up after %d tries", tr.busy)
		}
	}
	if why, again := u.judge(&o, unix.ENOBUFS, &tr); again || why != Failed {
		t.Errorf("%v, again %v", why, again)
	}
}

const unresolvable = "no-such-host.invalid:9430"

func TestAnUnresolvableHostEndsAReplayAtOnce(t *testing.T) {
	c := testSink("udp")
	c.Target = Target{Scheme: UDP, Address: unresolvable}
	f := newFileForwarder(t, Replay, c, nil)
	err := runFile(f, func(l *Lane) { burst(l, 0, 0, 10, 100) })
	if err == nil || !strings.Contains(err.Error(), `sink "udp": the host in its URL cannot be resolved`) {
		t.Errorf("Run: %v", err)
	}
	if s := f.Ledger().Sinks[0]; s.Lost[Failed] != 10 {
		t.Errorf("ledger: %+v", s)
	}
}

func TestAnUnresolvableHostIsTriedAgainInLive(t *testing.T) {
	c := testSink("udp")
	c.Target = Target{Scheme: UDP, Address: unresolvable}
	c.Flush, c.Queue = time.Millisecond, 64<<10
	f := newFileForwarder(t, Live, c, nil)
	err := runFile(f, func(l *Lane) {
		burst(l, 0, 0, 10, 100)
		eventually(t, "the first try fails", func() bool { return f.Ledger().Sinks[0].Error != "" })
		burst(l, 0, 10, 1000, 300)
		if s := f.Ledger().Sinks[0]; s.Lost[QueueFull] == 0 || s.Lost[Failed] != 0 || s.Queued == 0 {
			t.Errorf("meanwhile: %+v", s)
		}
	})
	if !errors.Is(err, errGaveUp) {
		t.Errorf("Run: %v, want that the last try failed", err)
	}
	s := f.Ledger().Sinks[0]
	if s.Offered != 1010 || s.Sum() != 1010 || s.Lost[Failed] == 0 || s.Queued != 0 {
		t.Errorf("in the end: %+v", s)
	}
}

func TestASocketStaysWhenTheHostCannotBeResolvedAnyMore(t *testing.T) {
	p := listenUDP(t, "127.0.0.1:0")
	u := newUDP(&SinkConfig{Target: Target{Address: p.conn.LocalAddr().String()}})
	defer u.Close(context.Background())
	if err := u.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := u.conn
	u.suspect = true
	if err := u.connect(t.Context()); err != nil || u.conn != first {
		t.Errorf("looked up again too soon: %v", err)
	}
	u.dialled = time.Time{}
	if err := u.connect(t.Context()); err != nil || u.conn == first {
		t.Errorf("not looked up again after trouble: %v", err)
	}
	second := u.conn
	u.address, u.suspect, u.dialled = unresolvable, true, time.Time{}
	if err := u.connect(t.Context()); err != nil || u.conn != second {
		t.Errorf("the socket was given up: %v", err)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	p := listenUDP(t, "127.0.0.1:0")
	r := newRig(t, Live, testSink("a"))
	l := r.Lane("source")
	burst(l, 0, 0, 10, 100)
	l.Close()
	b := r.sinks[0].queue.pop(nil)[0]
	ctx, cancel := context.WithCancel(t.Context())
	c := p.sink()
	u := newUDP(&c)
	defer u.Close(context.Background())
	if _, err := u.Send(ctx, b, 0); err != nil {
		t.Fatal(err)
	}
	cancel()
	deadline := time.Now().Add(5 * time.Second)
	for { // the watch runs in a goroutine of its own
		o, err := u.Send(ctx, b, 0)
		if errors.Is(err, context.Canceled) && o.done == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it sends on: %+v, %v", o, err)
		}
	}
}
