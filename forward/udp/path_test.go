package udp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

// roundTrip is the time after which the network reports an error.
const roundTrip = 30 * time.Millisecond

// A network is a fake one: its sockets send to receivers by address.
type network struct {
	mu      sync.Mutex
	refuses unix.Errno // the error about each datagram; 0: it arrives
	limit   int        // of errors that the network reports; 0: none
	fails   unix.Errno // the error of each write; 0: none
	once    unix.Errno // the error of the next write

	addrs   []netip.Addr // of the receiver's name
	lookups []time.Time
	opened  []netip.Addr
	arrived []byte      // all that arrived
	at      []time.Time // of each datagram that was sent, arrived or not
	to      []netip.Addr
}

func (n *network) set(change func(n *network)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

func (n *network) lookup(context.Context, string, string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups = append(n.lookups, time.Now())
	if len(n.addrs) == 0 {
		return nil, &net.DNSError{IsNotFound: true}
	}
	return slices.Clone(n.addrs), nil
}

func (n *network) open(_ context.Context, to netip.AddrPort) (socket, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opened = append(n.opened, to.Addr())
	return &fakeSocket{n: n, to: to.Addr()}, nil
}

// A fakeSocket reports the errors of earlier datagrams like the kernel: by a short count, or in
// place of sending.
type fakeSocket struct {
	n      *network
	to     netip.Addr
	errors []networkReport
}

type networkReport struct {
	at time.Time
	e  unix.Errno
}

func (s *fakeSocket) WriteBatch(datagrams []ipv4.Message, _ int) (int, error) {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	for i, d := range datagrams {
		e := s.n.fails
		if s.n.once != 0 {
			e, s.n.once = s.n.once, 0
		}
		if e == 0 && len(s.errors) > 0 && !time.Now().Before(s.errors[0].at) {
			e = s.errors[0].e
		}
		if e != 0 {
			if i > 0 {
				return i, nil
			}
			return -1, &net.OpError{Err: e}
		}
		s.n.at, s.n.to = append(s.n.at, time.Now()), append(s.n.to, s.to)
		switch {
		case s.n.refuses == 0:
			s.n.arrived = append(s.n.arrived, d.Buffers[0]...)
		case s.n.limit != 0:
			s.n.limit--
			s.errors = append(s.errors, networkReport{time.Now().Add(roundTrip), s.n.refuses})
		}
	}
	return len(datagrams), nil
}

func (s *fakeSocket) nextError() (unix.Errno, error) {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	if len(s.errors) == 0 || time.Now().Before(s.errors[0].at) {
		return 0, nil
	}
	e := s.errors[0].e
	s.errors = s.errors[1:]
	return e, nil
}

func (s *fakeSocket) Close() error { return nil }

var oldAddr, newAddr = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

// newForwarder returns a Forwarder with one UDP sink, which sends into the network.
func (n *network) newForwarder(t *testing.T, mode forward.Mode, log io.Writer) *forward.Forwarder {
	t.Helper()
	n.addrs = []netip.Addr{oldAddr}
	c := sinkTo("receiver.example:9430", 0)
	config := c.Transport
	c.Transport = forwardtest.TransportFunc(func(c *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
		made, err := config.New(c, env)
		u := made.(*transport)
		u.open, u.resolver.lookup = n.open, n.lookup
		return u, err
	})
	return forwardtest.New(t, mode, log, c)
}

// names returns the names of the records that arrived, none twice.
func (n *network) names(t *testing.T) []string {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	names, _, err := forwardtest.Names(n.arrived)
	if err != nil {
		t.Fatal(err)
	}
	forwardtest.CheckUnique(t, names)
	return names
}

const aSecondOfRecords = 40

// feed makes records every second.
func feed(t *testing.T, l *forward.Lane, first, seconds int) (next int) {
	t.Helper()
	for range seconds {
		forwardtest.Burst(t, l, first, aSecondOfRecords, 300)
		first += aSecondOfRecords
		time.Sleep(time.Second)
	}
	synctest.Wait() // the test reads the fields of a network without its mutex
	return first
}

// TestAClosedPathIsProbed checks what is lost when a receiver disappears: the
// datagrams of one round trip, and the probes.
func TestAClosedPathIsProbed(t *testing.T) {
	for e, quiet := range map[unix.Errno]time.Duration{
		unix.ECONNREFUSED: quietTime, unix.EHOSTUNREACH: quietRouterTime, unix.ENETUNREACH: quietRouterTime,
		unix.EACCES: quietRouterTime, unix.ENOPROTOOPT: quietRouterTime,
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{}
			var log forwardtest.Log
			f := n.newForwarder(t, forward.Live, &log)
			var lost int
			err := forwardtest.Run(f, func(l *forward.Lane) {
				next := feed(t, l, 0, 5)
				n.set(func(n *network) { n.refuses, n.limit = e, 100 })
				before := len(n.at)
				next = feed(t, l, next, 10)
				s := forwardtest.CheckLedger(t, f)
				if s.Error == "" || s.Lost != (forward.LossCounts{}) || s.Queued < 300 {
					t.Errorf("%v: while the path is closed: %+v", e, s)
				}
				first := before // of the probes
				for n.at[first].Equal(n.at[before]) {
					first++
				}
				probes := n.at[first:]
				if len(probes) < int(7*time.Second/quiet) || len(probes) > int(10*time.Second/quiet) {
					t.Errorf("%v: %d probes in 10 s", e, len(probes))
				}
				for i := range probes[1:] {
					if probes[i+1].Sub(probes[i]) != quiet {
						t.Errorf("%v: a probe came after %v", e, probes[i+1].Sub(probes[i]))
					}
				}
				n.set(func(n *network) { n.refuses = 0; lost = len(n.at) - before })
				time.Sleep(2*quiet + roundTrip)
				s = f.Ledger().Sinks[0]
				if s.Queued != 0 || s.Error != "" {
					t.Errorf("%v: after the receiver came back: %+v", e, s)
				}
				feed(t, l, next, 5)
			})
			if err != nil {
				t.Error(err)
			}
			s := forwardtest.CheckLedger(t, f)
			if s.Delivered != s.Offered || s.Network.Refused+s.Network.Unreachable == 0 {
				t.Errorf("%v: %+v", e, s)
			}
			if missing := int(s.Delivered) - len(n.names(t)); missing < lost || missing > 2*aSecondOfRecords {
				t.Errorf("%v: %d records did not arrive, in %d datagrams", e, missing, lost)
			}
			if c, o := strings.Count(log.String(), "path to the receiver is closed"), strings.Count(log.String(), "is open again"); c != 1 || o != 1 {
				t.Errorf("%v: %d and %d lines, want one for each change:\n%s", e, c, o, &log)
			}
			if strings.Contains(log.String(), "192.0.2.") || !strings.Contains(log.String(), "peer=udp://receiver.example:9430") {
				t.Errorf("the log names the peer by its address, or not at all:\n%s", &log)
			}
		})
	}
}

// TestAnErrorWhileIdleClosesThePath checks that Idle reads the error of the last datagram, and
// opens the path after a probe, without another record.
func TestAnErrorWhileIdleClosesThePath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{refuses: unix.ECONNREFUSED, limit: 1}
		f := n.newForwarder(t, forward.Live, io.Discard)
		failing := func() bool { return f.Ledger().Sinks[0].Error != "" }
		err := forwardtest.Run(f, func(l *forward.Lane) {
			forwardtest.Burst(t, l, 0, 1, 100)
			time.Sleep(time.Second)
			if !failing() {
				t.Error("the error was not read")
			}
			n.set(func(n *network) { n.refuses = 0 })
			time.Sleep(time.Hour)
			synctest.Wait()
			if !failing() || len(n.at) != 1 {
				t.Error("the path was opened without a probe")
			}
			forwardtest.Burst(t, l, 1, 1, 100)
			time.Sleep(quietTime - time.Millisecond + 750*time.Millisecond) // the flush
			synctest.Wait()
			if len(n.at) != 2 {
				t.Errorf("%d datagrams", len(n.at))
			}
			time.Sleep(quietTime)
			if failing() {
				t.Error("the path is not open after a probe without an error")
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestErrorsOfTheWholePathLoseNothing(t *testing.T) {
	for _, e := range []unix.Errno{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EPERM, unix.EADDRNOTAVAIL, unix.ENOBUFS} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{}
			f := n.newForwarder(t, forward.Live, io.Discard)
			err := forwardtest.Run(f, func(l *forward.Lane) {
				next := feed(t, l, 0, 2)
				n.set(func(n *network) { n.fails = e })
				next = feed(t, l, next, 4)
				if s := forwardtest.CheckLedger(t, f); s.Error != e.Error() || s.Queued < 3*aSecondOfRecords || s.Lost != (forward.LossCounts{}) {
					t.Errorf("%v: %+v", e, s)
				}
				n.set(func(n *network) { n.fails = 0 })
				feed(t, l, next, 10)
			})
			if err != nil {
				t.Error(err)
			}
			if s := forwardtest.CheckLedger(t, f); s.Delivered != 16*aSecondOfRecords || len(n.names(t)) != 16*aSecondOfRecords || s.Error != "" {
				t.Errorf("%v: %d arrived, %+v", e, len(n.names(t)), s)
			}
		})
	}
}

// TestANewSocketIsOpenedIfTheOwnAddressHasGone: the kernel then returns EINVAL for each write.
func TestANewSocketIsOpenedIfTheOwnAddressHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		f := n.newForwarder(t, forward.Live, io.Discard)
		err := forwardtest.Run(f, func(l *forward.Lane) {
			next := feed(t, l, 0, 2)
			n.set(func(n *network) { n.fails = unix.EINVAL })
			forwardtest.Burst(t, l, next, 1, 100)
			time.Sleep(time.Second)
			n.set(func(n *network) { n.fails = 0 })
			time.Sleep(time.Second)
		})
		if err != nil {
			t.Error(err)
		}
		if s := forwardtest.CheckLedger(t, f); s.Delivered != s.Offered || len(n.opened) != 2 {
			t.Errorf("%d sockets, %+v", len(n.opened), s)
		}
	})
}

func TestADatagramsOwnErrorLosesIt(t *testing.T) {
	for _, e := range []unix.Errno{unix.EMSGSIZE, unix.EINVAL} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{fails: e}
			f := n.newForwarder(t, forward.Live, io.Discard)
			err := forwardtest.Run(f, func(l *forward.Lane) {
				forwardtest.Burst(t, l, 0, 1, 100)
				time.Sleep(time.Second)
				n.set(func(n *network) { n.fails = 0 })
				forwardtest.Burst(t, l, 1, 1, 100)
				time.Sleep(time.Second)
			})
			if err != nil {
				t.Error(err)
			}
			if s := forwardtest.CheckLedger(t, f); s.Delivered != 1 || s.Lost[forward.Failed] != 1 || len(n.names(t)) != 1 {
				t.Errorf("%v: %+v", e, s)
			}
		})
	}
}

// TestAnErrorOfAnEarlierDatagramLosesNone: the kernel may report it in place of sending.
func TestAnErrorOfAnEarlierDatagramLosesNone(t *testing.T) {
	for _, e := range []unix.Errno{unix.EMSGSIZE, unix.ECONNREFUSED, unix.EHOSTUNREACH} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{once: e}
			f := n.newForwarder(t, forward.Replay, io.Discard)
			if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) }); err != nil {
				t.Errorf("%v: %v", e, err)
			}
			if s := forwardtest.CheckLedger(t, f); s.Delivered != 10 || len(n.names(t)) != 10 {
				t.Errorf("%v: %+v", e, s)
			}
		})
	}
}

func TestAStopDoesNotWaitForAClosedPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{refuses: unix.ECONNREFUSED, limit: 100}
		f := n.newForwarder(t, forward.Live, io.Discard)
		var stopped time.Time
		err := forwardtest.Run(f, func(l *forward.Lane) { feed(t, l, 0, 10); stopped = time.Now() })
		if err == nil || !strings.Contains(err.Error(), "no process listens at the target") || time.Since(stopped) > 2*quietTime {
			t.Errorf("after %v: %v", time.Since(stopped), err)
		}
		if s := forwardtest.CheckLedger(t, f); s.Lost[forward.Failed] == 0 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAReplayWaitsForAClosedPathForALimitedTime(t *testing.T) {
	for _, away := range []time.Duration{replayPatience / 2, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{}
			f := n.newForwarder(t, forward.Replay, io.Discard)
			start := time.Now()
			var back *time.Timer
			err := forwardtest.Run(f, func(l *forward.Lane) {
				for i := range 100 {
					forwardtest.Burst(t, l, i*100, 100, 300)
					time.Sleep(roundTrip)
					if i == 10 {
						n.set(func(n *network) { n.refuses, n.limit = unix.EHOSTUNREACH, 1000 })
						back = time.AfterFunc(away, func() { n.set(func(n *network) { n.refuses = 0 }) })
					}
				}
			})
			back.Stop()
			took, s := time.Since(start), forwardtest.CheckLedger(t, f)
			if away > replayPatience {
				if err == nil || !strings.Contains(err.Error(), "no route to host, for 10s") || s.Lost[forward.Failed] == 0 || took > replayPatience+2*quietRouterTime {
					t.Errorf("after %v: %v, %+v", took, err, s)
				}
				return
			}
			if err != nil || s.Delivered != 10_000 || len(n.names(t)) < 9000 {
				t.Errorf("after %v: %v, %d arrived, %+v", took, err, len(n.names(t)), s)
			}
		})
	}
}

func TestAReplayReportsAnErrorOfItsLastDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{refuses: unix.ECONNREFUSED, limit: 1}
		f := n.newForwarder(t, forward.Replay, io.Discard)
		err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 1, 100) })
		if err == nil || !strings.Contains(err.Error(), "the last records may not have arrived: no process listens") {
			t.Errorf("%v", err)
		}
		if s := forwardtest.CheckLedger(t, f); s.Delivered != 1 || s.Network != (forward.NetworkErrors{Refused: 1}) {
			t.Errorf("%+v", s)
		}
	})
}

func TestErrorsAreCountedByKind(t *testing.T) {
	for e, want := range map[unix.Errno]forward.NetworkErrors{
		unix.ECONNREFUSED: {Refused: 1}, unix.ENETUNREACH: {Unreachable: 1}, unix.EHOSTUNREACH: {Unreachable: 1}, unix.EHOSTDOWN: {Unreachable: 1},
		unix.ENONET: {Unreachable: 1}, unix.ENOPROTOOPT: {Unreachable: 1}, unix.EACCES: {Unreachable: 1}, unix.EMSGSIZE: {TooLarge: 1}, unix.EPROTO: {Other: 1},
	} {
		var got forward.NetworkErrors
		if _, _, cause := count(&got, e); got != want || (cause != nil) != (want.Refused+want.Unreachable > 0) {
			t.Errorf("%v: %+v, %v", e, got, cause)
		}
	}
}

// TestAReceiverThatMovesIsFound checks that the name is looked up every few minutes, sooner
// after errors, and never while the address is still one of the name's.
func TestAReceiverThatMovesIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		trouble unix.Errno    // at the old address
		within  time.Duration // the new address is used
	}{
		"silently":    {0, lookupInterval + time.Second},
		"with errors": {unix.ECONNREFUSED, retryInterval + 2*time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{}
			f := n.newForwarder(t, forward.Live, io.Discard)
			err := forwardtest.Run(f, func(l *forward.Lane) {
				next := feed(t, l, 0, 60)
				n.set(func(n *network) { n.addrs = nil }) // the name service fails: nothing changes
				next = feed(t, l, next, int(2*lookupInterval/time.Second))
				if tries := len(n.lookups); tries != 3 || len(n.opened) != 1 || forwardtest.CheckLedger(t, f).Error != "" {
					t.Errorf("%s: %d lookups, %d sockets", name, tries, len(n.opened))
				}
				n.set(func(n *network) {
					n.addrs, n.refuses, n.limit = []netip.Addr{newAddr}, c.trouble, 1
				})
				next = feed(t, l, next, int(c.within/time.Second))
				n.set(func(n *network) { n.refuses = 0 })
				sent := len(n.to)
				next = feed(t, l, next, 10)
				if slices.Contains(n.to[sent:], oldAddr) || len(n.to) == sent {
					t.Errorf("%s: %d of %d datagrams to the old address", name, len(n.to)-sent, len(n.to))
				}
				n.set(func(n *network) { n.addrs = []netip.Addr{oldAddr, newAddr} })
				feed(t, l, next, int(2*lookupInterval/time.Second))
				if len(n.opened) != 2 {
					t.Errorf("%s: %d sockets", name, len(n.opened))
				}
			})
			if err != nil {
				t.Error(name, err)
			}
		})
	}
}

// TestAnIdleSinkLooksItsReceiverUp checks that the first record after a long silence goes to the
// new address.
func TestAnIdleSinkLooksItsReceiverUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		f := n.newForwarder(t, forward.Live, io.Discard)
		err := forwardtest.Run(f, func(l *forward.Lane) {
			next := feed(t, l, 0, 2)
			n.set(func(n *network) { n.addrs = []netip.Addr{newAddr} })
			time.Sleep(time.Hour)
			synctest.Wait()
			sent := len(n.to)
			feed(t, l, next, 2)
			if slices.Contains(n.to[sent:], oldAddr) || len(n.lookups) != 1+int(time.Hour/lookupInterval) {
				t.Errorf("%d lookups, %v", len(n.lookups), n.to[sent:])
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestAHangingLookupEndsWithTheTransport checks that Close ends it, and that it delays nothing.
func TestAHangingLookupEndsWithTheTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver{host: "receiver.example", lookup: func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		start := time.Now()
		r.start(t.Context(), false)
		if r.result() != nil {
			t.Error("a result without a lookup")
		}
		r.stop()
		if time.Since(start) != 0 || r.found != nil {
			t.Errorf("it took %v", time.Since(start))
		}
		r.start(t.Context(), true)
		if r.found != nil {
			t.Error("a lookup that is not due was started")
		}
		if _, err := r.now(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != lookupTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func FuzzNetworkError(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	f.Fuzz(func(_ *testing.T, control []byte) { networkError(control) })
}
