package udp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A peer is a UDP socket on loopback. It reads after all datagrams were sent, so these must
// fit the buffer of a socket.
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

func (p *peer) sink() forward.SinkConfig { return sinkTo(p.conn.LocalAddr().String(), 0) }

// sinkTo is a sink to an address, with the MTU of Ethernet.
func sinkTo(address string, rate int) forward.SinkConfig {
	c := forwardtest.Sink("udp", forward.Target{Scheme: forward.UDP, Address: address}, Config{Rate: rate})
	c.MTU = 1280
	return c
}

// transport returns a transport to the peer.
func (p *peer) transport(tb testing.TB, mtu int) *transport {
	tb.Helper()
	c := p.sink()
	c.MTU = mtu
	u, err := newTransport(Config{}, &c, forward.Env{Log: slog.New(slog.DiscardHandler), CountErrors: func(forward.NetworkErrors) {}})
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// receive reads the datagrams that have arrived: on loopback a sent datagram has arrived.
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
			q, err := nmsg.DecodeDNSQR(m.Data)
			if err != nil {
				tb.Fatal(err)
			}
			p.names = append(p.names, string(q.QName))
		}
	}
}

func TestDatagramsArriveOverBothFamilies(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		p := listenUDP(t, address)
		f := forwardtest.New(t, forward.Live, io.Discard, p.sink())
		if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 200, 100) }); err != nil {
			t.Fatal(err)
		}
		p.receive(t)
		s := f.Ledger().Sinks[0]
		forwardtest.CheckUnique(t, p.names)
		if s.Delivered != 200 || len(p.names) != 200 || p.gaps != 0 {
			t.Errorf("%s: delivered %d, received %d, %d containers missing", address, s.Delivered, len(p.names), p.gaps)
		}
		if s.Sent.Datagrams != uint64(p.datagrams) || s.Sent.Containers != s.Sent.Datagrams || p.largest > 1280 {
			t.Errorf("%s: sent %+v; received %d datagrams, the largest of %d bytes", address, s.Sent, p.datagrams, p.largest)
		}
	}
}

func TestOnlyAPayloadLargerThanTheMTUIsFragmented(t *testing.T) {
	for _, zlib := range []bool{false, true} {
		p := listenUDP(t, "127.0.0.1:0")
		c := p.sink()
		c.Zlib = zlib
		f := forwardtest.New(t, forward.Live, io.Discard, c)
		err := forwardtest.Run(f, func(l *forward.Lane) {
			for i, size := range []int{100, 5000, 100, 60000, 100} {
				data := make([]byte, size)
				for k := range data {
					data[k] = byte(k * k >> 5 * (k | 1)) // hard to compress
				}
				l.Begin()
				l.Take(forwardtest.Message(t, fmt.Sprintf("n%d.example.", i), time.Now(), data))
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

func TestFragmentsOfARetryAreTheSame(t *testing.T) {
	b := forwardtest.Batch(t, 2, 5000, 1)
	u := &transport{mtu: 1280}
	u.makeDatagrams(b, 0)
	all := string(u.fragments)
	n := len(u.parts)
	u.makeDatagrams(b, 1)
	if len(u.parts) >= n || !strings.HasSuffix(all, string(u.fragments)) {
		t.Errorf("%d and %d fragments, which differ", n, len(u.parts))
	}
}

// closedPort returns a loopback address without a listener. Until release is called, a socket
// that is connected to another address keeps the port, so that no other test listens on it.
func closedPort(t *testing.T, at string) (address string, release func()) {
	t.Helper()
	local := netip.MustParseAddrPort(at)
	conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(local), net.UDPAddrFromAddrPort(netip.AddrPortFrom(local.Addr(), 1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String(), func() { conn.Close() }
}

// TestAClosedPathKeepsRecords checks that a receiver that starts late gets everything but the
// datagrams until the first error, and probes.
func TestAClosedPathKeepsRecords(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		at, release := closedPort(t, address)
		f := forwardtest.New(t, forward.Live, io.Discard, sinkTo(at, 5000)) // so that the peer can read them
		var p *peer
		err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 20 {
				forwardtest.Burst(t, l, i*100, 100, 300)
			}
			eventually(t, "the path is closed", func() bool { return f.Ledger().Sinks[0].Error != "" })
			s := f.Ledger().Sinks[0]
			if !strings.Contains(s.Error, "no process listens at the target") || strings.Contains(s.Error, "127.0.0.1") {
				t.Errorf("error %q", s.Error)
			}
			if s.Queued < 1500 || s.Network.Refused == 0 {
				t.Errorf("%s: meanwhile %+v", address, s)
			}
			release()
			p = listenUDP(t, at)
			eventually(t, "the path is open again", func() bool {
				p.receive(t)
				s := f.Ledger().Sinks[0]
				return s.Queued == 0 && s.Error == ""
			})
		})
		if err != nil {
			t.Error(err)
		}
		p.receive(t)
		s := forwardtest.CheckLedger(t, f)
		if s.Offered != 2000 || s.Delivered != 2000 || len(p.names) < 1500 {
			t.Errorf("%s: received %d, ledger: %+v", address, len(p.names), s)
		}
		forwardtest.CheckUnique(t, p.names)
	}
}

// A selftest sends one record and reports whether it was refused.
func TestARefusalIsReportedWithoutAnotherSend(t *testing.T) {
	at, _ := closedPort(t, "127.0.0.1:0")
	c := sinkTo(at, 0)
	f := forwardtest.New(t, forward.Live, io.Discard, c)
	err := forwardtest.Run(f, func(l *forward.Lane) {
		forwardtest.Burst(t, l, 0, 1, 300)
		eventually(t, "a refusal", func() bool { return f.Ledger().Sinks[0].Error != "" })
	})
	if err != nil {
		t.Error(err)
	}
	if s := forwardtest.CheckLedger(t, f); s.Delivered != 1 || !strings.Contains(s.Error, "no process listens at the target") {
		t.Errorf("ledger: %+v", s)
	}
}

func TestAnErrorLosesOnlyItsDatagram(t *testing.T) {
	p := listenUDP(t, "127.0.0.1:0")
	c := p.sink()
	c.MTU = 1 << 20 // beyond what a datagram holds: EMSGSIZE
	f := forwardtest.New(t, forward.Live, io.Discard, c)
	err := forwardtest.Run(f, func(l *forward.Lane) {
		forwardtest.Burst(t, l, 0, 1, 100)
		for i := range 3 {
			forwardtest.Burst(t, l, 1+2*i, 1, 65400)
			forwardtest.Burst(t, l, 2+2*i, 1, 100)
		}
	})
	if err != nil { // the sink may also have sent them before the stop
		checkLost(t, err)
	}
	p.receive(t)
	s := f.Ledger().Sinks[0]
	if s.Offered != 7 || s.Lost[forward.Failed] == 0 || s.Delivered != uint64(len(p.names)) || s.Delivered+s.Lost[forward.Failed] != 7 {
		t.Errorf("received %d, ledger: %+v", len(p.names), s)
	}
	if !strings.Contains(s.Error, "message too long") {
		t.Errorf("error %q", s.Error)
	}
}

const unresolvable = "no-such-host.invalid:9430"

func TestAnUnresolvableHostEndsAReplayAtOnce(t *testing.T) {
	c := sinkTo(unresolvable, 0)
	f := forwardtest.New(t, forward.Replay, io.Discard, c)
	err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) })
	if err == nil || !strings.Contains(err.Error(), `sink "udp": the host in its URL cannot be resolved`) {
		t.Errorf("Run: %v", err)
	}
	if s := f.Ledger().Sinks[0]; s.Lost[forward.Failed] != 10 {
		t.Errorf("ledger: %+v", s)
	}
}

func TestAnUnresolvableHostIsTriedAgainInLive(t *testing.T) {
	c := sinkTo(unresolvable, 0)
	c.Flush, c.Queue = time.Millisecond, 64<<10
	f := forwardtest.New(t, forward.Live, io.Discard, c)
	err := forwardtest.Run(f, func(l *forward.Lane) {
		forwardtest.Burst(t, l, 0, 10, 100)
		eventually(t, "the first try fails", func() bool { return f.Ledger().Sinks[0].Error != "" })
		forwardtest.Burst(t, l, 10, 1000, 300)
		if s := f.Ledger().Sinks[0]; s.Lost[forward.QueueFull] == 0 || s.Lost[forward.Failed] != 0 || s.Queued == 0 {
			t.Errorf("meanwhile: %+v", s)
		}
	})
	if !strings.Contains(fmt.Sprint(err), "the last try failed") {
		t.Errorf("Run: %v, want that the last try failed", err)
	}
	s := f.Ledger().Sinks[0]
	if s.Offered != 1010 || s.Sum() != 1010 || s.Lost[forward.Failed] == 0 || s.Queued != 0 {
		t.Errorf("in the end: %+v", s)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	p := listenUDP(t, "127.0.0.1:0")
	bs := []*forward.Batch{forwardtest.Batch(t, 10, 100, 1280)}
	ctx, cancel := context.WithCancel(t.Context())
	u := p.transport(t, 1280)
	defer u.Close(context.Background())
	if _, err := u.Send(ctx, bs, 0); err != nil {
		t.Fatal(err)
	}
	cancel()
	deadline := time.Now().Add(5 * time.Second)
	for { // context.AfterFunc sets the deadline in its own goroutine
		r, err := u.Send(ctx, bs, 0)
		if errors.Is(err, context.Canceled) && r.Units == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it still sends: %+v, %v", r, err)
		}
	}
}

func TestNoAllocationFromBatchToSocket(t *testing.T) {
	p := listenUDP(t, "127.0.0.1:0")
	u, bs := sendable(t, p, 1280)
	defer u.Close(context.Background())
	work := func() {
		if r, err := u.Send(context.Background(), bs, 0); err != nil || r.Units != len(bs[0].Units) {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	work()
	if n := testing.AllocsPerRun(20, work); n > poolSlack {
		t.Errorf("%v allocations for a batch", n)
	}
}

// sendable returns a transport to p and a full batch.
func sendable(tb testing.TB, p *peer, mtu int) (*transport, []*forward.Batch) {
	return p.transport(tb, mtu), []*forward.Batch{forwardtest.Batch(tb, 1000, 100, mtu)}
}

func BenchmarkUDP(b *testing.B) {
	for name, mtu := range map[string]int{"mtu 1280": 1280, "mtu 8192": 8192} {
		b.Run(name, func(b *testing.B) {
			p := listenUDP(b, "127.0.0.1:0") // never read: the kernel drops what does not fit
			u, bs := sendable(b, p, mtu)
			defer u.Close(context.Background())
			b.ReportAllocs()
			b.SetBytes(int64(len(bs[0].Buf)))
			n := 0
			for b.Loop() {
				r, err := u.Send(context.Background(), bs, 0)
				if err != nil {
					b.Fatal(err)
				}
				n += int(r.Sent.Datagrams)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/datagram")
		})
	}
}

// eventually waits until ok returns true.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("never happened: %s", what)
		}
	}
}
