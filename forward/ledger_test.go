package forward

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// account compares the records that the transports of a sink got with its ledger, after the
// end of Run. settledLost is the number of records that were settled as lost.
func account(t *testing.T, r *rig, name string, settledLost uint64) SinkLedger {
	t.Helper()
	l := r.ledgerOf(name)
	if l.Offered+l.Resumed != l.Sum() || l.Queued != 0 {
		t.Errorf("sink %s: offered %d, resumed %d, sum %d, queued %d: %+v", name, l.Offered, l.Resumed, l.Sum(), l.Queued, l)
	}
	names := r.delivered(t, name)
	if uint64(len(names))+l.Resumed != l.Delivered+settledLost {
		t.Errorf("sink %s: its transports got %d records, its ledger has %d", name, len(names), l.Delivered)
	}
	for _, f := range r.fakes[name] {
		if !f.closed {
			t.Errorf("sink %s: its transport was not closed", name)
		}
	}
	return l
}

func TestNothingIsLostOrCountedTwiceWhileSinksComeGoAndFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lanes, bursts, perBurst = 4, 200, 10
		steady, failing, guest := testSink("steady"), testSink("failing"), testSink("guest")
		guest.Format = NMSG{Message: nmsg.DNSObs}
		failing.Queue = 64 << 10
		r := newRig(t, Live, steady, failing)
		r.fake("failing").fail(losesEverySecond, failsInside, losesEverySecond, failsOnce)
		stop := r.run()

		guests := 0
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
					guests++
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
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}

		const all = lanes * bursts * perBurst
		for _, name := range []string{"failing", "steady"} {
			if l := account(t, r, name, 0); l.Offered != all {
				t.Errorf("sink %s was offered %d records, want %d", name, l.Offered, all)
			}
		}
		if l := r.ledgerOf("steady"); l.Delivered != all {
			t.Errorf("the steady sink delivered %d records of %d", l.Delivered, all)
		}
		if l := r.ledgerOf("failing"); l.Lost[Failed] == 0 || l.Lost[QueueFull] == 0 {
			t.Errorf("the failing sink lost nothing: the test proves nothing: %+v", l)
		}
		account(t, r, "guest", 0) // at most one guest at a time
		if n := len(r.fakes["guest"]); n != guests || guests < 10 {
			t.Errorf("%d guests with %d transports: the test proves nothing", guests, n)
		}
		var last uint32
		for i, f := range r.fakes["guest"] {
			names, missing := f.names(t)
			if missing != 0 {
				t.Errorf("guest %d: %d containers missing", i, missing)
			}
			last += uint32(len(names))
		}
		if last == 0 {
			t.Error("the guests got no record: the test proves nothing")
		}
	})
}

func TestTooBigAndFilteredRecordsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, everyType()...)
		stop := r.run()
		l := r.Lane("source")
		unanswered := testRecord(0, 1, 0)
		unanswered.HasResponse, unanswered.Response = false, nil
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
			got[s.Name] = counts{s.Delivered, s.Filtered[ByFormat], s.Lost[TooBig]}
		}
		want := map[string]counts{"dnsqr": {2, 0, 3}, "dnsobs": {3, 1, 1}, "dnstap": {4, 0, 1}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestLedgerSumsOpenAndClosedLanes(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	one, two, other := r.Lane("s"), r.Lane("s"), r.Lane("t")
	for _, l := range []*Lane{one, two, other} {
		l.Begin()
		l.Drop(transform.Malformed)
		l.End()
	}
	one.Close()
	one.Close() // a second Close has no effect
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
		t.Errorf("an invalid loss is called %q", got)
	}
}
