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

// sealedBatch returns a batch of one container with the records n, n+1 ... of lane 0.
func sealedBatch(t testing.TB, q *queue, n, records, size int) *Batch {
	t.Helper()
	b := q.empty()
	f := NMSG{}.NewFramer(1 << 20)
	for i := range records {
		record, err := NMSG{}.Append(nil, testRecord(0, n+i, size), nmsg.IDs{})
		if err != nil {
			t.Fatal(err)
		}
		f.Add(b, record)
	}
	f.Seal(b)
	return b
}

// push gives the queue a batch, and lets it drop its oldest batches.
func push(q *queue, b *Batch) { q.push(b, &containers{}) }

func TestFullQueueDropsItsOldestBatchesWithAGap(t *testing.T) {
	q := newQueue(Live, 100<<10)
	for i := range 5 {
		push(q, sealedBatch(t, q, i, 1, 20<<10)) // 40 KiB each, with the packets
	}
	var got []byte
	var seqs []uint32
	for _, b := range popped(q) {
		got = append(got, b.Buf...)
		for i := range b.Units {
			seqs = append(seqs, b.First+uint32(i))
		}
	}
	names, _, err := readNames(got)
	if err != nil {
		t.Fatal(err)
	}
	lost := q.tally.lost[QueueFull]
	if want := []uint32{uint32(lost)}; lost == 0 || seqs[0] != want[0] {
		t.Errorf("%d records dropped, the first one left has sequence number %d", lost, seqs[0])
	}
	if last := string(wireName("n4", "lane0")); names[len(names)-1] != last {
		t.Errorf("the newest is %q, want %q", names[len(names)-1], last)
	}
	if q.tally.inFlight+lost != 5 || q.waiting != 0 || q.bytes != 0 {
		t.Errorf("in flight %d, lost %d, waiting %d (%d bytes)", q.tally.inFlight, lost, q.waiting, q.bytes)
	}
}

// TestBatchesThatWaitHaveNoLargeUnusedEnds: otherwise a queue of records that fill more than half
// a batch would take twice its limit. The newest batch may still grow.
func TestBatchesThatWaitHaveNoLargeUnusedEnds(t *testing.T) {
	for _, size := range []int{17 << 10, 28 << 10, 31 << 10, 33 << 10} { // twice that, with the packets
		q := newQueue(Live, 16<<20)
		for i := range 20 {
			push(q, sealedBatch(t, q, i, 1, size))
		}
		var used, taken int
		for b := q.first; b != q.last; b = b.next {
			used, taken = used+len(b.Buf), taken+cap(b.Buf)
		}
		if used == 0 || taken > used*5/4 {
			t.Errorf("records of %d bytes: %d bytes are in buffers of %d", size, used, taken)
		}
	}
}

func TestReceiverSeesAGapForDroppedBatches(t *testing.T) {
	q := newQueue(Live, 64<<10)
	push(q, sealedBatch(t, q, 0, 1, 100))
	taker := taker{queue: q}
	got := slices.Clone(taker.pop()[0].Buf)
	for i := 1; i < 6; i++ {
		push(q, sealedBatch(t, q, i, 1, 30<<10))
	}
	for _, b := range taker.pop() {
		got = append(got, b.Buf...)
	}
	_, missing, err := readNames(got)
	if err != nil {
		t.Fatal(err)
	}
	if lost := int(q.tally.lost[QueueFull]); lost == 0 || missing != lost {
		t.Errorf("%d containers dropped, the receiver misses %d", lost, missing)
	}
}

func TestTheOnlyBatchIsKeptHoweverLarge(t *testing.T) {
	q := newQueue(Live, 1)
	push(q, sealedBatch(t, q, 0, 1, 60000))
	if batches := popped(q); len(batches) != 1 || q.tally.lost[QueueFull] != 0 {
		t.Errorf("%d batches, %d lost", len(batches), q.tally.lost[QueueFull])
	}
}

func TestSmallBatchesShareABufferWhileTheyWait(t *testing.T) {
	q := newQueue(Live, 16<<20)
	const n = 1000
	for i := range n {
		push(q, sealedBatch(t, q, i, 1, 100))
	}
	var got []byte
	var batches int
	for {
		popped := popped(q)
		if len(popped) == 0 {
			break
		}
		batches += len(popped)
		for _, b := range popped {
			if len(b.Buf) > BatchSize {
				t.Errorf("a batch of %d bytes", len(b.Buf))
			}
			got = append(got, b.Buf...)
		}
	}
	names, missing, err := readNames(got)
	if err != nil || missing != 0 || len(names) != n {
		t.Fatalf("%d names, %d containers missing, %v", len(names), missing, err)
	}
	if !slices.IsSortedFunc(names, func(a, b string) int { return len(a) - len(b) }) {
		t.Error("they came out of order")
	}
	if want := len(got)/BatchSize + 1; batches > want+1 {
		t.Errorf("%d batches for %d bytes, want about %d", batches, len(got), want)
	}
}

func TestReplayWaitsAndDropsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(Replay, 1000)
		for i := range 3 {
			push(q, sealedBatch(t, q, i, 1, 1000))
		}
		var waited time.Duration
		done := make(chan struct{})
		start := time.Now()
		go func() {
			q.awaitRoom(t.Context())
			waited = time.Since(start)
			close(done)
		}()
		time.Sleep(time.Second)
		if got := len(popped(q)); got != 3 {
			t.Errorf("%d batches, want 3", got)
		}
		<-done
		if waited != time.Second {
			t.Errorf("the lane waited %v", waited)
		}
	})
}

func TestAnEndedQueueDoesNotBlockAndCountsBatches(t *testing.T) {
	q := newQueue(Replay, 0)
	taker := taker{queue: q}
	q.current = &taker.sender
	push(q, sealedBatch(t, q, 0, 2, 100))
	taker.pop()
	push(q, sealedBatch(t, q, 2, 3, 100))
	q.giveUp(&taker.sender, Failed)
	q.giveUp(&taker.sender, Stopped)
	push(q, sealedBatch(t, q, 5, 4, 100))
	q.awaitRoom(t.Context())
	q.count(&taker.sender, &Result{Delivered: 2}) // too late: the batch was given up
	want := LossCounts{Failed: 9}
	if diff := cmp.Diff(want, q.tally.lost); diff != "" || q.tally.inFlight != 0 || q.tally.delivered != 0 {
		t.Errorf("in flight %d, delivered %d, lost (-want +got):\n%s", q.tally.inFlight, q.tally.delivered, diff)
	}
}

func TestAClosedQueueAcceptsNoBatchesAndDrains(t *testing.T) {
	q := newQueue(Live, 1000)
	taker := taker{queue: q, sender: sender{stop: make(chan struct{})}}
	q.current = &taker.sender
	push(q, sealedBatch(t, q, 0, 1, 100))
	q.close()
	push(q, sealedBatch(t, q, 1, 1, 100))
	if !q.sleep(context.Background(), &taker.sender, time.Time{}) || len(taker.pop()) != 1 {
		t.Error("the queued batches did not come out")
	}
	q.count(&taker.sender, &Result{Delivered: 1})
	if q.sleep(context.Background(), &taker.sender, time.Time{}) {
		t.Error("a closed queue did not end")
	}
	if q.tally.lost[Stopped] != 1 {
		t.Errorf("lost %v", q.tally.lost)
	}
}

func TestOnlyASleeperIsWoken(t *testing.T) {
	q := newQueue(Live, 1<<20)
	push(q, sealedBatch(t, q, 0, 1, 100))
	if len(q.wake) != 0 {
		t.Error("a sender that does not sleep was woken")
	}
	q.asleep = true
	push(q, sealedBatch(t, q, 1, 1, 100))
	push(q, sealedBatch(t, q, 2, 1, 100))
	if len(q.wake) != 1 || q.asleep {
		t.Errorf("%d tokens, asleep %v", len(q.wake), q.asleep)
	}
}

func TestLargeBuffersAreNotKept(t *testing.T) {
	q := newQueue(Live, 1<<20)
	push(q, sealedBatch(t, q, 0, 1, 60000)) // twice that, as dnsqr holds query and response
	push(q, sealedBatch(t, q, 1, 1, 100))
	taker := taker{queue: q}
	taker.pop()
	taker.pop()
	for b := q.free; b != nil; b = b.next {
		if cap(b.Buf) > BatchSize {
			t.Errorf("a buffer of %d bytes is kept", cap(b.Buf))
		}
	}
	for range 3 * maxFree {
		q.recycle(newBatch())
	}
	if q.numFree != maxFree {
		t.Errorf("%d empty batches are kept, want %d", q.numFree, maxFree)
	}
}
