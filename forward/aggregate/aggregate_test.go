package aggregate

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/cof"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/jsonl"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A step is a burst of replies, and a pause after it.
type step struct {
	replies []reply
	reload  string
	after   time.Duration
}

func drawStep(rt *rapid.T) step {
	name := func(label string) string {
		return rapid.SampledFrom([]string{"example.", "a.example.", "b.a.example.", "test.", "notexample."}).Draw(rt, label)
	}
	var s step
	for range rapid.IntRange(0, 20).Draw(rt, "replies") {
		r := reply{name: name("name"), zone: name("zone"), ttl: rapid.Uint32Max(1000).Draw(rt, "TTL")}
		if rapid.IntRange(0, 9).Draw(rt, "unstated") == 0 {
			r.zone = ""
		}
		r.addresses = rapid.SliceOfN(rapid.ByteMax(1), 0, 3).Draw(rt, "addresses")
		s.replies = append(s.replies, r)
	}
	s.reload = rapid.SampledFrom([]string{"", "", "", "aggregate", "sink", "guest", "nothing"}).Draw(rt, "reload")
	s.after = rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, time.Minute, 11 * time.Minute}).Draw(rt, "after")
	return s
}

// TestRRsetsAreTheModel compares what a sink gets, from lanes through the aggregate sink and reloads,
// with a count of what is in bailiwick.
func TestRRsetsAreTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 20).Draw(rt, "steps")
		c := testConfig()
		c.Window = rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Minute}).Draw(rt, "window")
		c.MaxEntries = rapid.SampledFrom([]int{1, 5, 1000}).Draw(rt, "max_entries")
		c.Insertions = rapid.Bool().Draw(rt, "insertions")
		if rapid.Bool().Draw(rt, "state") {
			c.State = t.TempDir() + "/state"
		}
		failed := false
		synctest.Test(t, func(t *testing.T) {
			checkSteps(t, c, steps)
			failed = t.Failed()
		})
		if failed {
			rt.Fatal("see above")
		}
	})
}

func checkSteps(t *testing.T, c Config, steps []step) {
	var out, guest output
	main := fed("out", &out)
	f := forwardtest.New(t, forward.Live, io.Discard, sinks(c, main)...)
	stop := start(f)
	lane := f.Lane("source")
	want, records := model{}, uint64(0)
	apply := func(all []forward.SinkConfig) {
		if err := f.Apply(forwardtest.Policy(t), all, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range steps {
		for i := range s.replies {
			s.replies[i].at = time.Now()
			want.take(s.replies[i])
			records++
		}
		take(t, lane, s.replies...)
		switch s.reload {
		case "aggregate":
			c.MaxEntries++
			apply(sinks(c, main))
		case "sink":
			main.Flush++
			apply(sinks(c, main))
		case "guest":
			apply(sinks(c, main, fed("guest", &guest)))
		case "nothing":
			apply(sinks(c, main))
		}
		time.Sleep(s.after)
		ledgerOf(t, f, "out")
	}
	lane.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if c.State != "" { // the rest of the window is in the state
		end := startLater(t, c, &out)
		if err := end(); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(want, modelOf(out.aggregates(t))); diff != "" {
		t.Errorf("-model +delivered:\n%s", diff)
	}
	l := ledgerOf(t, f, "aggregate")
	if l.Delivered != records || l.RRsets.Outcomes.Held != 0 || l.RRsets.Lost != 0 {
		t.Errorf("%d records: %+v %+v", records, l, l.RRsets)
	}
	var verified uint64
	for _, s := range want {
		verified += uint64(s.Count)
	}
	if n := l.RRsets.Outcomes.Verified(); n != verified {
		t.Errorf("%d RRsets are verified, the model has %d", n, verified)
	}
	ledgerOf(t, f, "guest")
}

// startLater runs another Forwarder on the state until all windows are over.
func startLater(t *testing.T, c Config, out *output) (stop func() error) {
	stop = start(forwardtest.New(t, forward.Live, io.Discard, sinks(c, fed("out", out))...))
	time.Sleep(c.Window + time.Minute)
	return stop
}

// lines returns a sink of lines that the aggregate sink feeds.
func lines(name string, o *output) forward.SinkConfig {
	s := fed(name, o)
	s.Format = jsonl.COF{Profile: cof.Draft}
	return s
}

// replay returns the lines that replies become.
func replay(t *testing.T, c Config, queue int64, perBurst int, replies []reply) []byte {
	t.Helper()
	var out output
	all := sinks(c, lines("out", &out))
	for i := range all {
		all[i].Queue = queue
	}
	f := forwardtest.New(t, forward.Replay, io.Discard, all...)
	if err := forwardtest.Run(f, func(l *forward.Lane) {
		for len(replies) > 0 {
			n := min(perBurst, len(replies))
			take(t, l, replies[:n]...)
			replies = replies[n:]
		}
	}); err != nil {
		t.Error(err)
	}
	ledgerOf(t, f, "out")
	return out.bytes()
}

func TestReplayIsDeterministic(t *testing.T) {
	c := testConfig()
	c.MaxEntries, c.State = 50, t.TempDir()+"/not/used"
	var replies []reply
	for i := range 5000 {
		replies = append(replies, reply{name: fmt.Sprintf("n%d.example.", i*i%97), zone: "example.", addresses: []byte{byte(i % 2)}, at: noon.Add(time.Duration(i) * time.Second)})
	}
	want := replay(t, c, 16<<20, 5000, replies)
	if n := bytes.Count(want, []byte("\n")); n < 100 {
		t.Fatalf("%d lines: too few to compare", n)
	}
	for _, perBurst := range []int{1, 100} {
		if got := replay(t, c, 1000, perBurst, replies); !bytes.Equal(got, want) {
			t.Errorf("%d messages in each burst make other output", perBurst)
		}
	}
}

func TestRecordTimesEndWindowsInAReplay(t *testing.T) {
	c := testConfig()
	at := func(after time.Duration) reply {
		return reply{name: "www.example.", zone: "example.", addresses: []byte{1}, at: noon.Add(after)}
	}
	var replies []reply
	for minute := range 25 {
		replies = append(replies, at(time.Duration(minute)*time.Minute))
	}
	const line = `{"rrname":"www.example","rrtype":"A","rdata":["192.0.2.1"],"time_first":%d,"time_last":%d,"count":%d,"bailiwick":"example"}` + "\n"
	from := noon.Unix()
	want := fmt.Sprintf(line+line+line, from, from+540, 10, from+600, from+1140, 10, from+1200, from+1440, 5)
	if diff := cmp.Diff(want, string(replay(t, c, 16<<20, 100, replies))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWindowsEndWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		f := forwardtest.New(t, forward.Live, io.Discard, sinks(testConfig(), fed("out", &out))...)
		stop := start(f)
		lane := f.Lane("source")
		take(t, lane, reply{name: "www.example.", zone: "example.", addresses: []byte{1}, at: noon})
		time.Sleep(10 * time.Minute)
		if n := len(out.aggregates(t)); n != 0 {
			t.Errorf("%d RRsets left before the end of the window", n)
		}
		if l := ledgerOf(t, f, "aggregate"); l.RRsets.Entries != 1 || l.RRsets.Bytes == 0 || l.RRsets.VerifiedShare() != 1 {
			t.Errorf("in the window: %+v", l.RRsets)
		}
		time.Sleep(2 * time.Second)
		if n := len(out.aggregates(t)); n != 1 {
			t.Errorf("%d RRsets at the end of the window, want 1", n)
		}
		lane.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// flood gives records with invented names to a lane, in bursts that the aggregate sink can handle.
func flood(t *testing.T, l *forward.Lane, from, n int, pause time.Duration) {
	for i := range n {
		take(t, l, reply{name: fmt.Sprintf("invented-%d.example.", from+i), zone: "example.", addresses: []byte{1}, at: time.Now()})
		if i%100 == 99 {
			time.Sleep(pause)
		}
	}
}

func TestInventedNamesWithoutEndNeedBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig()
		c.MaxEntries, c.MaxBytes, c.Insertions = 1<<20, rrset.MinBytes, true
		var out output
		f := forwardtest.New(t, forward.Live, io.Discard, sinks(c, fed("out", &out))...)
		stop := start(f)
		lane := f.Lane("source")
		const names = 100_000
		for i := 0; i < names; i += 1000 {
			flood(t, lane, i, 1000, 0)
			time.Sleep(time.Second)
			if r := ledgerOf(t, f, "aggregate").RRsets; r.Bytes > int(c.MaxBytes) {
				t.Fatalf("%d bytes are in use", r.Bytes)
			}
		}
		if r := ledgerOf(t, f, "aggregate").RRsets; r.Evicted == 0 {
			t.Error("nothing was evicted")
		}
		lane.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := ledgerOf(t, f, "out").Delivered; n != 2*names {
			t.Errorf("%d insertions and expirations were delivered, want %d", n, 2*names)
		}
	})
}

// TestASlowSinkOnlyFillsTheQueueInFront floods an aggregate sink whose sink is slow.
func TestASlowSinkOnlyFillsTheQueueInFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig()
		c.MaxEntries = 10
		out := output{delay: time.Second}
		all := sinks(c, fed("out", &out))
		all[0].Queue, all[1].Queue = 100<<10, 100<<10 // more than a batch
		f := forwardtest.New(t, forward.Live, io.Discard, all...)
		stop := start(f)
		lane := f.Lane("source")
		flood(t, lane, 0, 30_000, 10*time.Millisecond)
		time.Sleep(10 * time.Minute)
		lane.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		in, l := ledgerOf(t, f, "aggregate"), ledgerOf(t, f, "out")
		if in.Lost[forward.QueueFull] == 0 || in.Delivered+in.Lost[forward.QueueFull] != 30_000 {
			t.Errorf("the aggregate sink: %+v", in)
		}
		if l.Offered != in.Delivered || l.Delivered != l.Offered {
			t.Errorf("%d RRsets were counted; the sink: %+v", in.Delivered, l)
		}
	})
}

// TestWhatSinksDoNotTakeAtTheStopIsCounted stops a sensor with a full window and a sink that is stuck.
func TestWhatSinksDoNotTakeAtTheStopIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig()
		c.MaxEntries = 5000
		out := output{delay: time.Hour}
		all := sinks(c, fed("out", &out))
		all[1].Queue = 1000
		f := forwardtest.New(t, forward.Live, io.Discard, all...)
		stop := start(f)
		lane := f.Lane("source")
		flood(t, lane, 0, 5000, time.Second)
		lane.Close()
		if err := stop(); err == nil {
			t.Error("the stop reports no loss")
		}
		in, l := ledgerOf(t, f, "aggregate").RRsets, ledgerOf(t, f, "out")
		if in.Lost == 0 || in.Emitted+in.Lost != 5000 || l.Offered != in.Emitted || l.Lost[forward.Stopped] != l.Offered {
			t.Errorf("the window: %+v; the sink: %+v", in, l)
		}
	})
}
