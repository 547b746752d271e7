package forward

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// sealedBatch is a batch of one container with records n, n+1 ... of lane 0.
func sealedBatch(t testing.TB, q *queue, n, records, size int) *batch {
	t.Helper()
	b := q.blank()
	var c nmsg.Container
	b.buf = c.Begin(b.buf)
	for i := range records {
		_, p, err := nmsg.AppendPayload(nil, nmsg.DNSQR, nmsg.IDs{}, testRecord(0, n+i, size))
		if err != nil {
			t.Fatal(err)
		}
		b.buf = c.Add(b.buf, p)
		b.records++
	}
	b.finish(&c, q.seqID)
	return b
}

func TestFullQueueGivesUpItsOldestAndLeavesAGap(t *testing.T) {
	q := newQueue(Live, 100<<10)
	for i := range 5 {
		q.push(sealedBatch(t, q, i, 1, 20<<10)) // 40 KiB each: packets and all
	}
	var got []byte
	var seqs []uint32
	for _, b := range q.pop(nil) {
		got = append(got, b.buf...)
		for i := range b.containers {
			seqs = append(seqs, b.seq+uint32(i))
		}
	}
	names, _, err := readNames(got)
	if err != nil {
		t.Fatal(err)
	}
	lost := q.tally.lost[QueueFull]
	if want := []uint32{uint32(lost)}; lost == 0 || seqs[0] != want[0] {
		t.Errorf("%d records given up, the first left has sequence number %d", lost, seqs[0])
	}
	if last := string(wireName("n4", "lane0")); names[len(names)-1] != last {
		t.Errorf("the newest is %q, want %q", names[len(names)-1], last)
	}
	if q.inHand+lost != 5 || q.waiting != 0 || q.bytes != 0 {
		t.Errorf("in hand %d, lost %d, waiting %d (%d bytes)", q.inHand, lost, q.waiting, q.bytes)
	}
}

func TestReceiverSeesWhatAQueueGaveUp(t *testing.T) {
	q := newQueue(Live, 64<<10)
	q.push(sealedBatch(t, q, 0, 1, 100))
	hand := q.pop(nil)
	got := slices.Clone(hand[0].buf)
	for i := 1; i < 6; i++ {
		q.push(sealedBatch(t, q, i, 1, 30<<10))
	}
	for _, b := range q.pop(hand) {
		got = append(got, b.buf...)
	}
	_, missing, err := readNames(got)
	if err != nil {
		t.Fatal(err)
	}
	if lost := int(q.tally.lost[QueueFull]); lost == 0 || missing != lost {
		t.Errorf("%d containers given up, the receiver misses %d", lost, missing)
	}
}

func TestTheOnlyBatchIsKeptHoweverLarge(t *testing.T) {
	q := newQueue(Live, 1)
	q.push(sealedBatch(t, q, 0, 1, 60000))
	if hand := q.pop(nil); len(hand) != 1 || q.tally.lost[QueueFull] != 0 {
		t.Errorf("%d batches, %d lost", len(hand), q.tally.lost[QueueFull])
	}
}

func TestSmallBatchesShareABufferWhileTheyWait(t *testing.T) {
	q := newQueue(Live, 16<<20)
	const n = 1000
	for i := range n {
		q.push(sealedBatch(t, q, i, 1, 100))
	}
	var got []byte
	var batches int
	for {
		hand := q.pop(nil)
		if len(hand) == 0 {
			break
		}
		batches += len(hand)
		for _, b := range hand {
			if len(b.buf) > batchSize {
				t.Errorf("a batch of %d bytes", len(b.buf))
			}
			got = append(got, b.buf...)
		}
	}
	names, missing, err := readNames(got)
	if err != nil || missing != 0 || len(names) != n {
		t.Fatalf("%d names, %d containers missing, %v", len(names), missing, err)
	}
	if !slices.IsSortedFunc(names, func(a, b string) int { return len(a) - len(b) }) {
		t.Error("they came out of order")
	}
	if want := len(got)/batchSize + 1; batches > want+1 {
		t.Errorf("%d batches for %d bytes, want about %d", batches, len(got), want)
	}
}

func TestReplayNeverGivesUpButWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(Replay, 1000)
		for i := range 3 {
			q.push(sealedBatch(t, q, i, 1, 1000))
		}
		var waited time.Duration
		done := make(chan struct{})
		start := time.Now()
		go func() {
			q.awaitRoom()
			waited = time.Since(start)
			close(done)
		}()
		time.Sleep(time.Second)
		if got := len(q.pop(nil)); got != 3 {
			t.Errorf("%d batches, want 3", got)
		}
		<-done
		if waited != time.Second {
			t.Errorf("the lane waited %v", waited)
		}
	})
}

func TestAnEndedQueueHoldsNobodyUpAndCountsWhatComes(t *testing.T) {
	q := newQueue(Replay, 0)
	q.push(sealedBatch(t, q, 0, 2, 100))
	q.pop(nil)
	q.push(sealedBatch(t, q, 2, 3, 100))
	q.end(Failed)
	q.end(Stopped)
	q.push(sealedBatch(t, q, 5, 4, 100))
	q.awaitRoom()
	q.settle(&outcome{delivered: 2}) // comes too late: it was given up
	want := [numLosses]uint64{Failed: 9}
	if diff := cmp.Diff(want, q.tally.lost); diff != "" || q.inHand != 0 || q.tally.delivered != 0 {
		t.Errorf("in hand %d, delivered %d, lost (-want +got):\n%s", q.inHand, q.tally.delivered, diff)
	}
}

func TestAClosedQueueTakesNoMoreAndDrains(t *testing.T) {
	q := newQueue(Live, 1000)
	q.push(sealedBatch(t, q, 0, 1, 100))
	q.close()
	q.push(sealedBatch(t, q, 1, 1, 100))
	if !q.sleep(context.Background(), time.Time{}) || len(q.pop(nil)) != 1 {
		t.Error("what waited did not come out")
	}
	if q.sleep(context.Background(), time.Time{}) {
		t.Error("there is more to come from a closed queue")
	}
	if q.tally.lost[Stopped] != 1 {
		t.Errorf("lost %v", q.tally.lost)
	}
}

func TestOnlyASleeperIsWoken(t *testing.T) {
	q := newQueue(Live, 1<<20)
	q.push(sealedBatch(t, q, 0, 1, 100))
	if len(q.wake) != 0 {
		t.Error("a sink that is awake was woken")
	}
	q.asleep = true
	q.push(sealedBatch(t, q, 1, 1, 100))
	q.push(sealedBatch(t, q, 2, 1, 100))
	if len(q.wake) != 1 || q.asleep {
		t.Errorf("%d tokens, asleep %v", len(q.wake), q.asleep)
	}
}

func TestLargeBuffersAreNotKept(t *testing.T) {
	q := newQueue(Live, 1<<20)
	q.push(sealedBatch(t, q, 0, 1, 60000)) // twice that, as dnsqr holds query and response
	q.push(sealedBatch(t, q, 1, 1, 100))
	q.pop(q.pop(nil))
	for b := q.blanks; b != nil; b = b.next {
		if cap(b.buf) > batchSize {
			t.Errorf("a buffer of %d bytes is kept", cap(b.buf))
		}
	}
	for range 3 * maxBlanks {
		q.keepBlank(newBatch())
	}
	if q.numBlanks != maxBlanks {
		t.Errorf("%d blanks are kept, want %d", q.numBlanks, maxBlanks)
	}
}
