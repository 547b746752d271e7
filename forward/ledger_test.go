package forward

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// account is the final word on a sink: what its transports got against what its
// ledger says.
func account(t testing.TB, name string, s *sink, f *fake) {
	t.Helper()
	l := s.ledger()
	if l.Offered != l.Sum() || l.Queued != 0 {
		t.Errorf("sink %s: offered %d, sum %d, queued %d: %+v", name, l.Offered, l.Sum(), l.Queued, l)
	}
	names, _ := f.names(t)
	checkNames(t, names)
	if uint64(len(names)) != l.Delivered {
		t.Errorf("sink %s: its transport got %d records, its ledger says %d", name, len(names), l.Delivered)
	}
	if !f.closed {
		t.Errorf("sink %s: its transport was not closed", name)
	}
}

func TestNothingIsLostOrCountedTwiceWhileSinksComeGoAndFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lanes, bursts, perBurst = 4, 200, 10
		steady, failing, guest := testSink("steady"), testSink("failing"), testSink("guest")
		guest.Message = nmsg.DNSObs
		failing.Queue = 64 << 10
		r := newRig(t, Live, steady, failing)
		r.fake("failing").fail(losesEverySecond, failsInside, losesEverySecond, failsOnce)
		stop := r.run()

		var guests []*sink
		work := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(work)
			var lanesDone sync.WaitGroup
			for lane := range lanes {
				lanesDone.Go(func() {
					l := r.Lane("source")
					defer l.Close()
					for i := range bursts {
						burst(l, lane, i*perBurst, perBurst, 300)
						time.Sleep(time.Duration(lane+1) * 4 * time.Millisecond)
					}
				})
			}
			lanesDone.Wait()
		})
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-work:
					return
				case <-time.After(29 * time.Millisecond):
				}
				sinks := []SinkConfig{failing, steady}
				if i%2 == 0 {
					sinks = append(sinks, guest)
				}
				if err := r.Apply(r.policy, sinks); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					guests = append(guests, r.sinks[2])
				}
			}
		})
		wg.Go(func() {
			for {
				l := r.Ledger()
				if err := checkLedger(&l); err != nil {
					t.Error(err)
				}
				select {
				case <-work:
					return
				case <-time.After(13 * time.Millisecond):
				}
			}
		})
		wg.Wait()
		sinks := r.sinks
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}

		const all = lanes * bursts * perBurst
		for i, s := range sinks[:2] {
			name := []string{"failing", "steady"}[i]
			account(t, name, s, r.fake(name))
			if l := s.ledger(); l.Offered != all {
				t.Errorf("sink %s was offered %d records, want %d", name, l.Offered, all)
			}
		}
		if l := sinks[1].ledger(); l.Delivered != all {
			t.Errorf("the steady sink delivered %d records of %d", l.Delivered, all)
		}
		if l := sinks[0].ledger(); l.Lost[Refused] == 0 || l.Lost[QueueFull] == 0 {
			t.Errorf("the failing sink lost nothing: the test shows nothing: %+v", l)
		}
		var everything []string
		for i, s := range guests {
			account(t, fmt.Sprint("guest ", i), s, r.fakes["guest"][i])
			names, missing := r.fakes["guest"][i].names(t)
			if missing != 0 {
				t.Errorf("guest %d: %d containers missing", i, missing)
			}
			everything = append(everything, names...)
		}
		if len(guests) < 10 || len(everything) == 0 {
			t.Errorf("%d guests got %d records: the test shows nothing", len(guests), len(everything))
		}
		checkNames(t, everything) // at any instant one guest at most was attached
	})
}

func TestTooBigAndFilteredRecordsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, everyForm()...)
		stop := r.run()
		l := r.Lane("source")
		unanswered := testRecord(0, 1, 0)
		unanswered.Answered, unanswered.Response = false, nil
		l.Begin()
		l.record(unanswered)
		for n, size := range []int{65507, 65508, 65535, 65536} { // of the response
			r := testRecord(0, 2+n, 0)
			r.Response = append(r.Response, make([]byte, size-len(r.Response))...)
			l.record(r)
		}
		l.End()
		l.Close()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		ledger := r.Ledger()
		if err := checkLedger(&ledger); err != nil {
			t.Error(err)
		}
		type counts struct{ Delivered, Filtered, TooBig uint64 }
		got := map[string]counts{}
		for _, s := range ledger.Sinks {
			got[s.Name] = counts{s.Delivered, s.Filtered, s.Lost[TooBig]}
		}
		want := map[string]counts{"dnsqr": {2, 0, 3}, "dnsobs": {3, 1, 1}, "dnstap": {4, 0, 1}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestLedgerSumsLanesLivingAndGone(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	one, two, other := r.Lane("s"), r.Lane("s"), r.Lane("t")
	for _, l := range []*Lane{one, two, other} {
		l.Begin()
		l.Drop(transform.Malformed)
		l.End()
	}
	one.Close()
	one.Close() // takes nothing twice
	l := r.Ledger()
	if l.Total.Read != 3 || l.Total.Dropped[transform.Malformed] != 3 || len(l.Sources) != 2 {
		t.Fatalf("ledger: %+v", l)
	}
	if s := l.Sources[0]; s.Name != "s" || s.Lanes != 1 || s.Counts.Read != 2 {
		t.Errorf("source: %+v", s)
	}
	if s := l.Sources[1]; s.Name != "t" || s.Lanes != 1 || s.Counts.Read != 1 {
		t.Errorf("source: %+v", s)
	}
}

func TestLossesHaveNamesAndMeanings(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Losses() {
		if l.String() == "" || l.Meaning() == "" || seen[l.String()] {
			t.Errorf("loss %d: %q, %q", l, l.String(), l.Meaning())
		}
		seen[l.String()] = true
	}
	if got := numLosses.String(); got != "unknown" {
		t.Errorf("a loss that there is not is called %q", got)
	}
}

// A step of the property test.
type step struct {
	kind        string
	lane, n     int
	size        int
	after       time.Duration
	faultOfSink int
	fault       int
}

var faultKinds = []fault{failsOnce, failsInside, losesEverySecond, stallsFor(2 * time.Second), stallsFor(time.Hour)}

func drawStep(t *rapid.T) step {
	return step{
		kind:        rapid.SampledFrom([]string{"burst", "burst", "burst", "sleep", "fault", "reload", "close"}).Draw(t, "kind"),
		lane:        rapid.IntRange(0, 2).Draw(t, "lane"),
		n:           rapid.IntRange(1, 60).Draw(t, "n"),
		size:        rapid.SampledFrom([]int{0, 100, 1500, 9000, 65000, 70000}).Draw(t, "size"),
		after:       rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 20 * time.Second}).Draw(t, "after"),
		faultOfSink: rapid.IntRange(0, 1).Draw(t, "sink"),
		fault:       rapid.IntRange(0, len(faultKinds)-1).Draw(t, "fault"),
	}
}

func TestLedgerHoldsUnderRandomFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 20).Draw(rt, "steps")
		zlib := rapid.Bool().Draw(rt, "zlib")
		other := rapid.SampledFrom(nmsg.MessageTypes()).Draw(rt, "the other's message type")
		failed := false
		synctest.Test(t, func(t *testing.T) {
			play(t, steps, zlib, other)
			failed = t.Failed()
		})
		if failed {
			rt.Fatal("see above")
		}
	})
}

// play checks the ledger after each step, and what was delivered at the end.
func play(t *testing.T, steps []step, zlib bool, other nmsg.MessageType) {
	a, b := testSink("0"), testSink("1")
	a.Queue, b.Queue = 1<<17, 1<<20
	a.Zlib = zlib
	b.Message, b.MTU = other, 1<<20
	configs := []SinkConfig{a, b}
	r := newRig(t, Live, configs...)
	stop := r.run()
	sinks := slices.Clone(r.sinks)
	lanes := make([]*Lane, 3)
	next := 0
	for _, s := range steps {
		if lanes[s.lane] == nil {
			lanes[s.lane] = r.Lane("source")
		}
		switch s.kind {
		case "burst":
			burst(lanes[s.lane], s.lane, next, s.n, s.size)
			next += s.n
		case "sleep":
			time.Sleep(s.after)
		case "fault":
			r.fake(fmt.Sprint(s.faultOfSink)).fail(faultKinds[s.fault])
		case "reload":
			configs = slices.Clone(configs)
			configs[s.faultOfSink].IDs.Source++
			if err := r.Apply(r.policy, configs); err != nil {
				t.Error(err)
			}
			sinks = append(sinks, r.sinks[s.faultOfSink])
		case "close":
			lanes[s.lane].Close()
			lanes[s.lane] = nil
		}
		l := r.Ledger()
		if err := checkLedger(&l); err != nil {
			t.Errorf("after %+v: %v", s, err)
		}
	}
	for _, l := range lanes {
		if l != nil {
			l.Close()
		}
	}
	if err := stop(); err != nil && !errors.Is(err, errGaveUp) {
		t.Error(err)
	}
	at := map[string]int{}
	var offered [2]uint64
	for _, s := range sinks {
		name := s.config.Name
		account(t, name, s, r.fakes[name][at[name]])
		at[name]++
		offered[name[0]-'0'] += s.ledger().Offered
	}
	if offered != [2]uint64{uint64(next), uint64(next)} {
		t.Errorf("%d records were offered as %v", next, offered)
	}
}
