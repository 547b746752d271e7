package forward

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// moment returns the time that is after the epoch of the tests.
func moment(after time.Duration) time.Time { return time.Unix(1_700_000_000, 0).Add(after) }

func timeOf(t time.Time) transform.Time { return transform.Time(t.UnixNano()) }

// packetsOf returns a dnstap response and its query as packets.
func packetsOf(m *transform.Message) []*transform.Message {
	q, r := *m, *m
	q.Role, q.Packet, q.ResponseTime = transform.ResolverQuery, true, transform.NoTime
	q.Wire = slices.Clone(m.Wire)
	q.Wire[2] &^= 0x80 // QR
	r.Packet, r.QueryTime = true, transform.NoTime
	return []*transform.Message{&q, &r}
}

func take(l *Lane, messages ...*transform.Message) (last transform.Reason) {
	l.Begin()
	defer l.End()
	for _, m := range messages {
		last = l.Take(m)
	}
	return last
}

// TestHandOverTakesEffectInAllLanes covers open lanes, new lanes, and a reload.
func TestHandOverTakesEffectInAllLanes(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	on, off := moment(0), moment(time.Minute)
	edge := answer(t, "edge.example.", moment(time.Second))
	other := answer(t, "other.example.", moment(time.Second))
	inside := answer(t, "inside.example.", moment(30*time.Second))
	living := r.Lane("dnstap")
	wants := func(when string, l *Lane, wantEdge, wantInside transform.Reason) {
		t.Helper()
		for m, want := range map[*transform.Message]transform.Reason{edge: wantEdge, other: transform.Kept, inside: wantInside} {
			if got := take(l, m); got != want {
				t.Errorf("%s: got %v, want %v", when, got, want)
			}
		}
	}
	packets, more := r.PacketLane("pcap", timeOf(on)), r.PacketLane("pcap", timeOf(on))
	if got := take(packets, packetsOf(edge)...); got != transform.Kept {
		t.Fatalf("packets: %v", got)
	}
	second := answer(t, "second.example.", moment(2*time.Second))
	take(more, packetsOf(second)...)
	wants("during the capture", living, transform.Kept, transform.Kept)
	packets.Close()
	more.Close()
	wants("before handing over", living, transform.Kept, transform.Kept)
	r.HandOver("pcap", transform.Span{On: timeOf(on), Off: timeOf(off)})
	wants("then", living, transform.Duplicate, transform.Duplicate)
	wants("in a new lane", r.Lane("dnstap"), transform.Duplicate, transform.Duplicate)
	wants("of another source", r.Lane("another"), transform.Duplicate, transform.Duplicate)
	if got := take(living, second); got != transform.Duplicate {
		t.Errorf("of the second packet lane: %v", got)
	}
	if err := r.Apply(testPolicy(t), []SinkConfig{testSink("a"), testSink("b")}); err != nil {
		t.Fatal(err)
	}
	wants("after a reload", living, transform.Duplicate, transform.Duplicate)
	wants("in a new lane after a reload", r.Lane("dnstap"), transform.Duplicate, transform.Duplicate)
	if got := take(r.PacketLane("pcap", timeOf(on)), packetsOf(inside)...); got != transform.Kept {
		t.Errorf("packets after handing over: %v", got)
	}

	// The second capture does not contain the keys of the first, which stays known.
	r.HandOver("pcap", transform.Span{On: timeOf(moment(time.Hour)), Off: timeOf(moment(2 * time.Hour))})
	wants("after another capture", living, transform.Duplicate, transform.Duplicate)
	spans := r.plan.handover.Spans()
	if len(spans) != 2 || len(r.source("pcap").logs) != 0 {
		t.Errorf("%d spans, %d logs left", len(spans), len(r.source("pcap").logs))
	}
	ledger := r.Ledger()
	if err := checkLedger(&ledger); err != nil {
		t.Error(err)
	}
}

// TestOnlyLanesOfPacketLaneKeepALog covers packets that do not replace dnstap, and dnstap.
func TestOnlyLanesOfPacketLaneKeepALog(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	edge := answer(t, "edge.example.", moment(time.Second))
	always := r.Lane("pcap")
	take(always, packetsOf(edge)...)
	always.Close()
	other := r.PacketLane("other", timeOf(moment(0)))
	take(other, packetsOf(edge)...)
	other.Close()
	other.Close() // a second Close has no effect
	if len(r.source("pcap").logs) != 0 || len(r.source("other").logs) != 1 {
		t.Errorf("%d and %d logs", len(r.source("pcap").logs), len(r.source("other").logs))
	}
	r.HandOver("pcap", transform.Span{On: timeOf(moment(0)), Off: timeOf(moment(time.Minute))})
	if got := take(r.Lane("dnstap"), edge); got != transform.Kept {
		t.Errorf("got %v", got)
	}
}

// TestHandOverDoesNotSealOpenBatches, because that would make small containers.
func TestHandOverDoesNotSealOpenBatches(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	l := r.Lane("dnstap")
	burst(l, 0, 0, 3, 10)
	r.HandOver("pcap", transform.Span{On: 0, Off: 1})
	burst(l, 0, 3, 3, 10)
	l.Close()
	if batches := popped(r.sinks[0].queue); len(batches) != 1 || batches[0].total != 6 {
		t.Errorf("%d batches", len(batches))
	}
}

// TestHandOverWhileLanesAreBusy checks that every transaction becomes one record, that the
// sums of the ledger are always right, and that HandOver has taken effect when it returns.
func TestHandOverWhileLanesAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lanes, captures, perCapture = 3, 12, 40
		r := newRig(t, Live, testSink("a"))
		stop := r.run()
		work := make(chan struct{})
		var wg sync.WaitGroup
		for i := range lanes {
			wg.Go(func() {
				l := r.Lane("dnstap")
				defer l.Close()
				for n := 0; ; n++ {
					select {
					case <-work:
						return
					case <-time.After(time.Duration(i+1) * time.Millisecond):
					}
					name := fmt.Sprintf("busy-%d-%d.example.", i, n)
					if got := take(l, answer(t, name, moment(-time.Hour))); got != transform.Kept {
						t.Errorf("%s: %v", name, got)
					}
				}
			})
		}
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-work:
					return
				case <-time.After(7 * time.Millisecond):
				}
				l := r.Ledger()
				if err := checkLedger(&l); err != nil {
					t.Error(err)
				}
				if err := r.Apply(testPolicy(t), []SinkConfig{testSink("a")}); err != nil {
					t.Error(err)
				}
			}
		})
		for c := range captures {
			on := moment(time.Duration(c) * time.Minute)
			backlog := capture(t, r, c, on, perCapture)
			off := on.Add(30 * time.Second)
			r.HandOver("pcap", transform.Span{On: timeOf(on), Off: timeOf(off)})
			l := r.Lane("dnstap")
			for _, m := range backlog {
				if got := take(l, m); got != transform.Duplicate {
					t.Errorf("capture %d: %v", c, got)
				}
				time.Sleep(time.Millisecond)
			}
			l.Close()
		}
		close(work)
		wg.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		names, _ := r.fake("a").names(t)
		checkNames(t, names)
		ledger := r.Ledger()
		if err := checkLedger(&ledger); err != nil {
			t.Error(err)
		}
		const all = captures * perCapture
		if d := ledger.Total.Dropped[transform.Duplicate]; d != all || len(names) <= all {
			t.Errorf("%d duplicates, want %d; %d records delivered", d, all, len(names))
		}
	})
}

// capture takes transactions as packets, and returns their dnstap messages.
func capture(t *testing.T, r *rig, c int, on time.Time, n int) (backlog []*transform.Message) {
	l := r.PacketLane("pcap", timeOf(on))
	defer l.Close()
	for i := range n {
		m := answer(t, fmt.Sprintf("c%d-%d.example.", c, i), on.Add(time.Duration(i)*700*time.Millisecond))
		if got := take(l, packetsOf(m)...); got != transform.Kept {
			t.Errorf("packets: %v", got)
		}
		backlog = append(backlog, m)
	}
	return backlog
}
