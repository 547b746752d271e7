package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

func TestContainersAndBatchesKeepTheirLimits(t *testing.T) {
	for _, mtu := range []int{512, 1280, 8192, 60000, 1 << 20} {
		c := testSink("a")
		c.MTU = mtu
		r := newRig(t, Live, c)
		q := r.sinks[0].queue
		l := r.Lane("source")
		const n = 3000
		var got []byte
		for i := range n {
			burst(l, 0, i, 1, i%200)
			for _, b := range popped(q) {
				if len(b.Buf) > BatchSize || cap(b.Buf) > BatchSize {
					t.Errorf("mtu %d: a batch of %d bytes in a buffer of %d", mtu, len(b.Buf), cap(b.Buf))
				}
				if spare := BatchSize - len(b.Buf); spare > min(mtu, BatchSize)+containerSlack {
					t.Errorf("mtu %d: a batch was sealed with %d bytes to spare", mtu, spare)
				}
				for i := range b.Units {
					if size := len(b.Bytes(i)); size > mtu || i < len(b.Units)-1 && size < min(mtu, BatchSize)-800 {
						t.Errorf("mtu %d: a container of %d bytes", mtu, size)
					}
				}
				got = append(got, b.Buf...)
			}
		}
		l.Close()
		for _, b := range popped(q) {
			got = append(got, b.Buf...)
		}
		names, missing, err := readNames(got)
		if err != nil || missing != 0 || len(names) != n {
			t.Errorf("mtu %d: %d names, %d containers missing, %v", mtu, len(names), missing, err)
		}
	}
}

func TestALargePayloadIsAloneInItsContainer(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	q := r.sinks[0].queue
	l := r.Lane("source")
	for i, size := range []int{10, 5000, 10, 64000, 10, 10} {
		burst(l, 0, i, 1, size)
	}
	l.Close()
	var records []int
	var sizes []int
	for _, b := range popped(q) {
		for i, u := range b.Units {
			records = append(records, u.Records)
			sizes = append(sizes, len(b.Bytes(i)))
		}
	}
	if len(records) != 5 || records[1] != 1 || records[3] != 1 || records[4] != 2 {
		t.Errorf("containers of %v records, %v bytes", records, sizes)
	}
}

func TestRecordsWaitNoLongerThanFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow := testSink("fast"), testSink("slow")
		fast.Flush, slow.Flush = 100*time.Millisecond, 10*time.Second
		r := newRig(t, Live, fast, slow)
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 1, 100)
		for i, step := range []struct {
			after      time.Duration
			fast, slow int
		}{
			{99 * time.Millisecond, 0, 0},
			{27 * time.Millisecond, 1, 0}, // a quarter of flush late at most
			{9874*time.Millisecond - time.Millisecond, 1, 0},
			{251 * time.Millisecond, 1, 1},
		} {
			time.Sleep(step.after)
			synctest.Wait()
			f, _ := r.fake("fast").names(t)
			s, _ := r.fake("slow").names(t)
			if len(f) != step.fast || len(s) != step.slow {
				t.Errorf("step %d: fast got %d, slow %d; want %d and %d", i, len(f), len(s), step.fast, step.slow)
			}
		}
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTickDependsOnTheShortestFlush(t *testing.T) {
	for flush, want := range map[time.Duration]time.Duration{
		0:                      5 * time.Millisecond,
		time.Millisecond:       5 * time.Millisecond,
		100 * time.Millisecond: 25 * time.Millisecond,
		time.Hour:              250 * time.Millisecond,
	} {
		a, b := testSink("a"), testSink("b")
		a.Flush, b.Flush = flush, 2*time.Hour
		if got := newRig(t, Live, a, b).tick(); got != want {
			t.Errorf("flush %v: ticks every %v, want %v", flush, got, want)
		}
	}
}

func TestReloadKeepsUnchangedSinksAndTheirOpenBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stays, changes := testSink("stays"), testSink("changes")
		r := newRig(t, Live, changes, stays)
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 3, 10)
		changed := changes
		changed.MTU = 8192
		if err := r.Apply(r.policy, []SinkConfig{stays, changed}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		burst(l, 0, 3, 2, 10)
		l.Close()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for name, transports := range map[string]int{"stays": 1, "changes": 2} {
			if n := len(r.fakes[name]); n != transports {
				t.Errorf("%s: %d transports, want %d", name, n, transports)
			}
			if names := r.delivered(t, name); !slices.Equal(names, namesOf(0, 5)) {
				t.Errorf("%s: delivered %q", name, names)
			}
		}
		if names, _ := r.fake("changes").names(t); len(names) < 2 {
			t.Errorf("the new transport has %d records", len(names))
		}
		if l := r.Ledger(); len(l.Sinks) != 2 || l.Sinks[0].Name != "stays" || l.Sinks[0].Sent.Containers != 1 {
			t.Errorf("ledger: %+v", l.Sinks)
		}
	})
}

func TestAFailedApplyChangesNothing(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	if err := r.Apply(r.policy, []SinkConfig{testSink("b"), testSink("b")}); err == nil {
		t.Error("two sinks of one name were accepted")
	}
	before := r.sinks[0].current()
	bad := testSink("bad")
	bad.Transport = refusing{}
	changed := testSink("a")
	changed.MTU++
	if err := r.Apply(r.policy, []SinkConfig{changed, bad}); !errors.Is(err, errFake) || !strings.Contains(err.Error(), `sink "bad"`) {
		t.Errorf("a transport that cannot be made: %v", err)
	}
	if len(r.sinks) != 1 || r.sinks[0].current() != before || before.stopping {
		t.Errorf("sinks: %v", r.sinks)
	}
}

// refusing is a TransportConfig whose New fails.
type refusing struct{}

func (refusing) New(*SinkConfig, Env) (Transport, error) { return nil, errFake }

func TestPlanGroupsSinksByFormat(t *testing.T) {
	var senders []*sender
	for i, message := range []nmsg.MessageType{nmsg.DNSQR, nmsg.DNSObs, nmsg.DNSQR, nmsg.DNSTap, nmsg.DNSObs} {
		c := testSink(string(rune('a' + i)))
		c.Format = NMSG{Message: message}
		senders = append(senders, &sender{config: c})
	}
	p := newPlan(nil, nil, senders, nil)
	var order string
	for _, s := range p.senders {
		order += s.config.Name
	}
	if order != "acbed" || len(p.encodings) != 3 {
		t.Fatalf("order %q, %d encodings", order, len(p.encodings))
	}
	for _, f := range p.encodings {
		for _, s := range p.senders[f.from:f.to] {
			if s.config.Format != f.format {
				t.Errorf("sink %s has the format %v", s.config.Name, f.format)
			}
		}
	}
}

func TestRunSealsOpenLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 4, 10)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		burst(l, 0, 4, 3, 10) // after Run has sealed the lane
		l.Close()
		ledger := r.Ledger()
		if err := checkLedger(&ledger); err != nil {
			t.Error(err)
		}
		if s := ledger.Sinks[0]; s.Delivered != 4 || s.Lost[Stopped] != 3 || s.Queued != 0 {
			t.Errorf("sink: %+v", s)
		}
		if err := r.Apply(r.policy, nil); err == nil {
			t.Error("a stopped forwarder accepted a configuration")
		}
	})
}

func TestStopGivesSinksThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live)
		log := r.logged()
		if err := r.Apply(r.policy, []SinkConfig{testSink("quick"), testSink("slow"), testSink("stalled")}); err != nil {
			t.Fatal(err)
		}
		r.fake("quick").fail(stallsFor(time.Second))
		r.fake("slow").fail(stallsFor(time.Second), stallsFor(5*time.Second))
		r.fake("stalled").fail(stallsFor(time.Hour))
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 1000, 100)
		l.Close()
		start := time.Now()
		err := stop()
		if took := time.Since(start); took != stopTime {
			t.Errorf("stopping took %v, want %v", took, stopTime)
		}
		ledger := r.Ledger()
		if err := checkLedger(&ledger); err != nil {
			t.Error(err)
		}
		quick, slow, stalled := ledger.Sinks[0], ledger.Sinks[1], ledger.Sinks[2]
		if quick.Delivered != 1000 || slow.Delivered == 0 || slow.Lost[Stopped] != 1000-slow.Delivered || stalled.Lost[Stopped] != 1000 {
			t.Errorf("quick %+v\nslow %+v\nstalled %+v", quick, slow, stalled)
		}
		want := fmt.Sprintf("sink \"slow\": %d records were lost at the stop\nsink \"stalled\": 1000 records were lost at the stop", slow.Lost[Stopped])
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 2 || !strings.Contains(log.String(), "msg=\"records were lost at the stop\" sink=stalled records=1000 lost.stopped=1000") {
			t.Errorf("%d warnings, want one for each sink that lost records:\n%s", n, log)
		}
	})
}

func TestStopDoesNotWaitForAWriteThatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newRig(t, Live, testSink("a"), testSink("stuck"))
		r.fake("stuck").fail(func(_ context.Context, t *fake, b *Batch, from int) (Result, error) {
			<-release
			return t.take(b, from, len(b.Units)), nil
		})
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 10, 100)
		l.Close()
		start := time.Now()
		err := stop()
		if err == nil || time.Since(start) != stopTime+graceTime {
			t.Errorf("stopping took %v: %v", time.Since(start), err)
		}
		close(release)
		synctest.Wait()
		ledger := r.Ledger()
		if err := checkLedger(&ledger); err != nil {
			t.Error(err)
		}
		if s := ledger.Sinks; s[0].Delivered != 10 || s[1].Delivered != 0 || s[1].Lost[Stopped] != 10 {
			t.Errorf("sinks: %+v", s)
		}
	})
}

func TestASinkThatBreaksEndsRun(t *testing.T) {
	for _, mode := range []Mode{Live, Replay} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, mode, testSink("good"), testSink("broken"))
			r.fake("broken").fail(breaks)
			done := make(chan error)
			go func() { done <- r.Run(t.Context()) }()
			l := r.Lane("source")
			burst(l, 0, 0, 2000, 100)
			if err := <-done; !errors.Is(err, errFake) {
				t.Errorf("Run: %v", err)
			}
			burst(l, 0, 2000, 10, 100)
			l.Close()
			ledger := r.Ledger()
			if err := checkLedger(&ledger); err != nil {
				t.Error(err)
			}
			good, broken := ledger.Sinks[0], ledger.Sinks[1]
			if good.Delivered != 2000 || good.Lost[Stopped] != 10 || broken.Lost[Failed] != 2010 || broken.Error == "" {
				t.Errorf("good %+v\nbroken %+v", good, broken)
			}
		})
	}
}
