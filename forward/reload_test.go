package forward

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// always makes every Send fail.
func always(t *fake) {
	for range 1000 {
		t.fail(failsInside)
	}
}

// hangs returns a Send that ignores ctx, and fails when it is released.
func hangs(released <-chan struct{}) fault {
	return func(context.Context, *fake, *Batch, int) (Result, error) {
		<-released
		return Result{}, errFake
	}
}

// only returns the account of the only sink, and checks its sum.
func (r *rig) only(t *testing.T) SinkLedger {
	t.Helper()
	l := r.Ledger()
	if err := checkLedger(&l); err != nil {
		t.Error(err)
	}
	if len(l.Sinks) != 1 {
		t.Fatalf("%d sinks, want one: %+v", len(l.Sinks), l.Sinks)
	}
	return l.Sinks[0]
}

// delivered returns the names that all transports of a sink got, in order.
func (r *rig) delivered(t *testing.T, sink string) (names []string) {
	t.Helper()
	for _, f := range r.fakes[sink] {
		some, _ := f.names(t)
		names = append(names, some...)
	}
	checkNames(t, names)
	return names
}

func (r *rig) mustApply(t *testing.T, configs ...SinkConfig) {
	t.Helper()
	if err := r.Apply(r.policy, configs); err != nil {
		t.Fatal(err)
	}
}

// TestAFailingSinkContinuesWithItsNextTransport covers several reloads: records stay in
// order and in one account.
func TestAFailingSinkContinuesWithItsNextTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		r := newRig(t, Live, c)
		always(r.fake("a"))
		stop := r.run()
		l := r.Lane("source")
		next := 0
		more := func() {
			for range 30 {
				burst(l, 0, next, 10, 300)
				next += 10
				time.Sleep(100 * time.Millisecond)
				if s := r.only(t); s.Offered != uint64(next) {
					t.Errorf("%d offered of %d: %+v", s.Offered, next, s)
				}
			}
		}
		more()
		r.setUp = func(_ string, f *fake) { always(f) }
		for range 3 {
			c.Target.Address += "x"
			r.mustApply(t, c)
			more()
		}
		r.setUp = nil
		c.Queue *= 2
		c.MTU = 4000
		c.Zlib = true
		r.mustApply(t, c)
		more()
		if s := r.only(t); s.Draining || s.Error != "" || s.Offered != uint64(next) {
			t.Errorf("in the end: %+v", s)
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		names := r.delivered(t, "a")
		if s := r.only(t); s.Delivered != uint64(next) || len(names) != next {
			t.Errorf("%d records arrived of %d: %+v", len(names), next, s)
		}
		if !slices.Equal(names, namesOf(0, next)) {
			t.Errorf("not in order: %q", names)
		}
	})
}

// TestTheNewQueueLimitDropsTheOldestBatches at a reload.
func TestTheNewQueueLimitDropsTheOldestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		r := newRig(t, Live, c)
		for range 100 {
			r.fake("a").fail(failsOnce)
		}
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 1000, 300)
		time.Sleep(time.Second)
		c.Queue = 128 << 10
		r.mustApply(t, c)
		time.Sleep(time.Second)
		s := r.only(t)
		if s.Offered != 1000 || s.Lost[QueueFull] == 0 || s.Delivered == 0 || s.Delivered+s.Lost[QueueFull] != 1000 {
			t.Errorf("got %+v", s)
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if names, _ := r.fake("a").names(t); names[len(names)-1] != string(testRecord(0, 999, 0).Name) {
			t.Errorf("the latest record is missing")
		}
	})
}

// TestLossesOfRemovedSinksStayInTheAccount of their name, and are logged.
func TestLossesOfRemovedSinksStayInTheAccount(t *testing.T) {
	obs := testSink("a")
	obs.Format = NMSG{Message: nmsg.DNSObs} // so that queued dnsqr batches cannot be sent
	for name, after := range map[string][]SinkConfig{"removed": nil, "another form": {obs}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Live)
			log := r.logged()
			r.mustApply(t, testSink("a"))
			always(r.fake("a"))
			stop := r.run()
			l := r.Lane("source")
			burst(l, 0, 0, 100, 300)
			time.Sleep(time.Second)
			r.mustApply(t, after...)
			synctest.Wait()
			burst(l, 0, 100, 5, 300)
			time.Sleep(time.Second)
			want := uint64(100)
			for range after {
				want += 5
			}
			s := r.only(t)
			if s.Removed != (after == nil) || s.Error != "" || s.Lost[Failed] == 0 || s.Offered != want {
				t.Errorf("%s: %+v", name, s)
			}
			line := `level=WARN msg="sink removed" sink=a offered=100`
			if after != nil {
				line = fmt.Sprintf(`level=ERROR msg="sink failed during a reload; its records in the old format are lost" sink=a records=%d`, s.Lost[Failed])
			}
			if !strings.Contains(log.String(), line) {
				t.Errorf("%s: %s", name, log)
			}
			l.Close()
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestANewTransportDoesNotWaitForAStuckOne, but sends the queued batches. It sends those of
// the stuck transport when that returns.
func TestANewTransportDoesNotWaitForAStuckOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		r := newRig(t, Live, c)
		released := make(chan struct{})
		r.fake("a").fail(hangs(released))
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 10, 300)
		time.Sleep(time.Second)
		burst(l, 0, 10, 1000, 300)
		time.Sleep(time.Second)
		if s := r.only(t); s.Error != "" {
			t.Errorf("too soon: %+v", s)
		}
		time.Sleep(10 * time.Second)
		if s := r.only(t); s.Error != "a write has not returned for 11s" || time.Since(s.FailingSince) < 11*time.Second {
			t.Errorf("while it hangs: %+v", s)
		}
		c.Queue *= 2
		r.mustApply(t, c)
		time.Sleep(swapTime + time.Second)
		if s := r.only(t); !s.Draining || s.Removed || s.Delivered != 1000 || s.Queued != 10 || !strings.HasSuffix(s.Error, "has not returned for 14s") {
			t.Errorf("when another transport has replaced it: %+v", s)
		}
		close(released)
		time.Sleep(time.Second)
		if s := r.only(t); s.Draining || s.Error != "" || s.Delivered != 1010 {
			t.Errorf("when it has returned: %+v", s)
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if names := r.delivered(t, "a"); len(names) != 1010 {
			t.Errorf("%d records", len(names))
		}
	})
}

func TestASlowRateDoesNotCountAsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		r.fake("a").paced = 50 * time.Second
		r.fake("a").fail(stallsFor(50 * time.Second)) // more than 50 datagrams
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 200, 300)
		time.Sleep(49 * time.Second)
		if s := r.only(t); s.Error != "" || s.Delivered != 0 {
			t.Errorf("got %+v", s)
		}
		time.Sleep(10 * time.Second)
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestNothingIsLostOrCountedTwiceWhileAFailingSinkIsChanged many times, under load.
func TestNothingIsLostOrCountedTwiceWhileAFailingSinkIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lanes, bursts, perBurst = 3, 150, 10
		c := testSink("a")
		r := newRig(t, Live, c)
		r.setUp = func(_ string, f *fake) { f.fail(failsInside, stallsFor(30*time.Millisecond), failsOnce, failsInside) }
		stop := r.run()
		work := make(chan struct{})
		var wg, working sync.WaitGroup
		for lane := range lanes {
			working.Go(func() {
				l := r.Lane("source")
				defer l.Close()
				for i := range bursts {
					burst(l, lane, i*perBurst, perBurst, 300)
					time.Sleep(time.Duration(lane+1) * 5 * time.Millisecond)
				}
			})
		}
		wg.Go(func() {
			working.Wait()
			close(work)
		})
		every := func(d time.Duration, do func()) {
			wg.Go(func() {
				for {
					select {
					case <-work:
						return
					case <-time.After(d):
						do()
					}
				}
			})
		}
		every(41*time.Millisecond, func() {
			c.Queue++
			if err := r.Apply(r.policy, []SinkConfig{c}); err != nil {
				t.Error(err)
			}
		})
		var offered uint64
		every(7*time.Millisecond, func() {
			l := r.Ledger()
			if err := checkLedger(&l); err != nil {
				t.Error(err)
			}
			if n := l.Sinks[0].Offered; len(l.Sinks) != 1 || n < offered {
				t.Errorf("%d sinks, %d offered after %d", len(l.Sinks), n, offered)
			}
			offered = l.Sinks[0].Offered
		})
		wg.Wait()
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		const all = lanes * bursts * perBurst
		names := r.delivered(t, "a")
		if s := r.only(t); s.Offered != all || s.Delivered != all || len(names) != all {
			t.Errorf("%d arrived of %d: %+v", len(names), all, s)
		}
		if len(r.fakes["a"]) < 10 {
			t.Errorf("%d sinks: the test proves nothing", len(r.fakes["a"]))
		}
	})
}

// TestAnotherFormatWaitsForTheOldOne checks that the old transport first sends the batches of
// the old format, and that both share one account.
func TestAnotherFormatWaitsForTheOldOne(t *testing.T) {
	obs, smaller, larger := testSink("a"), testSink("a"), testSink("a")
	obs.Format = NMSG{Message: nmsg.DNSObs}
	smaller.MTU /= 2
	larger.MTU *= 2
	for name, c := range map[string]struct {
		after SinkConfig
		old   int // records that the old transport sends
	}{
		"another message type": {obs, 1000},
		"smaller containers":   {smaller, 1000},
		"larger containers":    {larger, 0}, // are the same format
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Live, testSink("a"))
			for range 100 {
				r.fake("a").fail(stallsFor(5 * time.Second))
			}
			stop := r.run()
			l := r.Lane("source")
			burst(l, 0, 0, 1000, 300)
			time.Sleep(time.Second)
			r.mustApply(t, c.after)
			burst(l, 0, 1000, 50, 300)
			time.Sleep(time.Second)
			if s := r.only(t); !s.Draining || s.Removed || s.Queued != 1050 {
				t.Errorf("%s: while the old transport sends: %+v", name, s)
			}
			time.Sleep(10 * time.Minute)
			if s := r.only(t); s.Draining || s.Delivered != 1050 || s.Offered != 1050 {
				t.Errorf("%s: in the end: %+v", name, s)
			}
			l.Close()
			if err := stop(); err != nil {
				t.Error(err)
			}
			if names := r.delivered(t, "a"); !slices.Equal(names, namesOf(0, 1050)) {
				t.Errorf("%s: not in order: %d records", name, len(names))
			}
			old, _ := r.fakes["a"][0].names(t)
			if len(old) < c.old || c.old == 0 && len(old) > 500 {
				t.Errorf("%s: the old transport sent %d records", name, len(old))
			}
			for i, f := range r.fakes["a"] {
				if !f.closed {
					t.Errorf("%s: transport %d is not closed", name, i)
				}
			}
		})
	}
}

// TestAStuckTransportDoesNotBlockAnotherFormat, and sends its own batches later.
func TestAStuckTransportDoesNotBlockAnotherFormat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		r := newRig(t, Live, c)
		released := make(chan struct{})
		r.fake("a").fail(hangs(released), failsOnce)
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 1000, 300)
		time.Sleep(longestWrite + 2*time.Second)
		c.Format = NMSG{Message: nmsg.DNSObs}
		r.mustApply(t, c)
		burst(l, 0, 1000, 10, 300)
		time.Sleep(swapTime + time.Second)
		if s := r.only(t); !s.Draining || s.Delivered != 10 || s.Queued != 1000 || !strings.HasPrefix(s.Error, "before the reload: ") {
			t.Errorf("while it is stuck: %+v", s)
		}
		r.mustApply(t) // removed, while the old transport still has batches
		time.Sleep(time.Second)
		if s := r.only(t); !s.Draining || !s.Removed {
			t.Errorf("removed while it is stuck: %+v", s)
		}
		close(released)
		time.Sleep(time.Second)
		if s := r.only(t); s.Draining || s.Delivered != 10 || s.Lost[Failed] != 1000 {
			t.Errorf("when it has failed: %+v", s)
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestBatchesOfAStuckTransportAreSentByTheNextOne, even if it is idle and the sink was
// removed.
func TestBatchesOfAStuckTransportAreSentByTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		r := newRig(t, Live, c)
		released := make(chan struct{})
		r.fake("a").fail(hangs(released))
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 10, 300)
		time.Sleep(longestWrite + 2*time.Second)
		c.Queue++
		r.mustApply(t, c)
		time.Sleep(swapTime + time.Second)
		r.mustApply(t)
		time.Sleep(time.Second)
		close(released)
		time.Sleep(time.Second)
		if s := r.only(t); s.Draining || s.Delivered != 10 {
			t.Errorf("in the end: %+v", s)
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestASinkThatIsAddedAgainKeepsItsAccount and its queued batches.
func TestASinkThatIsAddedAgainKeepsItsAccount(t *testing.T) {
	for _, drained := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Live, testSink("a"))
			if !drained {
				r.fake("a").fail(stallsFor(5 * time.Second))
			}
			stop := r.run()
			l := r.Lane("source")
			burst(l, 0, 0, 500, 300)
			time.Sleep(time.Second)
			r.mustApply(t)
			burst(l, 0, 500, 7, 300) // for no sink
			time.Sleep(time.Second)
			if s := r.only(t); !s.Removed || s.Draining == drained || s.Offered != 500 {
				t.Errorf("drained %v: removed: %+v", drained, s)
			}
			r.mustApply(t, testSink("a"))
			burst(l, 0, 507, 100, 300)
			time.Sleep(time.Minute)
			if s := r.only(t); s.Removed || s.Draining || s.Offered != 600 || s.Delivered != 600 {
				t.Errorf("drained %v: back: %+v", drained, s)
			}
			l.Close()
			if err := stop(); err != nil {
				t.Error(err)
			}
			want := append(namesOf(0, 500), namesOf(507, 607)...)
			if names := r.delivered(t, "a"); !slices.Equal(names, want) {
				t.Errorf("drained %v: %d records, want %d in order", drained, len(names), len(want))
			}
			if len(r.fakes["a"]) != 2 {
				t.Errorf("%d transports", len(r.fakes["a"]))
			}
		})
	}
}

// TestAReplacedTransportThatCannotBeClosedIsLogged, because delivered records may be
// incomplete.
func TestAReplacedTransportThatCannotBeClosedIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		r := newRig(t, Live)
		log := r.logged()
		r.mustApply(t, c)
		r.fake("a").closing = errFake
		stop := r.run()
		c.Queue++
		r.mustApply(t, c)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), `level=ERROR msg="sink failed during a reload" sink=a error="sink \"a\": fake failure"`) {
			t.Errorf("log: %s", log)
		}
	})
}
