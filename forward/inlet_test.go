package forward

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// bothFormat is a format for records and RRsets, as an aggregate sink has that an inlet feeds.
type bothFormat struct{ nameFormat }

func (bothFormat) AppendRRset(dst []byte, a *rrset.Aggregate, _ nmsg.IDs) ([]byte, error) {
	return append(dst, a.Name...), nil
}

// mergingSink returns an aggregate sink that also takes RRsets.
func mergingSink(name string, e *emitted) SinkConfig {
	c := aggregateSink(name, e)
	c.Format, c.Waits = bothFormat{}, true
	return c
}

func waitingSink(name string) SinkConfig {
	c := testSink(name)
	c.Waits = true
	return c
}

func TestAnInletGivesRecordsToAllSinksAndRRsetsToAggregates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e emitted
		plain := aggregateSink("plain", new(emitted)) // its format is one for records only
		r := newRig(t, Live, waitingSink("raw"), mergingSink("merging", &e), rrsetSink("rrsets", "merging"), plain)
		stop := r.run()
		in := r.Inlet("topic")
		for i := range 10 {
			in.Record(t.Context(), testRecord(0, i, 10), nmsg.IDs{})
			in.RRset(t.Context(), testRRset(fmt.Sprintf("\x02r%d\x00", i)), nmsg.IDs{})
		}
		in.Drop(transform.Malformed)
		l := r.Ledger()
		if err := checkLedger(&l); err != nil {
			t.Error(err)
		}
		want := transform.Counts{Read: 21, Records: 20}
		want.Dropped[transform.Malformed] = 1
		check := func(lanes int) {
			t.Helper()
			if s := r.Ledger().Sources[0]; s.Name != "topic" || s.Lanes != lanes || s.Counts != want || s.LastOutward.IsZero() || s.Clock != transform.NoTime {
				t.Errorf("%+v", s)
			}
		}
		check(1)
		in.Close()
		check(0)
		if err := stop(); err != nil {
			t.Error(err)
		}
		for name, n := range map[string]uint64{"raw": 10, "merging": 20, "rrsets": 20, "plain": 10} {
			if l := r.ledgerOf(name); l.Offered != n || l.Delivered != n {
				t.Errorf("sink %s, want %d: %+v", name, n, l)
			}
		}
		if got := r.deliveredTo(t, "raw"); !slices.Equal(got, namesOf(0, 10)) {
			t.Errorf("the sink of records got %q", got)
		}
		if diff := cmp.Diff(e.all(), r.deliveredTo(t, "rrsets")); diff != "" {
			t.Errorf("(-emitted +delivered):\n%s", diff)
		}
	})
}

// TestAnRRsetThatNoSinkTakesIsARecordThatNoSinkIsOffered, so that both sums hold.
func TestAnRRsetThatNoSinkTakesIsARecordThatNoSinkIsOffered(t *testing.T) {
	r := newRig(t, Live, waitingSink("raw"))
	in := r.Inlet("topic")
	defer in.Close()
	in.RRset(t.Context(), testRRset("\x01a\x00"), nmsg.IDs{})
	if l := r.Ledger(); checkLedger(&l) != nil || l.Total.Read != 1 || l.Total.Records != 1 || l.Sinks[0].Offered != 0 {
		t.Errorf("%+v", l)
	}
}

// idFormat is the format of the source ids of records and RRsets.
type idFormat struct{ bothFormat }

func (idFormat) Append(dst []byte, _ *transform.Record, ids nmsg.IDs) ([]byte, error) {
	return append(dst, byte(ids.Source)), nil
}

func (idFormat) AppendRRset(dst []byte, _ *rrset.Aggregate, ids nmsg.IDs) ([]byte, error) {
	return append(dst, byte(ids.Source)), nil
}

func TestRecordsOfAnInletKeepTheIDsOfTheirPayload(t *testing.T) {
	r := newRig(t, Live)
	r.ids = func(string) nmsg.IDs { return nmsg.IDs{Source: 9} }
	sink := mergingSink("a", new(emitted))
	sink.Format = idFormat{}
	if err := r.Apply(r.policy, []SinkConfig{sink}); err != nil {
		t.Fatal(err)
	}
	in := r.Inlet("topic")
	in.Record(t.Context(), testRecord(0, 0, 0), nmsg.IDs{Source: 1})
	in.RRset(t.Context(), testRRset("\x01a\x00"), nmsg.IDs{Source: 2})
	in.Close()
	if got := popped(r.sinks[0].queue)[0].Buf; string(got) != "\x01\x02" {
		t.Errorf("got the source ids %v, want those of the payloads, 1 and 2", got)
	}
}

// TestAnInletWaitsForRoom covers both kinds of payload; meanwhile the ledger can be read, and
// nothing is lost.
func TestAnInletWaitsForRoom(t *testing.T) {
	for kind, pass := range map[string]func(context.Context, *Inlet){
		"record": func(ctx context.Context, in *Inlet) { in.Record(ctx, testRecord(0, 0, 60000), nmsg.IDs{}) },
		"RRset":  func(ctx context.Context, in *Inlet) { in.RRset(ctx, testRRset("\x01a\x00"), nmsg.IDs{}) },
	} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := mergingSink("a", new(emitted))
				sink.Queue = 100 << 10
				r := newRig(t, Live, sink)
				in := r.Inlet("topic")
				for i := range 4 {
					in.Record(nothing(t), testRecord(0, i, 60000), nmsg.IDs{})
				}
				waited := make(chan struct{})
				go func() {
					pass(t.Context(), in)
					close(waited)
				}()
				synctest.Wait()
				select {
				case <-waited:
					t.Fatal("it did not wait")
				default:
				}
				if l := r.ledgerOf("a"); l.Lost != (LossCounts{}) || l.Queued != 5 {
					t.Errorf("while the inlet waits: %+v", l)
				}
				stop := r.run()
				<-waited
				in.Close()
				if err := stop(); err != nil {
					t.Error(err)
				}
				if l := r.ledgerOf("a"); l.Delivered != 5 {
					t.Errorf("%+v", l)
				}
			})
		})
	}
}

// nothing returns a context that has ended: with it, an inlet does not wait.
func nothing(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestAWaitForRoomEnds with its context, and when a reload removes the sink.
func TestAWaitForRoomEnds(t *testing.T) {
	for name, end := range map[string]func(cancel func(), r *rig){
		"with its context":   func(cancel func(), r *rig) { cancel() },
		"without the sink":   func(_ func(), r *rig) { r.Apply(r.policy, nil) },
		"with another queue": func(_ func(), r *rig) { r.Apply(r.policy, []SinkConfig{waitingSink("a")}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := waitingSink("a")
				sink.Queue = 1000
				r := newRig(t, Live, sink)
				in := r.Inlet("topic")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				waited := make(chan struct{})
				go func() {
					for i := range 2 {
						in.Record(ctx, testRecord(0, i, 60000), nmsg.IDs{})
					}
					close(waited)
				}()
				synctest.Wait()
				end(cancel, r)
				<-waited
				in.Close()
			})
		})
	}
}

func TestAReloadReachesInlets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, waitingSink("a"))
		stop := r.run()
		in := r.Inlet("topic")
		pass := func(n int) { in.Record(t.Context(), testRecord(0, n, 10), nmsg.IDs{}) }
		pass(0)
		if err := r.Apply(r.policy, []SinkConfig{waitingSink("b")}); err != nil {
			t.Fatal(err)
		}
		pass(1)
		r.Rename(map[string]string{"topic": "renamed"}, nil)
		pass(2)
		time.Sleep(time.Second)
		if got := r.deliveredTo(t, "a"); !slices.Equal(got, namesOf(0, 1)) {
			t.Errorf("the removed sink got %q", got)
		}
		if got := r.deliveredTo(t, "b"); !slices.Equal(got, namesOf(1, 3)) {
			t.Errorf("the new sink got %q when the flush time had passed", got)
		}
		if s := r.Ledger().Sources; len(s) != 1 || s[0].Name != "renamed" || s[0].Counts.Records != 3 {
			t.Errorf("%+v", s)
		}
		other := r.Inlet("other")
		r.Rename(map[string]string{"other": "renamed"}, nil)
		in.Close()
		other.Drop(transform.Malformed)
		other.Close()
		if s := r.Ledger().Sources; len(s) != 1 || s[0].Counts.Read != 4 {
			t.Errorf("merged: %+v", s)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestAChangeOfWaitsCarriesBatches, and the queue drops nothing while it waits.
func TestAChangeOfWaitsCarriesBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := waitingSink("a")
		sink.Queue = 1000
		r := newRig(t, Live, sink)
		lane := r.Lane("source") // it does not wait
		burst(lane, 0, 0, 10, 60000)
		lane.Close()
		if l := r.ledgerOf("a"); l.Queued != 10 || l.Lost != (LossCounts{}) {
			t.Errorf("a queue that waits: %+v", l)
		}
		sink.Waits = false
		if err := r.Apply(r.policy, []SinkConfig{sink}); err != nil {
			t.Fatal(err)
		}
		if l := r.ledgerOf("a"); l.Queued != 1 || l.Lost[QueueFull] != 9 {
			t.Errorf("a queue that does not wait any more: %+v", l)
		}
		if err := r.run()(); err != nil {
			t.Error(err)
		}
		if l := r.ledgerOf("a"); l.Delivered != 1 {
			t.Errorf("the batch was not carried: %+v", l)
		}
	})
}

// TestWhatAnInletPassesAfterTheStopIsLost, because its owner should have closed it.
func TestWhatAnInletPassesAfterTheStopIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, waitingSink("a"))
		stop := r.run()
		in := r.Inlet("topic")
		in.Record(t.Context(), testRecord(0, 0, 10), nmsg.IDs{})
		if err := stop(); err != nil {
			t.Error(err)
		}
		in.Record(t.Context(), testRecord(0, 1, 10), nmsg.IDs{})
		in.Close()
		l := r.Ledger()
		if err := checkLedger(&l); err != nil || l.Sinks[0].Delivered != 1 || l.Sinks[0].Lost[Stopped] != 1 {
			t.Errorf("%v: %+v", err, l)
		}
	})
}

func TestNoAllocationFromInletToBatch(t *testing.T) {
	r := newRig(t, Live, waitingSink("raw"), mergingSink("merging", new(emitted)))
	var takers []*taker
	for _, s := range r.sinks {
		takers = append(takers, &taker{queue: s.queue})
	}
	in, record, set := r.Inlet("topic"), testRecord(0, 0, 300), testRRset("\x01a\x00")
	work := func() {
		for range 10 {
			for range 50 {
				in.Record(t.Context(), record, nmsg.IDs{})
				in.RRset(t.Context(), set, nmsg.IDs{})
			}
			for _, taker := range takers {
				for len(taker.pop()) > 0 {
				}
			}
		}
	}
	work()
	if n := testing.AllocsPerRun(20, work); n != 0 {
		t.Errorf("%v allocations for 1000 payloads", n)
	}
}
