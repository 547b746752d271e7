package forward

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A lockedBuffer collects a log. It is safe for concurrent use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// logged makes the Forwarder log to the returned buffer.
func (r *rig) logged() *lockedBuffer {
	var b lockedBuffer
	r.log = slog.New(slog.NewTextHandler(&b, nil))
	return &b
}

func TestRetriesOfAFailingSinkBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live)
		log := r.logged()
		if err := r.Apply(r.policy, []SinkConfig{testSink("a")}); err != nil {
			t.Fatal(err)
		}
		for range 7 {
			r.fake("a").fail(failsOnce)
		}
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 10, 100)
		time.Sleep(40 * time.Second)
		if s := r.Ledger().Sinks[0]; s.Error != errFake.Error() || time.Since(s.FailingSince) < 39*time.Second || s.Queued != 10 {
			t.Errorf("while it fails: %+v", s)
		}
		time.Sleep(time.Minute)
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		var waits []time.Duration
		calls := r.fake("a").calls
		for i, c := range calls[1:] {
			waits = append(waits, c.Sub(calls[i]))
		}
		want := []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}
		if diff := cmp.Diff(want, waits); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
		if s := r.Ledger().Sinks[0]; s.Delivered != 10 || s.Error != "" || !s.FailingSince.IsZero() {
			t.Errorf("in the end: %+v", s)
		}
		if n := strings.Count(log.String(), "sink=a"); n != 2 || !strings.Contains(log.String(), "works again") {
			t.Errorf("%d lines, want one for each change:\n%s", n, log)
		}
	})
}

func TestAFailingSinkIsTriedOnceMoreAtTheEnd(t *testing.T) {
	for _, recovers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Live, testSink("a"))
			r.fake("a").fail(failsOnce, failsOnce)
			if !recovers {
				r.fake("a").fail(failsOnce)
			}
			stop := r.run()
			l := r.Lane("source")
			burst(l, 0, 0, 10, 100)
			time.Sleep(2500 * time.Millisecond) // the second try failed, the third is 1.5 s away
			l.Close()
			start := time.Now()
			if err := stop(); errors.Is(err, errGaveUp) == recovers || time.Since(start) != 0 {
				t.Errorf("stopping took %v: %v", time.Since(start), err)
			}
			want := SinkLedger{Name: "a", Target: "udp://", Offered: 10, Delivered: 10}
			if !recovers {
				want = SinkLedger{Name: "a", Target: "udp://", Offered: 10, Lost: LossCounts{Failed: 10}, Error: errFake.Error()}
			}
			got := r.Ledger().Sinks[0]
			got.Sent, got.QueueMax, got.FailingSince = Sent{}, 0, time.Time{}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ledger (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTroubleEndsAfterAQuietTime(t *testing.T) {
	now := time.Unix(1000, 0)
	var h health
	if !h.fail(errFake, now, losesRecords) || h.fail(errFake, now.Add(time.Second), losesRecords) {
		t.Error("the first failure in a row is not distinguished from the others")
	}
	if _, over := h.work(now.Add(quiet)); over {
		t.Error("ended too soon after the last failure")
	}
	if since, over := h.work(now.Add(time.Second + quiet)); !over || !since.Equal(now) {
		t.Errorf("not ended, or since %v", since)
	}
	h.fail(errFake, now, callFails)
	if _, over := h.work(now); !over {
		t.Error("a success does not end a failure")
	}
	if text, since := h.failure(now); text != "" || !since.IsZero() {
		t.Errorf("failure %q since %v", text, since)
	}
}

// TestTheLedgerShowsAFailureUntilItIsOver and no longer, also if no more records come. Times
// are those after the start at which the failure must be shown and must be over.
func TestTheLedgerShowsAFailureUntilItIsOver(t *testing.T) {
	for name, tt := range map[string]struct {
		faults      []fault
		idles       []error
		sends       []time.Duration
		shown, over time.Duration // over 0: never
	}{
		"an Idle without a failure ends one of Idle": {nil, []error{errFake, errFake, errFake, nil}, nil, 2900 * time.Millisecond, 3100 * time.Millisecond},
		"a retry ends a failure of Send":             {[]fault{failsOnce, failsOnce}, nil, []time.Duration{0}, 3400 * time.Millisecond, 3600 * time.Millisecond},
		"a loss, after a quiet time":                 {[]fault{losesEverySecond}, nil, []time.Duration{0}, 10400 * time.Millisecond, 10600 * time.Millisecond},
		"a call that does not return":                {[]fault{stallsFor(time.Minute)}, nil, []time.Duration{0}, 60400 * time.Millisecond, 60600 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Live)
				log := r.logged()
				if err := r.Apply(r.policy, []SinkConfig{testSink("a")}); err != nil {
					t.Fatal(err)
				}
				r.fake("a").fail(tt.faults...)
				r.fake("a").idles = tt.idles
				l := r.Lane("source")
				stop := r.run()
				for i, at := range tt.sends {
					time.AfterFunc(at, func() { burst(l, 0, 10*i, 10, 1000) })
				}
				failing := func() bool {
					s := r.Ledger().Sinks[0]
					return s.Error != "" && !s.FailingSince.IsZero()
				}
				time.Sleep(tt.shown)
				if !failing() {
					t.Errorf("no failure after %v", tt.shown)
				}
				if tt.over > 0 {
					time.Sleep(tt.over - tt.shown)
					if failing() {
						t.Errorf("it still fails after %v", tt.over)
					}
				}
				l.Close()
				if err := stop(); err != nil {
					t.Error(err)
				}
				if hangs := len(tt.faults) > 0 && strings.HasPrefix(name, "a call"); strings.Contains(log.String(), "works again") != (tt.over > 0 && !hangs) {
					t.Errorf("the log:\n%s", log)
				}
			})
		})
	}
}

func TestARemovedSinkLogsItsLedgerWhenDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live)
		log := r.logged()
		if err := r.Apply(r.policy, []SinkConfig{testSink("gone")}); err != nil {
			t.Fatal(err)
		}
		r.fake("gone").fail(stallsFor(time.Minute))
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 7, 100)
		time.Sleep(time.Second)
		if err := r.Apply(r.policy, nil); err != nil {
			t.Fatal(err)
		}
		if s := r.Ledger().Sinks; len(s) != 1 || !s[0].Removed || !s[0].Draining || s[0].Queued != 7 {
			t.Errorf("while it drains: %+v", s)
		}
		time.Sleep(time.Minute)
		if s := r.Ledger().Sinks; len(s) != 1 || !s[0].Removed || s[0].Draining || s[0].Delivered != 7 {
			t.Errorf("when it has drained: %+v", s)
		}
		if !strings.Contains(log.String(), `msg="sink removed" sink=gone offered=7 delivered=7`) {
			t.Errorf("log: %s", log)
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestZlibNeverMakesContainersLarger(t *testing.T) {
	for _, scheme := range []Scheme{UDP, File} {
		c := testSink("a")
		c.Zlib = true
		c.Target.Scheme = scheme
		r := newRig(t, Live, c)
		s := r.sinks[0].current()
		l := r.Lane("source")
		for i, size := range []int{0, 1000, 30000} { // zeros: the last, twice the MTU and more, deflates to less
			burst(l, 0, i, 1, size)
		}
		l.Begin()
		noise := testRecord(0, 3, 30000)
		for i := range noise.Response {
			noise.Response[i] = byte(i * i >> 7 * i)
		}
		l.record(noise)
		l.End()
		l.Close()
		s.queue.pop(s)
		var got []byte
		for i, d := range s.finish() {
			b := s.batches[i]
			if len(d.Buf) >= len(b.Buf) || len(d.Units) != len(b.Units) || d.records() != b.records() {
				t.Errorf("%v: %d bytes of %d, %d containers of %d", c.Target, len(d.Buf), len(b.Buf), len(d.Units), len(b.Units))
			}
			for i := range d.Units {
				if z := d.Bytes(i); z[4] == 1 && scheme == UDP && len(z) > c.MTU {
					t.Errorf("a compressed container of %d bytes cannot be a datagram", len(z))
				}
			}
			got = append(got, d.Buf...)
		}
		names, missing, err := readNames(got)
		if err != nil || missing != 0 || len(names) != 4 {
			t.Errorf("%v: %d names, %d containers missing, %v", c.Target, len(names), missing, err)
		}
	}
}

func TestReplayEndsAtTheFirstFailureWithItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		c.Queue = 1
		r := newRig(t, Replay, c)
		r.fake("a").fail(failsInside)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		l := r.Lane("replay")
		for i := range 20 {
			burst(l, 0, i*100, 100, 1000) // would wait for ever
		}
		l.Close()
		err := <-done
		if err == nil || !strings.Contains(err.Error(), `sink "a": fake failure`) {
			t.Errorf("Run: %v", err)
		}
		ledger := r.Ledger()
		if err := checkLedger(&ledger); err != nil {
			t.Error(err)
		}
		if s := ledger.Sinks[0]; s.Delivered == 0 || s.Lost[Failed] != 2000-s.Delivered {
			t.Errorf("sink: %+v", s)
		}
	})
}

func TestReplayDeliversEverythingHoweverSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		c.Queue = 1
		r := newRig(t, Replay, c)
		for range 30 {
			r.fake("a").fail(stallsFor(time.Minute))
		}
		stop := r.run()
		l := r.Lane("replay")
		for i := range 50 {
			burst(l, 0, i*20, 20, 500)
			if bytes := r.Ledger().Sinks[0].QueueBytes; bytes > c.Queue {
				t.Errorf("after a burst %d bytes wait", bytes)
			}
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if s := r.Ledger().Sinks[0]; s.Delivered != 1000 || s.Offered != 1000 {
			t.Errorf("sink: %+v", s)
		}
		if names, missing := r.fake("a").names(t); missing != 0 || len(names) != 1000 {
			t.Errorf("%d names, %d containers missing", len(names), missing)
		}
	})
}

func TestReplayMakesTheSameBytesExceptForTheSequenceID(t *testing.T) {
	var runs [2][]byte
	var ids [2]uint64
	for i := range runs {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Replay, testSink("a"))
			stop := r.run()
			l := r.Lane("replay")
			for n := range 100 {
				burst(l, 0, n*7, 7, n*13%900)
				time.Sleep(time.Duration(i) * 300 * time.Millisecond) // which must not have an effect
			}
			l.Close()
			if err := stop(); err != nil {
				t.Error(err)
			}
			runs[i], ids[i] = r.fake("a").got, r.sinks[0].queue.id
		})
	}
	if ids[0] == ids[1] {
		t.Fatal("two runs have the same sequence id")
	}
	varint := func(id uint64) []byte {
		var b []byte
		for ; id >= 0x80; id >>= 7 {
			b = append(b, byte(id)|0x80)
		}
		return append(b, byte(id))
	}
	same := bytes.ReplaceAll(runs[1], varint(ids[1]), varint(ids[0]))
	if !bytes.Equal(runs[0], same) {
		t.Errorf("%d and %d bytes differ in more than the sequence id", len(runs[0]), len(runs[1]))
	}
	if bytes.Equal(runs[0], runs[1]) || len(runs[0]) < BatchSize {
		t.Error("the test proves nothing")
	}
}

func TestAWriterThatAcceptsNothingIsAnError(t *testing.T) {
	s := sharedWriter{w: takesNothing{}}
	if n, err := s.Write([]byte("x")); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
}

type takesNothing struct{}

func (takesNothing) Write([]byte) (int, error) { return 0, nil }

func TestATransportIsOpenedAtTheStartAndAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		stop := r.run()
		synctest.Wait()
		if n := r.fake("a").opened(); n != 1 {
			t.Errorf("opened %d times at the start", n)
		}
		r.fake("a").fail(failsInside, losesEverySecond)
		l := r.Lane("source")
		burst(l, 0, 0, 50, 300)
		time.Sleep(time.Minute)
		if n := r.fake("a").opened(); n != 2 {
			t.Errorf("opened %d times, want once more after the error", n)
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestASendThatDoesNothingIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		r.fake("a").fail(func(context.Context, *fake, *Batch, int) (Result, error) { return Result{}, nil })
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 50, 300)
		time.Sleep(700 * time.Millisecond)
		if s := r.only(t); s.Error != io.ErrNoProgress.Error() || s.Queued != 50 {
			t.Errorf("meanwhile: %+v", s)
		}
		time.Sleep(time.Minute)
		if s := r.only(t); s.Delivered != 50 {
			t.Errorf("in the end: %+v", s)
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestTentativeRecordsAreSettledOnce checks that they stay in the account over a reload and
// the stop, and that at most their number can be settled.
func TestTentativeRecordsAreSettledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live)
		r.setUp = func(_ string, f *fake) { f.tentative = tentative{true, Written} }
		c := testSink("a")
		r.mustApply(t, c)
		settle := r.fake("a").env.Settle
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 100, 300)
		time.Sleep(time.Second)
		if s := r.only(t); s.Written != 100 || s.Delivered != 0 || s.Queued != 0 {
			t.Errorf("written: %+v", s)
		}
		settle(Written, 30, Outcome{})
		settle(Written, 20, Outcome{Lost: true, Why: Failed})
		settle(Spooled, 20, Outcome{}) // no records are spooled
		c.Queue++
		r.mustApply(t, c)
		burst(l, 0, 100, 10, 300)
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if s := r.only(t); s.Written != 60 || s.Delivered != 30 || s.Lost[Failed] != 20 {
			t.Errorf("after the stop: %+v", s)
		}
		settle(Written, 100, Outcome{})
		if s := r.only(t); s.Written != 0 || s.Delivered != 90 {
			t.Errorf("settled later: %+v", s)
		}
	})
}

func TestAPushCanWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		c.Queue = 1000
		r := newRig(t, Live, c)
		for range 10 {
			r.fake("a").fail(stallsFor(time.Minute))
		}
		stop := r.run()
		feed := newFeed(r.sinks[0].current())
		start := time.Now()
		for i := range 12 {
			record, err := NMSG{}.Append(nil, testRecord(0, i, 300), nmsg.IDs{})
			if err != nil {
				t.Fatal(err)
			}
			b := feed.to.queue.empty()
			feed.framer.Add(b, record)
			feed.framer.Seal(b)
			if err := feed.Push(b); err != nil {
				t.Errorf("push %d: %v", i, err)
			}
			feed.to.queue.awaitRoom(t.Context())
			if s := r.only(t); s.QueueBytes > c.Queue+BatchSize || s.Offered != uint64(i+1) {
				t.Errorf("after %d: %+v", i, s)
			}
		}
		if took := time.Since(start); took < time.Minute {
			t.Errorf("the pushes took %v: they did not wait", took)
		}
		time.Sleep(time.Hour)
		if s := r.only(t); s.Delivered != 12 || s.Lost != (LossCounts{}) {
			t.Errorf("in the end: %+v", s)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := feed.Push(feed.to.queue.empty()); !errors.Is(err, errEnded) {
			t.Errorf("after the stop: %v", err)
		}
	})
}
