package forward

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// seen is an Observer that keeps containers by sink.
type seen struct {
	mu sync.Mutex
	by map[string][]byte
}

func (s *seen) Sent(sink string, container []byte, _ bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string][]byte{}
	}
	s.by[sink] = append(s.by[sink], container...)
}

func (s *seen) of(sink string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.by[sink])
}

// TestTheObserverSeesExactlyTheSentContainers covers two sinks, faults, and a reload.
func TestTheObserverSeesExactlyTheSentContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zlib := testSink("zlib")
		zlib.Zlib = true
		r := newRig(t, Live, testSink("plain"), zlib)
		var observer seen
		r.Forwarder = New(Live, transform.NewBudget(1000), r.log, WithObserver(&observer))
		if err := r.Apply(r.policy, []SinkConfig{testSink("plain"), zlib}); err != nil {
			t.Fatal(err)
		}
		r.fake("plain").fail(failsOnce, failsInside, losesEverySecond)
		r.fake("zlib").fail(losesEverySecond, failsInside)
		stop := r.run()
		l := r.Lane("source")
		const n = 400
		for first := 0; first < n; first += 20 {
			burst(l, 0, first, 20, 200)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if err := r.Apply(r.policy, []SinkConfig{testSink("plain"), zlib, testSink("late")}); err != nil {
			t.Fatal(err)
		}
		burst(l, 0, n, 20, 200)
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		ledger := r.Ledger()
		for _, s := range ledger.Sinks {
			got := observer.of(s.Name)
			if want := r.fake(s.Name).got; !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes left, %d were seen", s.Name, len(want), len(got))
			}
			names, _, err := readNames(got)
			if err != nil || uint64(len(names)) != s.Delivered || s.Delivered == 0 {
				t.Errorf("%s: %d records seen, %d delivered: %v", s.Name, len(names), s.Delivered, err)
			}
			if lost := s.Lost[Failed]; s.Name != "late" && lost == 0 {
				t.Errorf("%s: nothing was lost: %+v", s.Name, s)
			}
		}
	})
}

// spooledUnits is an Observer that records whether units were spooled.
type spooledUnits struct {
	mu  sync.Mutex
	all []bool
}

func (s *spooledUnits) Sent(_ string, _ []byte, spooled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, spooled)
}

// TestTheObserverKnowsWhichUnitsWereSpooled: the last ones of a Send.
func TestTheObserverKnowsWhichUnitsWereSpooled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		var o spooledUnits
		r.Forwarder = New(Live, transform.NewBudget(1000), r.log, WithObserver(&o))
		r.mustApply(t, testSink("a"))
		r.fake("a").fail(func(_ context.Context, f *fake, b *Batch, from int) (Result, error) {
			res := f.take(b, from, len(b.Units))
			res.Spooled = 2
			last := uint64(b.Units[len(b.Units)-1].Records + b.Units[len(b.Units)-2].Records)
			res.Delivered -= last
			res.Tentative[Spooled] = last
			return res, nil
		})
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 40, 300)
		time.Sleep(time.Minute)
		burst(l, 0, 40, 1, 300)
		l.Close()
		stop()
		n := len(o.all)
		want := make([]bool, max(n, 4))
		want[max(n-3, 1)], want[max(n-2, 2)] = true, true // the last unit is of the second burst
		if !slices.Equal(o.all, want) {
			t.Errorf("got %v, want %v", o.all, want)
		}
	})
}

// counter counts the verdicts of one source.
type counter struct {
	mu sync.Mutex
	n  map[transform.Reason]int
}

func (c *counter) Verdict(v *transform.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[v.Reason]++
}

// TestTraceIsOfAllLanes covers open and new lanes of several sources, reloads, and the end
// of the trace.
func TestTraceIsOfAllLanes(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	old := r.Lane("old")
	counters := map[string]*counter{}
	r.Trace(func(source string) transform.Trace {
		if counters[source] == nil {
			counters[source] = &counter{n: map[transform.Reason]int{}}
		}
		return counters[source]
	})
	late := r.Lane("late")
	m := answer(t, "www.example.", moment(0))
	take(old, m)
	take(late, m)
	if err := r.Apply(r.policy, []SinkConfig{testSink("b")}); err != nil {
		t.Fatal(err)
	}
	take(late, m)
	late.Begin()
	late.Drop(transform.Oversize)
	late.End()
	r.Trace(nil)
	take(old, m)
	take(r.Lane("late"), m)
	if a, b := counters["old"].n, counters["late"].n; len(counters) != 2 || a[transform.Kept] != 1 || b[transform.Kept] != 2 || b[transform.Oversize] != 1 {
		t.Errorf("old %v, late %v", a, b)
	}
}

// offers is a SinkTrace that counts by sink and rule.
type offers struct {
	counter
	by map[string]FilterCounts
	n  map[string]int // taken
}

func (o *offers) Offered(sink string, r *transform.Record, by FilterRule, filtered bool) {
	if filtered {
		c := o.by[sink]
		c[by]++
		o.by[sink] = c
	} else {
		o.n[sink]++
	}
}

// TestASinkTraceSeesWhatSinksTake compares it with the ledger, over a reload.
func TestASinkTraceSeesWhatSinksTake(t *testing.T) {
	all, some := testSink("all"), testSink("some")
	some.Filter.Names = []string{"lane0"}
	r := newRig(t, Live, all, some)
	l := r.Lane("source")
	o := &offers{counter: counter{n: map[transform.Reason]int{}}, by: map[string]FilterCounts{}, n: map[string]int{}}
	r.Trace(func(string) transform.Trace { return o })
	burst(l, 0, 0, 3, 0)
	burst(l, 1, 3, 4, 0)
	some.Filter = Filter{Types: []uint16{28}}
	r.mustApply(t, all, some)
	burst(l, 0, 7, 5, 0)
	for _, s := range r.Ledger().Sinks {
		if got := o.n[s.Name]; o.by[s.Name] != s.Filtered || uint64(got) != s.Queued || s.Queued == 0 {
			t.Errorf("%s: %d taken, filtered %v; the ledger has %d, %v", s.Name, got, o.by[s.Name], s.Queued, s.Filtered)
		}
	}
	if want := (FilterCounts{ByNames: 4, ByTypes: 5}); o.by["some"] != want {
		t.Errorf("filtered %v, want %v", o.by["some"], want)
	}
	r.Trace(nil)
	burst(l, 0, 12, 5, 0)
	if o.n["all"] != 12 {
		t.Errorf("%d records were traced, want 12", o.n["all"])
	}
}

// TestTracingWhileLanesAreBusy begins and ends traces, and checks that none is called after
// its end.
func TestTracingWhileLanesAreBusy(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	m := answer(t, "www.example.", moment(0))
	done := make(chan struct{})
	var busy sync.WaitGroup
	for range 2 {
		l := r.Lane("busy")
		busy.Go(func() {
			defer l.Close()
			for {
				select {
				case <-done:
					return
				default:
					take(l, m)
				}
			}
		})
	}
	for range 50 {
		c := &counter{n: map[transform.Reason]int{}}
		r.Trace(func(string) transform.Trace { return c })
		eventually(t, "a verdict", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.n[transform.Kept] > 0 })
		r.Trace(nil)
		c.mu.Lock()
		before := c.n[transform.Kept]
		c.mu.Unlock()
		take(r.Lane("busy"), m)
		c.mu.Lock()
		if after := c.n[transform.Kept]; after != before {
			t.Errorf("%d verdicts after tracing had ended", after-before)
		}
		c.mu.Unlock()
	}
	close(done)
	busy.Wait()
}
