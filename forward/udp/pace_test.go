package udp

import (
	"context"
	"errors"
	"io"
	"net/netip"
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

func TestDatagramsAreSentAtAnEvenRate(t *testing.T) {
	for _, perSecond := range []int{1, 7, 100, 150, 2500, 1_000_000} {
		synctest.Test(t, func(t *testing.T) {
			const n = 500
			p := newLimit(perSecond)
			burst := max(1, perSecond/100)
			var went []time.Time
			for len(went) < n {
				k, err := p.wait(t.Context(), min(maxDatagrams, n-len(went)))
				if err != nil || k < 1 || k > min(burst, maxDatagrams, n-len(went)) {
					t.Fatalf("rate %d: %d may go, %v", perSecond, k, err)
				}
				for range k {
					p.sent()
					went = append(went, time.Now())
				}
			}
			for i := range went {
				for j := i + 1; j < n; j++ {
					if most := float64(burst) + went[j].Sub(went[i]).Seconds()*float64(perSecond) + 1e-3; float64(j-i+1) > most {
						t.Fatalf("rate %d: %d went in %v", perSecond, j-i+1, went[j].Sub(went[i]))
					}
				}
			}
			took, want := went[n-1].Sub(went[0]).Seconds(), max(0, float64(n-burst)/float64(perSecond))
			if took > want+1e-3 {
				t.Errorf("rate %d: it took %v s, want %v", perSecond, took, want)
			}
		})
	}
}

func TestWithoutARateNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLimit(0)
		start := time.Now()
		for range 1000 {
			if n, err := p.wait(t.Context(), maxDatagrams); n != maxDatagrams || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			p.sent()
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestUnsentDatagramsStayAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLimit(500)
		start := time.Now()
		for range 3 { // the kernel took nothing
			if n, err := p.wait(t.Context(), 9); n != 5 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		p.sent()
		if n, err := p.wait(t.Context(), 9); n != 4 || err != nil || time.Since(start) != 0 {
			t.Errorf("%d may go after %v, %v", n, time.Since(start), err)
		}
	})
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLimit(1)
		if _, err := p.wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		p.sent()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		start := time.Now()
		if n, err := p.wait(ctx, 1); n != 0 || !errors.Is(err, context.Canceled) || time.Since(start) != 300*time.Millisecond {
			t.Errorf("%d after %v, %v", n, time.Since(start), err)
		}
	})
}

// A wire is a fake socket that accepts every datagram at once, and has no errors.
type wire struct {
	mu        sync.Mutex
	taken     []byte
	datagrams []time.Time
}

func (w *wire) WriteBatch(datagrams []ipv4.Message, _ int) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range datagrams {
		w.taken = append(w.taken, d.Buffers[0]...)
		w.datagrams = append(w.datagrams, time.Now())
	}
	return len(datagrams), nil
}

func (w *wire) nextError() (unix.Errno, error) { return 0, nil }
func (w *wire) Close() error                   { return nil }

// newPacedForwarder returns a Forwarder with one UDP sink that writes to w.
func newPacedForwarder(t *testing.T, mode forward.Mode, c forward.SinkConfig, w *wire) *forward.Forwarder {
	t.Helper()
	config := c.Transport
	c.Transport = forwardtest.TransportFunc(func(c *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
		made, err := config.New(c, env)
		made.(*transport).open = func(context.Context, netip.AddrPort) (socket, error) { return w, nil }
		return made, err
	})
	return forwardtest.New(t, mode, io.Discard, c)
}

func pacedSink(rate int) forward.SinkConfig {
	c := sinkTo("192.0.2.1:9430", rate)
	c.Queue = 1 << 20
	return c
}

func TestARateDoesNotBlockSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, seconds, perSecond = 50, 60, 400
		var w wire
		f := newPacedForwarder(t, forward.Live, pacedSink(rate), &w)
		start := time.Now()
		var stopping time.Time
		err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range seconds {
				forwardtest.Burst(t, l, i*perSecond, perSecond, 300)
				forwardtest.CheckLedger(t, f)
				time.Sleep(time.Second)
			}
			stopping = time.Now()
		})
		checkLost(t, err)
		if stopping.Sub(start) != seconds*time.Second || time.Since(stopping) != 3*time.Second {
			t.Errorf("the source took %v, stopping %v", stopping.Sub(start), time.Since(stopping))
		}
		s := forwardtest.CheckLedger(t, f)
		if s.Lost[forward.QueueFull] == 0 || s.Lost[forward.Stopped] == 0 || s.Queued != 0 || s.Error != "" {
			t.Errorf("ledger: %+v", s)
		}
		most := uint64(rate * (time.Since(start).Seconds() + 1))
		if s.Sent.Datagrams > most || s.Sent.Datagrams < most-rate-rate/2 || s.Sent.Datagrams != uint64(len(w.datagrams)) {
			t.Errorf("%d datagrams went, the ledger has %d, the rate allows %d", len(w.datagrams), s.Sent.Datagrams, most)
		}
		names, missing, err := forwardtest.Names(w.taken)
		if err != nil || uint64(len(names)) != s.Delivered || missing == 0 {
			t.Errorf("%d records came, %d containers were missed, the ledger has %d delivered: %v", len(names), missing, s.Delivered, err)
		}
		forwardtest.CheckUnique(t, names)
	})
}

func TestInReplayTheInputWaitsForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := pacedSink(20)
		c.Queue = 1
		var w wire
		f := newPacedForwarder(t, forward.Replay, c, &w)
		start := time.Now()
		var fed time.Duration
		err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 50 {
				forwardtest.Burst(t, l, i*20, 20, 500)
			}
			fed = time.Since(start)
		})
		if err != nil {
			t.Error(err)
		}
		s := f.Ledger().Sinks[0]
		want := time.Duration(len(w.datagrams)-1)*time.Second/20 + quietTime // for errors of the last datagram
		if took := time.Since(start); s.Delivered != 1000 || took < want-time.Millisecond || took > want+time.Millisecond {
			t.Errorf("%d delivered, in %v, want 1000 in %v", s.Delivered, took, want)
		}
		if fed < want/2 {
			t.Errorf("the input waited only %v of %v", fed, want)
		}
	})
}

func TestFragmentsCountAsDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		f := newPacedForwarder(t, forward.Replay, pacedSink(10), &w)
		start := time.Now()
		if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 1, 60_000) }); err != nil {
			t.Error(err)
		}
		n := len(w.datagrams)
		if took := time.Since(start); n < 60_000/1280 || took.Round(time.Millisecond) != time.Duration(n-1)*time.Second/10+quietTime {
			t.Errorf("%d fragments in %v", n, took)
		}
		if s := f.Ledger().Sinks[0]; s.Delivered != 1 || s.Sent.Datagrams != uint64(n) || s.Sent.Containers != 1 {
			t.Errorf("ledger: %+v", s)
		}
	})
}

// TestAPartlySentContainerIsLostAtStop checks that a container counts as delivered only if
// all of its fragments were sent.
func TestAPartlySentContainerIsLostAtStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		f := newPacedForwarder(t, forward.Live, pacedSink(10), &w)
		checkLost(t, forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 1, 60_000) }))
		s := f.Ledger().Sinks[0]
		if s.Delivered != 0 || s.Lost[forward.Stopped] != 1 || s.Sent.Datagrams == 0 || s.Sent.Containers != 0 {
			t.Errorf("ledger: %+v", s)
		}
	})
}

func TestAnotherRateMakesAnotherTransport(t *testing.T) {
	a, same, b := pacedSink(10), pacedSink(10), pacedSink(20)
	if !a.Equal(&same) || a.Equal(&b) {
		t.Error("sinks are equal that differ in their rate, or do not differ at all")
	}
}

func TestARealSocketKeepsToTheRate(t *testing.T) {
	p := listenUDP(t, "127.0.0.1:0")
	const rate = 500
	c := sinkTo(p.conn.LocalAddr().String(), rate)
	f := forwardtest.New(t, forward.Replay, io.Discard, c)
	start := time.Now()
	if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 150, 300) }); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	p.receive(t)
	least := time.Duration(p.datagrams-rate/burstsPerSecond) * time.Second / time.Duration(rate)
	if len(p.names) != 150 || p.gaps != 0 || p.datagrams < 50 || took < least {
		t.Errorf("%d records in %d datagrams in %v, want 150 in %v or more", len(p.names), p.datagrams, took, least)
	}
}

// checkLost checks that the error of Run says that records were lost at the stop.
func checkLost(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "records were lost at the stop") {
		t.Errorf("got %v, want that records were lost at the stop", err)
	}
}
