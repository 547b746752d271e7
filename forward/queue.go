package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	maxTaken = 8 // batches that a sender takes at once
	maxFree  = 8 // empty batches that a queue keeps for lanes
)

// A queue holds the sealed batches of one sink, in order and bounded in bytes, and the
// sink's account. It exists as long as the sink. It numbers units before it drops batches,
// so that receivers see a gap.
type queue struct {
	mode Mode
	id   uint64 // of all units that enter

	wake chan struct{} // wakes the sender from sleep

	mu          sync.Mutex
	limit       int64  // bytes in the queue at most
	first, last *Batch // in the queue
	bytes       int64  // in the queue
	waiting     uint64 // records in the queue
	next        uint32 // number of the next unit
	asleep      bool
	free        *Batch
	numFree     int

	current *sender // of the present configuration, or of the last one; nil: none was installed yet
	closed  bool    // no batch may enter any more; those in the queue are still sent
	ended   bool    // no batch is sent any more
	reason  Loss    // of records that arrive when the queue is closed or has ended
	room    sync.Cond
	tally   tally
}

// tally is a sink's account without the records in the open batches of lanes.
type tally struct {
	feedCounts
	entered   uint64
	inFlight  uint64 // in batches that senders have taken and not sent
	delivered uint64
	tentative StateCounts
	lost      LossCounts
	sent      Sent
}

func newQueue(mode Mode, limit int64) *queue {
	q := &queue{
		mode:   mode,
		limit:  limit,
		id:     rand.Uint64() | anyID,
		wake:   make(chan struct{}, 1),
		reason: Stopped,
	}
	q.room.L = &q.mu
	return q
}

// empty returns an empty batch.
func (q *queue) empty() *Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.free
	if b == nil {
		return newBatch()
	}
	q.free, b.next = b.next, nil
	q.numFree--
	return b
}

var errEnded = errors.New("the sink has stopped and accepts no more batches")

// push takes a sealed batch, which it owns from then on, and numbers its units. It never
// blocks. In Live it drops the oldest batches above the limit, unless the caller waits for
// room. In Replay the lane waits at the end of its burst.
func (q *queue) push(b *Batch, f Framer, waits bool) error {
	b.total = b.records()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tally.entered += uint64(b.total)
	if q.closed || q.ended {
		q.lose(b, q.reason)
		return errEnded
	}
	b.ID, b.First = q.id, q.next
	f.Number(b)
	q.next += uint32(len(b.Units))
	q.enter(b)
	if !waits {
		q.bound()
	}
	q.wakeIfPending()
	return nil
}

// bound drops, in Live, the oldest batches above the limit, but never the newest.
func (q *queue) bound() {
	for q.mode == Live && q.bytes > q.limit && q.first != q.last {
		q.lose(q.takeAfter(nil), QueueFull)
	}
}

// wakeIfPending wakes a sleeping sender if the queue has a batch.
func (q *queue) wakeIfPending() {
	if q.asleep && q.first != nil {
		q.asleep = false
		q.signal()
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// enter appends b to the queue. In Live, where batches are sealed by age too, it appends
// the units to the last batch if they fit: otherwise a sink that fails for long would hold
// thousands of batches with a few records each.
func (q *queue) enter(b *Batch) {
	q.bytes += int64(len(b.Buf))
	q.waiting += uint64(b.total)
	switch {
	case q.last == nil:
		q.first, q.last = b, b
	case q.mode == Live && q.last.room() >= len(b.Buf) && b.continues(q.last):
		q.last.appendUnits(b)
		q.recycle(b)
	default:
		q.last.next, q.last = b, b
	}
}

// oldest returns the oldest batch of an edition and the batch before it.
func (q *queue) oldest(edition int) (before, b *Batch) {
	for b = q.first; b != nil && b.edition != edition; b = b.next {
		before = b
	}
	return before, b
}

// takeAfter removes and returns the batch after before; nil: the oldest batch.
func (q *queue) takeAfter(before *Batch) *Batch {
	b := q.first
	if before == nil {
		q.first = b.next
	} else {
		b = before.next
		before.next = b.next
	}
	if b.next == nil {
		q.last = before
	}
	b.next = nil
	q.bytes -= int64(len(b.Buf))
	q.waiting -= uint64(b.total)
	return b
}

func (q *queue) lose(b *Batch, why Loss) {
	q.tally.lost[why] += uint64(b.total)
	q.recycle(b)
}

// recycle puts a batch on the free list, from which lanes take theirs.
func (q *queue) recycle(b *Batch) {
	if q.numFree == maxFree || !b.reusable() {
		return
	}
	b.reset()
	q.free, b.next = b, q.free
	q.numFree++
}

// pop gives s the oldest batches of its edition, up to maxTaken, and recycles those that s
// had before.
func (q *queue) pop(s *sender) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range s.batches {
		q.recycle(b)
	}
	s.batches, s.sent = s.batches[:0], 0
	for len(s.batches) < maxTaken {
		before, b := q.oldest(s.edition)
		if b == nil {
			break
		}
		q.takeAfter(before)
		s.inFlight += uint64(b.total)
		q.tally.inFlight += uint64(b.total)
		s.batches = append(s.batches, b)
	}
	q.room.Broadcast()
}

// sleep returns when there may be a batch for s, or at the time until; zero: no limit. It
// returns false if ctx has ended, or if s has to stop and no other sender can put a batch
// back.
func (q *queue) sleep(ctx context.Context, s *sender, until time.Time) bool {
	q.mu.Lock()
	_, b := q.oldest(s.edition)
	ends := s.stopping && (s.yields || b == nil && q.tally.inFlight == 0)
	if ends || b != nil {
		q.mu.Unlock()
		return !ends && ctx.Err() == nil
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

// shrink releases the memory of a queue that is not in use any more.
func (q *queue) shrink() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free, q.numFree = nil, 0
}

// count accounts for records of the batches of s, unless these were given up already.
func (q *queue) count(s *sender, r *Result) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.abandoned {
		return
	}
	done := r.Delivered
	q.tally.delivered += r.Delivered
	for state, n := range r.Tentative {
		q.tally.tentative[state] += n
		done += n
	}
	for why, n := range r.Lost {
		q.tally.lost[why] += n
		done += n
	}
	s.inFlight -= done
	q.tally.inFlight -= done
	q.tally.sent.add(&r.Sent)
}

// settle implements [Settle]. It moves at most the tentative records of that state: those of
// an abandoned sender were counted as lost already.
func (q *queue) settle(from State, records uint64, to Fate) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(records, q.tally.tentative[from])
	q.tally.tentative[from] -= n
	if to.Lost {
		q.tally.lost[to.Why] += n
	} else {
		q.tally.delivered += n
	}
}

// awaitRoom waits until the queue is within its limit, or has ended.
func (q *queue) awaitRoom() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes > q.limit && !q.ended {
		q.room.Wait()
	}
}

// addCounts adds the counts of a feed that ends, and resets them.
func (q *queue) addCounts(c *feedCounts) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tally.feedCounts.add(c)
	*c = feedCounts{}
}

// install makes s the current sender, and applies its limit. The sender before it stops: if
// it has the same edition, its batches go to s; otherwise it first sends the batches of its
// edition.
func (q *queue) install(s *sender) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.current != nil {
		q.stopSender(q.current, q.current.edition == s.edition)
	}
	q.current, q.limit = s, s.config.Queue
	q.closed, q.ended, q.reason = false, false, Stopped
	q.bound()
	q.room.Broadcast()
}

// reopen allows batches to enter again, after close or giveUp.
func (q *queue) reopen() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.ended, q.reason = false, false, Stopped
}

// close allows no more batches to enter. The sender stops when it has sent those in the
// queue.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.current != nil {
		q.stopSender(q.current, false)
	}
}

func (q *queue) stopSender(s *sender, yields bool) {
	if !s.stopping {
		s.stopping = true
		close(s.stop)
	}
	s.yields = yields
	q.wakeSender()
}

// wakeSender wakes a sleeping sender, which then checks whether it has to stop.
func (q *queue) wakeSender() {
	if q.asleep {
		q.asleep = false
		q.signal()
	}
}

// stopState reports whether s has to stop, and whether its batches go to another sender.
func (q *queue) stopState(s *sender) (stopping, yields bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return s.stopping, s.yields
}

// endSender ends a sender. If it yields to another sender, its unsent batches go back to
// the front of the queue: kept is the number of their records. Otherwise it has sent all
// batches, or it failed, and its batches are lost. replaced reports that another sender is
// the current one.
func (q *queue) endSender(s *sender, failed bool) (replaced bool, kept, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.wakeSender()
	switch {
	case s.yields && !s.abandoned:
		kept = q.putBack(s)
	case failed:
		lost = q.drop(s, Failed)
	}
	return s != q.current, kept, lost
}

func (q *queue) putBack(s *sender) (records uint64) {
	records = s.inFlight
	q.tally.inFlight -= s.inFlight
	s.inFlight = 0
	for i := len(s.batches) - 1; i >= s.sent; i-- {
		b := s.batches[i]
		if q.ended {
			q.lose(b, q.reason)
			continue
		}
		b.next, q.first = q.first, b
		if q.last == nil {
			q.last = b
		}
		q.bytes += int64(len(b.Buf))
		q.waiting += uint64(b.total)
	}
	s.batches = nil
	q.bound()
	return records
}

// giveUp counts the batches of s and those in the queue for it as lost. If s is the current
// sender, the queue has ended. The first reason stays.
func (q *queue) giveUp(s *sender, why Loss) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop(s, why)
	q.wakeSender()
}

func (q *queue) drop(s *sender, why Loss) (records uint64) {
	before := q.tally.lost[why]
	if !s.abandoned {
		s.abandoned = true
		q.tally.lost[why] += s.inFlight
		q.tally.inFlight -= s.inFlight
		s.inFlight = 0
	}
	if s == q.current && !q.ended {
		q.ended, q.reason = true, why
	}
	for before, b := q.oldest(s.edition); b != nil; before, b = q.oldest(s.edition) {
		q.takeAfter(before)
		q.lose(b, why)
	}
	q.room.Broadcast()
	return q.tally.lost[why] - before
}
