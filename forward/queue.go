package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	maxHand = 8 // batches that a sender takes at once
	maxFree = 8 // emptied batches that a queue keeps for lanes to fill
)

// A queue holds the sealed batches of one sink, in order and bounded in bytes, and the
// sink's account. It lives as long as the sink. It numbers units as they enter, so that
// receivers see a gap where it gave some up.
type queue struct {
	mode Mode
	id   uint64 // of all units that enter

	wake chan struct{} // a token when the sender, asleep, is to look again

	mu          sync.Mutex
	limit       int64  // bytes that wait at most
	first, last *Batch // that wait
	bytes       int64  // of those
	waiting     uint64 // records in those
	next        uint32 // number of the next unit
	asleep      bool
	free        *Batch
	numFree     int

	current *sender // that the sink's configuration describes; nil in tests only
	closed  bool    // nothing more may enter; what waits is still sent
	ended   bool    // nothing more is sent
	reason  Loss    // of records that come nevertheless
	room    sync.Cond
	tally   tally
}

// tally is a sink's account without the records that its lanes still have.
type tally struct {
	feedCounts
	entered   uint64
	inHand    uint64 // that senders have taken out and are not done with
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

// empty returns a batch to fill.
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

var errEnded = errors.New("the sink takes nothing more")

// push takes over a sealed batch and numbers its units. It never blocks. In Live the
// oldest batches are given up when there are too many, unless the caller waits for
// room. In Replay the lane waits when its burst has ended.
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
	q.rouse()
	return nil
}

// bound gives up, in Live, the oldest batches when there are too many.
func (q *queue) bound() {
	for q.mode == Live && q.bytes > q.limit && q.first != q.last {
		q.lose(q.takeAfter(nil), QueueFull)
	}
}

// rouse wakes a sleeper if there is something to send.
func (q *queue) rouse() {
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

// enter appends b to what waits. In Live, where batches are sealed by age too, one
// that fits is poured into the last: otherwise a sink that fails for long would hold
// thousands of batches with a few records each.
func (q *queue) enter(b *Batch) {
	q.bytes += int64(len(b.Buf))
	q.waiting += uint64(b.total)
	switch {
	case q.last == nil:
		q.first, q.last = b, b
	case q.mode == Live && q.last.room() >= len(b.Buf) && b.continues(q.last):
		q.last.pour(b)
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

// takeAfter takes out the batch after before; nil: the oldest.
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

// recycle keeps a batch for lanes to fill.
func (q *queue) recycle(b *Batch) {
	if q.numFree == maxFree || !b.reusable() {
		return
	}
	b.reset()
	q.free, b.next = b, q.free
	q.numFree++
}

// pop gives s the oldest batches of its edition, up to maxHand; s is done with those
// that it had before.
func (q *queue) pop(s *sender) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range s.hand {
		q.recycle(b)
	}
	s.hand, s.sent = s.hand[:0], 0
	for len(s.hand) < maxHand {
		before, b := q.oldest(s.edition)
		if b == nil {
			break
		}
		q.takeAfter(before)
		s.inHand += uint64(b.total)
		q.tally.inHand += uint64(b.total)
		s.hand = append(s.hand, b)
	}
	q.room.Broadcast()
}

// sleep returns when there may be something for s, or until has passed; the zero time
// never does. It returns false when s is to end and no other sender can put anything
// back, or ctx ended.
func (q *queue) sleep(ctx context.Context, s *sender, until time.Time) bool {
	q.mu.Lock()
	_, b := q.oldest(s.edition)
	ends := s.leaving && (s.yields || b == nil && q.tally.inHand == 0)
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

// shrink releases the memory of a queue that is out of use.
func (q *queue) shrink() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free, q.numFree = nil, 0
}

// count accounts for a part of what s has in hand, unless that was given up already.
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
	s.inHand -= done
	q.tally.inHand -= done
	q.tally.sent.add(&r.Sent)
}

// settle is the sink's [Settle]. It moves no more than there is: a sender that was
// abandoned was given up together with what it then called tentative.
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
	q.tally.feedCounts.add(c)
	*c = feedCounts{}
}

// install makes s the current sender, for which the queue has the given bounds. The
// sender before it leaves: with the same edition it leaves everything to s, otherwise
// it first sends what is of its own.
func (q *queue) install(s *sender) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.current != nil {
		q.leave(q.current, q.current.edition == s.edition)
	}
	q.current, q.limit = s, s.config.Queue
	q.closed, q.ended, q.reason = false, false, Stopped
	q.bound()
	q.room.Broadcast()
}

// reopen lets batches enter again, after close or giveUp.
func (q *queue) reopen() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.ended, q.reason = false, false, Stopped
}

// close lets nothing more enter. The sender leaves when it has sent what waits.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.current != nil {
		q.leave(q.current, false)
	}
}

func (q *queue) leave(s *sender, yields bool) {
	if !s.leaving {
		s.leaving = true
		close(s.ending)
	}
	s.yields = yields
	q.stir()
}

// stir wakes a sleeper to look again whether it is to end.
func (q *queue) stir() {
	if q.asleep {
		q.asleep = false
		q.signal()
	}
}

// isLeaving reports whether s is to end, and whether it yields to another sender.
func (q *queue) isLeaving(s *sender) (leaving, yields bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return s.leaving, s.yields
}

// resign ends a sender. What it has in hand is kept if it yields to another sender: it
// goes back to the front of the queue. Otherwise the sender has sent everything, or it
// failed, and what it has is lost. It was replaced if another sender is the current one.
func (q *queue) resign(s *sender, failed bool) (replaced bool, kept, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.stir()
	switch {
	case s.yields && !s.abandoned:
		kept = q.putBack(s)
	case failed:
		lost = q.drop(s, Failed)
	}
	return s != q.current, kept, lost
}

func (q *queue) putBack(s *sender) (records uint64) {
	records = s.inHand
	q.tally.inHand -= s.inHand
	s.inHand = 0
	for i := len(s.hand) - 1; i >= s.sent; i-- {
		b := s.hand[i]
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
	s.hand = nil
	q.bound()
	return records
}

// giveUp counts as lost what s has in hand and what waits for it. After the current
// sender nothing more is sent. The first reason stays.
func (q *queue) giveUp(s *sender, why Loss) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop(s, why)
	q.stir()
}

func (q *queue) drop(s *sender, why Loss) (records uint64) {
	before := q.tally.lost[why]
	if !s.abandoned {
		s.abandoned = true
		q.tally.lost[why] += s.inHand
		q.tally.inHand -= s.inHand
		s.inHand = 0
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
