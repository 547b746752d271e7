package forward

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// nameFormat is the format of the query names of records, and their responses.
type nameFormat struct{ OnePerUnit }

func (nameFormat) Accepts(*transform.Record) bool { return true }

func (nameFormat) Append(dst []byte, r *transform.Record, _ nmsg.IDs) ([]byte, error) {
	return append(append(dst, r.Name...), r.Response...), nil
}

func (f nameFormat) NewFramer(int) Framer { return f.OnePerUnit }

// echoes makes the transports of aggregate sinks. They emit an RRset with the name of each record:
// those of even records at once, the others when they are closed.
type echoes struct {
	emitted *emitted
	stuck   <-chan struct{} // Send returns when it is closed; nil: at once
}

// emitted are the names of all RRsets that transports have emitted, without those that were withheld.
type emitted struct {
	mu    sync.Mutex
	names []string
}

func (e *emitted) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.names)
}

func (e echoes) New(_ *SinkConfig, env Env) (Transport, error) {
	return &echo{echoes: e, env: env}, nil
}

type echo struct {
	echoes
	env   Env
	taken int
	late  []string
}

func (*echo) Open(context.Context) error                       { return nil }
func (*echo) Idle(context.Context) (next time.Time, err error) { return next, nil }
func (*echo) MayTake([]*Batch) time.Duration                   { return time.Hour }

func (t *echo) Send(ctx context.Context, bs []*Batch, from int) (r Result, err error) {
	for i := from; i < len(bs[0].Units) && ctx.Err() == nil; i++ {
		labels, _, _ := bytes.Cut(bs[0].Bytes(i), []byte{0})
		name := string(labels) + "\x00"
		if t.taken++; t.taken%2 == 0 {
			t.late = append(t.late, name)
		} else {
			t.emit(ctx, name)
		}
		r.Units++
		r.Delivered++
	}
	if t.stuck != nil {
		<-t.stuck
	}
	return r, nil
}

func (t *echo) Close(ctx context.Context) error {
	for _, name := range t.late {
		t.emit(ctx, name)
	}
	return nil
}

func (t *echo) emit(ctx context.Context, name string) {
	reason := t.env.Emit(ctx, testRRset(name), 0)
	t.emitted.mu.Lock()
	defer t.emitted.mu.Unlock()
	if reason == transform.Kept {
		t.emitted.names = append(t.emitted.names, name)
	}
}

func testRRset(name string) *rrset.Aggregate {
	return &rrset.Aggregate{
		RRset: rrset.RRset{Name: []byte(name), Type: 1, Class: 1, Bailiwick: []byte{0}, Rdata: [][]byte{{192, 0, 2, 1}}},
		Event: rrset.Expiration,
	}
}

// aggregateSink returns an aggregate sink whose transports note what they emit.
func aggregateSink(name string, e *emitted) SinkConfig {
	c := testSink(name)
	c.Target.Scheme, c.Format, c.Transport = Aggregate, nameFormat{}, echoes{emitted: e}
	return c
}

// rrsetSink returns a sink that an aggregate sink feeds.
func rrsetSink(name, from string) SinkConfig {
	c := testSink(name)
	c.Format, c.From = DNSDedupe{}, from
	return c
}

// deliveredTo returns the names that all transports of a sink have delivered.
func (r *rig) deliveredTo(tb testing.TB, sink string) (names []string) {
	tb.Helper()
	r.mu.Lock()
	all := r.fakes[sink]
	r.mu.Unlock()
	for _, f := range all {
		more, _ := f.names(tb)
		names = append(names, more...)
	}
	return names
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

func TestWhatAnAggregateSinkEmitsReachesItsSinksOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b emitted
		raw := testSink("raw")
		r := newRig(t, Live, aggregateSink("a", &a), rrsetSink("a1", "a"), aggregateSink("b", &b), rrsetSink("b1", "b"), rrsetSink("a2", "a"), raw)
		stop := r.run()
		lane := r.Lane("source")
		burst(lane, 0, 0, 100, 10)
		time.Sleep(3 * time.Second)
		if n := len(r.deliveredTo(t, "a1")); n != 50 {
			t.Errorf("%d RRsets were delivered when their flush time had passed, want the 50 that were emitted", n)
		}
		lane.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		for sink, e := range map[string]*emitted{"a1": &a, "a2": &a, "b1": &b} {
			if diff := cmp.Diff(e.all(), r.deliveredTo(t, sink)); diff != "" {
				t.Errorf("sink %s (-emitted +delivered):\n%s", sink, diff)
			}
			if l := r.ledgerOf(sink); l.Offered != 100 || l.Delivered != 100 {
				t.Errorf("sink %s: %+v", sink, l)
			}
		}
		if l := r.ledgerOf("raw"); l.Delivered != 100 {
			t.Errorf("the sink of records: %+v", l)
		}
	})
}

func TestSinksThatNothingCanFeedAreRefused(t *testing.T) {
	aggregate := aggregateSink("a", new(emitted))
	ofRecords, ofRcodes, chained := testSink("s"), rrsetSink("s", "a"), aggregateSink("s", new(emitted))
	ofRecords.From, ofRcodes.Filter.RCodes, chained.From = "a", []uint16{0}, "a"
	for name, c := range map[string]struct {
		sinks []SinkConfig
		want  string
	}{
		"no aggregate":     {[]SinkConfig{rrsetSink("s", "a")}, `sink "s": from = "a": there is no aggregate of that name`},
		"not an aggregate": {[]SinkConfig{testSink("a"), rrsetSink("s", "a")}, `sink "s": from = "a": there is no aggregate of that name`},
		"records":          {[]SinkConfig{aggregate, ofRecords}, `sink "s": from = "a": its format is not one for RRsets`},
		"an aggregate":     {[]SinkConfig{aggregate, chained}, `sink "s": from = "a": an aggregate cannot feed another`},
		"rcodes":           {[]SinkConfig{aggregate, ofRcodes}, `sink "s": RRsets have no rcode: remove rcodes from its policy`},
		"no from":          {[]SinkConfig{aggregate, rrsetSink("s", "")}, `sink "s": its format is one for RRsets: state with from which aggregate feeds it`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Live)
			if err := r.Apply(r.policy, c.sinks); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// failingRRsets is a format that refuses types of RRsets.
type failingRRsets struct{ DNSDedupe }

func (f failingRRsets) AppendRRset(dst []byte, a *rrset.Aggregate, ids nmsg.IDs) ([]byte, error) {
	switch a.Type {
	case 2:
		return dst, nil
	case 3:
		return dst, nmsg.ErrTooBig
	}
	return f.DNSDedupe.AppendRRset(dst, a, ids)
}

func TestRRsetsAreFilteredAndGetTheIDsOfTheSensor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := rrsetSink("out", "a")
		out.Format = failingRRsets{DNSDedupe{Resolution: time.Minute}}
		out.Filter = Filter{Names: []string{"example"}, ExceptNames: []string{"not.example"}, Types: []uint16{1, 2, 3}}
		r := newRig(t, Live)
		r.ids = func(source string) nmsg.IDs { return nmsg.IDs{Source: uint32(len(source)) + 7} }
		if err := r.Apply(r.policy, []SinkConfig{aggregateSink("a", new(emitted)), out}); err != nil {
			t.Fatal(err)
		}
		stop := r.run()
		emit := r.sinks[0].stage.emit
		for _, s := range []struct {
			label, parent string
			typ           uint16
		}{{"www", "example", 1}, {"www", "test", 1}, {"not", "example", 1}, {"www", "example", 9}, {"www", "example", 2}, {"www", "example", 3}} {
			a := testRRset(string(wireName(s.label, s.parent)))
			a.Type, a.Sighting = s.typ, rrset.Sighting{TimeFirst: 119, TimeLast: 1_700_000_001, Count: 1}
			if a.Type != 1 { // it contains a name
				a.Rdata = [][]byte{{0}}
			}
			if emit(t.Context(), a, 0); a.TimeFirst != 119 {
				t.Error("the RRset has changed: other sinks get it, too")
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		l := r.ledgerOf("out")
		if want := (FilterCounts{ByFormat: 1, ByNames: 1, ByExceptNames: 1, ByTypes: 1}); l.Filtered != want || l.Offered != 6 || l.Delivered != 1 || l.Lost[TooBig] != 1 {
			t.Errorf("the account: %+v", l)
		}
		m, err := nmsg.NewReader(strings.NewReader(string(r.fake("out").got))).Next()
		if err != nil {
			t.Fatal(err)
		}
		d, err := nmsg.DecodeDNSDedupe(m.Data)
		if err != nil || *d.TimeFirst != 60 || *d.TimeLast != 1_699_999_980 || m.Source != 7 {
			t.Errorf("delivered %+v with source %d (%v)", d, m.Source, err)
		}
	})
}

// TestASlowSinkOfRRsetsMakesTheAggregateWait checks that only the queue of the aggregate sink drops.
func TestASlowSinkOfRRsetsMakesTheAggregateWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e emitted
		in, out := aggregateSink("a", &e), rrsetSink("out", "a")
		in.Queue, out.Queue, out.Flush = 1000, 1000, time.Millisecond
		r := newRig(t, Live, in, out)
		for range 4 {
			r.fake("out").fail(stallsFor(10 * time.Second))
		}
		stop := r.run()
		lane := r.Lane("source")
		for i := range 5000 {
			burst(lane, 0, i, 1, 500)
			time.Sleep(10 * time.Millisecond)
			l := r.Ledger()
			if err := checkLedger(&l); err != nil {
				t.Fatal(err)
			}
			if bytes := r.ledgerOf("out").QueueBytes; bytes > out.Queue+2*BatchSize {
				t.Fatalf("the queue has %d bytes", bytes)
			}
		}
		time.Sleep(2 * time.Minute)
		lane.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		l := r.ledgerOf("a")
		if l.Lost[QueueFull] == 0 || l.Offered != 5000 || l.Delivered+l.Lost[QueueFull] != 5000 {
			t.Errorf("the aggregate sink: %+v", l)
		}
		if diff := cmp.Diff(e.all(), r.deliveredTo(t, "out")); diff != "" {
			t.Errorf("-emitted +delivered:\n%s", diff)
		}
	})
}

// neverReturns is a Send that does not end, also when its context does.
func neverReturns(release <-chan struct{}) fault {
	return func(context.Context, *fake, *Batch, int) (Result, error) {
		<-release
		return Result{}, errFake
	}
}

func TestASinkOfRRsetsThatIsStuckDoesNotHoldUpTheStop(t *testing.T) {
	for name, stuck := range map[string]func(release <-chan struct{}) fault{
		"until the context ends": func(<-chan struct{}) fault { return stallsFor(time.Hour) },
		"forever":                neverReturns,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var e emitted
				in, out := aggregateSink("a", &e), rrsetSink("out", "a")
				in.Flush, out.Queue, out.Flush = time.Millisecond, 1000, time.Millisecond
				r := newRig(t, Live, in, out)
				release := make(chan struct{})
				r.fake("out").fail(stuck(release))
				stop := r.run()
				lane := r.Lane("source")
				for i := range 1000 {
					burst(lane, 0, i, 1, 0)
					time.Sleep(10 * time.Millisecond)
				}
				lane.Close()
				start := time.Now()
				if err := stop(); err == nil || strings.Contains(err.Error(), `sink "a": a write`) {
					t.Errorf("the stop reports %v", err)
				}
				if took := time.Since(start); took > stopTime+graceTime {
					t.Errorf("the stop took %v", took)
				}
				l := r.Ledger()
				if err := checkLedger(&l); err != nil {
					t.Error(err)
				}
				if out := r.ledgerOf("out"); out.Queued != 0 || out.Lost[Stopped] != out.Offered || out.Offered != uint64(len(e.all())) {
					t.Errorf("%d RRsets were emitted; the sink: %+v", len(e.all()), out)
				}
				close(release)
			})
		})
	}
}

// TestWhatAStuckAggregateEmittedIsCounted stops a sensor whose aggregate sink does not return, with
// RRsets in an open batch.
func TestWhatAStuckAggregateEmittedIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e emitted
		release := make(chan struct{})
		in, out := aggregateSink("a", &e), rrsetSink("out", "a")
		in.Transport, out.Flush = echoes{&e, release}, time.Hour
		r := newRig(t, Live, in, out)
		stop := r.run()
		lane := r.Lane("source")
		burst(lane, 0, 0, 10, 0)
		time.Sleep(time.Second)
		lane.Close()
		if err := stop(); err == nil || !strings.Contains(err.Error(), `sink "a": a write did not return`) {
			t.Errorf("the stop reports %v", err)
		}
		l := r.Ledger()
		if err := checkLedger(&l); err != nil {
			t.Error(err)
		}
		if l := r.ledgerOf("out"); l.Offered != 5 || l.Lost[Stopped] != 5 {
			t.Errorf("5 RRsets were emitted; the sink: %+v", l)
		}
		close(release)
	})
}

func TestWaitingForRoomEndsWhenTheSinkIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e emitted
		in, out, other := aggregateSink("a", &e), rrsetSink("out", "a"), rrsetSink("other", "a")
		in.Flush, out.Queue, out.Flush = time.Millisecond, 1000, time.Millisecond
		r := newRig(t, Live, in, out, other)
		r.fake("out").fail(stallsFor(time.Minute))
		stop := r.run()
		lane := r.Lane("source")
		for i := range 1000 {
			burst(lane, 0, i, 1, 0)
			time.Sleep(10 * time.Millisecond)
		}
		if l := r.ledgerOf("a"); l.Queued == 0 {
			t.Fatal("the aggregate sink does not wait")
		}
		if err := r.Apply(r.policy, []SinkConfig{in, other}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if l := r.ledgerOf("a"); l.Queued != 0 || l.Delivered != 1000 {
			t.Errorf("after the removal: %+v", l)
		}
		time.Sleep(2 * time.Minute)
		lane.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(e.all(), r.deliveredTo(t, "other")); diff != "" {
			t.Errorf("-emitted +delivered:\n%s", diff)
		}
		if l := r.ledgerOf("out"); l.Delivered != l.Offered {
			t.Errorf("the removed sink: %+v", l)
		}
	})
}

func TestFailureOfASinkOfRRsetsEndsAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e emitted
		in, out := aggregateSink("a", &e), rrsetSink("out", "a")
		in.Queue, out.Queue = 1000, 1000
		r := newRig(t, Replay, in, out)
		r.fake("out").fail(failsOnce)
		stop := r.run()
		lane := r.Lane("source")
		for i := range 200 {
			burst(lane, 0, 100*i, 100, 0)
		}
		lane.Close()
		if err := stop(); !errors.Is(err, errFake) {
			t.Errorf("got %v", err)
		}
		l := r.Ledger()
		if err := checkLedger(&l); err != nil {
			t.Error(err)
		}
	})
}

// A stageStep is a step of TestReloadsLoseNoRRsets.
type stageStep struct {
	kind  string
	n     int
	after time.Duration
}

func drawStageStep(rt *rapid.T) stageStep {
	return stageStep{
		rapid.SampledFrom([]string{"records", "records", "records", "stall", "change aggregate", "change sink", "reformat sink",
			"guest", "no guest", "forbid", "allow", "move", "move and reformat", "remove all", "restore all", "rename aggregate"}).Draw(rt, "kind"),
		rapid.IntRange(1, 300).Draw(rt, "n"),
		rapid.SampledFrom([]time.Duration{0, time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second}).Draw(rt, "after"),
	}
}

// TestReloadsLoseNoRRsets performs reloads at random while RRsets are emitted. The sink "out" must deliver
// all that was emitted, whatever else changes, and also when it is removed with its aggregate.
func TestReloadsLoseNoRRsets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStageStep), 1, 25).Draw(rt, "steps")
		failed := false
		synctest.Test(t, func(t *testing.T) {
			checkReloads(t, steps)
			failed = t.Failed()
		})
		if failed {
			rt.Fatal("see above")
		}
	})
}

func checkReloads(t *testing.T, steps []stageStep) {
	var e emitted
	in, out, guest := aggregateSink("a", &e), rrsetSink("out", "a"), rrsetSink("guest", "a")
	in.Queue, out.Queue = 1<<20, 2000
	all := func() []SinkConfig { return []SinkConfig{in, out} }
	r := newRig(t, Live, all()...)
	stop := r.run()
	lane := r.Lane("source")
	apply := func(sinks ...SinkConfig) {
		if err := r.Apply(r.policy, sinks); err != nil {
			t.Fatal(err)
		}
	}
	made := 0
	for _, s := range steps {
		switch s.kind {
		case "records":
			burst(lane, 0, made, s.n, 0)
			made += s.n
		case "stall":
			r.fake("out").fail(stallsFor(time.Duration(s.n) * 10 * time.Millisecond))
		case "change aggregate":
			in.Flush++
			apply(all()...)
		case "change sink":
			out.Flush++
			apply(all()...)
		case "reformat sink":
			out.Format = DNSDedupe{Resolution: time.Duration(s.n) * time.Second}
			apply(all()...)
		case "guest":
			apply(append(all(), guest)...)
		case "no guest", "restore all":
			apply(all()...)
		case "forbid": // all that is emitted from now on; records are not judged here
			r.policy = testPolicy(t, func(c *transform.Config) { c.LocalNames = []string{"lane0"} })
			apply(all()...)
		case "allow":
			r.policy = testPolicy(t)
			apply(all()...)
		case "move": // the aggregate feeds it under another name
			in.Name, out.From, guest.From = "b", "b", "b"
			apply(all()...)
		case "move and reformat":
			in.Name, out.From, guest.From = "c", "c", "c"
			out.Format = DNSDedupe{Resolution: time.Duration(s.n) * time.Second}
			apply(all()...)
		case "rename aggregate":
			in.Name, out.From, guest.From = "a", "a", "a"
			apply(all()...)
		case "remove all":
			apply(testSink("raw"))
		}
		time.Sleep(s.after)
		l := r.Ledger()
		if err := checkLedger(&l); err != nil {
			t.Fatalf("after %+v: %v", s, err)
		}
	}
	time.Sleep(5 * time.Minute)
	lane.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
	l := r.Ledger()
	if err := checkLedger(&l); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(sorted(e.all()), sorted(r.deliveredTo(t, "out"))); diff != "" {
		t.Errorf("-emitted +delivered:\n%s", diff)
	}
	if l := r.ledgerOf("out"); l.Offered != uint64(len(e.all())) || l.Delivered != l.Offered {
		t.Errorf("%d RRsets were emitted; the sink: %+v", len(e.all()), l)
	}
	checkNames(t, r.deliveredTo(t, "guest"))
	if n := r.ledgerOf("guest"); n.Offered != n.Delivered || n.Queued != 0 {
		t.Errorf("the guest: %+v", n)
	}
}

func TestEmittingAllocatesNothing(t *testing.T) {
	r := newRig(t, Live, aggregateSink("a", new(emitted)), rrsetSink("out", "a"), rrsetSink("more", "a"))
	s, a := r.sinks[0].stage, testRRset(string(wireName("www", "example")))
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		for range 5 {
			s.emit(ctx, a, 0)
		}
	}); n > 0.5 { // there is a batch for a few hundred RRsets
		t.Errorf("%v allocations for 5 RRsets", n)
	}
}
