package forward

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	maxHand   = 8 // batches that a sink takes at once
	maxBlanks = 8 // emptied batches that a queue keeps for lanes to fill
)

// A queue is what stands between lanes and a sink's goroutine: sealed batches in
// order, bounded in bytes, and the sink's account. It numbers containers as they
// enter, so that what it gives up is a gap that receivers can see.
type queue struct {
	mode  Mode
	limit int64  // bytes that wait at most
	seqID uint64 // of all containers that enter

	wake    chan struct{} // a token when the sink, asleep, is to look again
	closing chan struct{} // closed by close

	mu          sync.Mutex
	first, last *batch // that wait
	bytes       int64  // of those
	waiting     uint64 // records in those
	inHand      uint64 // records in the sink's hands
	nextSeq     uint32
	asleep      bool
	blanks      *batch
	numBlanks   int

	closed bool // nothing more may enter, what waits is still delivered
	ended  bool // nothing more is delivered
	reason Loss // what becomes of that which comes nevertheless
	room   sync.Cond
	tally  tally
}

// tally is a sink's account, but for what its lanes have not told yet.
type tally struct {
	feedCounts
	delivered uint64
	lost      [numLosses]uint64
	sent      Sent
	passedOn  uint64 // records, to an heir, which was offered these instead
}

func newQueue(mode Mode, limit int64) *queue {
	q := &queue{
		mode:  mode,
		limit: limit,
		// With its highest bit set, any id takes the same room in a container: the
		// same records make containers of the same sizes, whatever the id.
		seqID:   rand.Uint64() | 1<<63,
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		reason:  Stopped,
	}
	q.room.L = &q.mu
	return q
}

// blank returns a batch to fill.
func (q *queue) blank() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.blanks
	if b == nil {
		return newBatch()
	}
	q.blanks, b.next = b.next, nil
	q.numBlanks--
	return b
}

// push takes over a sealed batch. It never blocks: in Live, the oldest that wait
// are given up when there are too many, in Replay the lane waits when its burst
// has ended.
func (q *queue) push(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.ended {
		q.lose(b, q.reason)
		return
	}
	q.nextSeq = b.number(q.seqID, q.nextSeq)
	q.enter(b)
	q.bound()
}

// bound gives up, in Live, the oldest when there are too many, and wakes the sink for
// what has come.
func (q *queue) bound() {
	if q.mode == Live {
		for q.bytes > q.limit && q.first != q.last {
			q.lose(q.leave(), QueueFull)
		}
	}
	if q.asleep && q.first != nil {
		q.asleep = false
		q.rouse()
	}
}

func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// enter appends b to what waits. In Live, where batches are sealed by age too, one
// that fits is poured into the last: else a sink that is down for long would hold
// thousands of batches with a few records each.
func (q *queue) enter(b *batch) {
	q.bytes += int64(len(b.buf))
	q.waiting += uint64(b.records)
	switch {
	case q.last == nil:
		q.first, q.last = b, b
	case q.mode == Live && q.last.room() >= len(b.buf) && q.last.seqID == b.seqID:
		q.last.pour(b)
		q.keepBlank(b)
	default:
		q.last.next, q.last = b, b
	}
}

// leave takes out the oldest that waits.
func (q *queue) leave() *batch {
	b := q.first
	q.first, b.next = b.next, nil
	if q.first == nil {
		q.last = nil
	}
	q.bytes -= int64(len(b.buf))
	q.waiting -= uint64(b.records)
	return b
}

func (q *queue) lose(b *batch, why Loss) {
	q.tally.lost[why] += uint64(b.records)
	q.keepBlank(b)
}

func (q *queue) keepBlank(b *batch) {
	if q.numBlanks == maxBlanks || !b.reusable() {
		return
	}
	b.reset()
	q.blanks, b.next = b, q.blanks
	q.numBlanks++
}

// pop appends what waits, up to maxHand batches, to hand: it is in the sink's
// hands now. What was in them before is done with: it becomes blanks.
func (q *queue) pop(hand []*batch) []*batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range hand {
		q.keepBlank(b)
	}
	hand = hand[:0]
	for q.first != nil && len(hand) < maxHand {
		b := q.leave()
		q.inHand += uint64(b.records)
		hand = append(hand, b)
	}
	q.room.Broadcast()
	return hand
}

// sleep returns when there may be something to pop or until has passed; the zero
// time never does. It returns false when nothing will come any more, or ctx ended.
func (q *queue) sleep(ctx context.Context, until time.Time) bool {
	q.mu.Lock()
	if q.first != nil || q.closed {
		more := q.first != nil
		q.mu.Unlock()
		return more && ctx.Err() == nil
	}
	q.asleep = true
	q.mu.Unlock()

	var expired <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-q.wake:
	case <-expired:
	case <-ctx.Done():
		return false
	}
	return true
}

// settle accounts for what was in the sink's hands, unless that was given up
// already.
func (q *queue) settle(o *outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	q.tally.delivered += o.delivered
	q.inHand -= o.delivered
	for why, n := range o.lost {
		q.tally.lost[why] += n
		q.inHand -= n
	}
	q.tally.sent.add(&o.sent)
}

// awaitRoom waits until no more bytes wait than may, or none will ever leave.
func (q *queue) awaitRoom() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes > q.limit && !q.ended {
		q.room.Wait()
	}
}

// inherit takes over what a feed that ends has counted.
func (q *queue) inherit(c *feedCounts) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tally.add(c)
	*c = feedCounts{}
}

// close lets nothing more enter; the sink ends when it has delivered what waits.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.closed = true
	close(q.closing)
	q.rouse()
}

// end gives up what waits and what is in the sink's hands, and whatever still
// comes. The first reason stays.
func (q *queue) end(why Loss) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	q.ended, q.reason = true, why
	q.tally.lost[why] += q.inHand
	q.inHand = 0
	for q.first != nil {
		q.lose(q.leave(), why)
	}
	q.room.Broadcast()
}
