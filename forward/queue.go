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

	wake     chan struct{} // wakes the sender from sleep
	halfFull chan struct{} // Env.HalfFull

	mu          sync.Mutex
	limit       int64  // bytes in the queue at most
	waits       bool   // what feeds the queue waits for room: it drops nothing
	first, last *Batch // in the queue
	bytes       int64  // in the queue
	waiting     uint64 // records in the queue
	next        uint32 // number of the next unit
	asleep      bool
	dropped     Dropped // since a sender took a batch that was new to it
	free        *Batch
	numFree     int

	current *sender // of the present configuration, or of the last one if the sink is removed; nil: none yet
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
	resumed   uint64
	delivered uint64
	tentative StateCounts
	lost      LossCounts
	doubts    uint64 // how often tentative records may have been lost although none was counted
	sent      Sent
	errors    NetworkErrors
}

func newQueue(mode Mode, limit int64) *queue {
	q := &queue{
		mode:   mode,
		limit:  limit,
		id:     rand.Uint64() | anyID,
		wake:   make(chan struct{}, 1),
		reason: Stopped,

		halfFull: make(chan struct{}, 1),
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
// blocks. In Live it drops the oldest batches above the limit, unless its feeders wait for room
// afterwards: stages do, and inlets. In Replay the lane waits at the end of its burst.
func (q *queue) push(b *Batch, f Framer) error {
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
	q.bound()
	q.noteLevel()
	q.wakeIfPending()
	return nil
}

// noteLevel makes halfFull contain an element if the queue is half full, and none otherwise.
func (q *queue) noteLevel() {
	if q.bytes >= q.limit/2 && q.first != nil {
		signal(q.halfFull)
		return
	}
	select {
	case <-q.halfFull:
	default:
	}
}

// bound drops, in Live, the oldest batches above the limit, but never the newest.
func (q *queue) bound() {
	for q.mode == Live && !q.waits && q.bytes > q.limit && q.first != q.last {
		q.lose(q.takeAfter(nil), QueueFull)
	}
}

// wakeIfPending wakes a sleeping sender if the queue has a batch.
func (q *queue) wakeIfPending() {
	if q.asleep && q.first != nil {
		q.asleep = false
		signal(q.wake)
	}
}

// signal puts an element into a channel with room for one, unless it contains one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// enter appends b to the queue. In Live, where batches are sealed by age too, it appends
// the units to the last batch if they fit and continue it: otherwise a sink that fails for
// long would hold thousands of batches with a few records each.
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
		q.last.clip() // b does not continue it: it no longer grows
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
	q.dropped.addBatch(b)
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
// has sent.
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
		if !b.taken { // a retry must not differ
			b.Dropped, b.taken, q.dropped = q.dropped, true, Dropped{}
		}
	}
	q.noteLevel()
	q.room.Broadcast()
}

// sleep waits until there may be a batch or a request for s, or until the time until; zero: no limit. It
// returns false if ctx has ended, or if s has to stop and either yields its batches or has
// none: none is queued, and no other sender has one that it may put back.
func (q *queue) sleep(ctx context.Context, s *sender, until time.Time) bool {
	q.mu.Lock()
	_, b := q.oldest(s.edition)
	ends := s.stopping && (s.yields || b == nil && q.tally.inFlight == 0)
	if ends || b != nil || len(q.dueOf(s)) > 0 {
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

// releaseFree releases the free batches of a queue whose sink was removed.
func (q *queue) releaseFree() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free, q.numFree = nil, 0
}

// count adds the result of a Send by s to the account. It ignores the result if the batches
// of s were given up, because their records are counted as lost already.
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
	s.spooled += r.Tentative[Spooled]
	for why, n := range r.Lost {
		q.tally.lost[why] += n
		done += n
	}
	s.inFlight -= done
	q.tally.inFlight -= done
	q.tally.sent.add(&r.Sent)
	q.dropped.add(r.dropped)
	q.noteLevel()
}

// settle implements [Settle]. It moves at most the records that count and resume have put
// into the state: an abandoned sender's were counted as lost instead.
func (q *queue) settle(s *sender, from State, records uint64, to Outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(records, q.tally.tentative[from])
	q.tally.tentative[from] -= n
	if from == Spooled {
		s.spooled -= min(n, s.spooled)
	}
	if to.Lost {
		q.tally.lost[to.Why] += n
	} else {
		q.tally.delivered += n
	}
}

// resume implements [Env].Resume. Spooled records of other senders are those that earlier
// transports left in the spool: their state does not change.
func (q *queue) resume(s *sender, records uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	others := q.tally.tentative[Spooled] - min(s.spooled, q.tally.tentative[Spooled])
	found := records - min(records, others)
	q.tally.resumed += found
	q.tally.tentative[Spooled] += found
	s.spooled += records
}

// countErrors implements [Env].CountErrors.
func (q *queue) countErrors(e NetworkErrors) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tally.errors.add(e)
}

// countSent implements [Env].CountSent.
func (q *queue) countSent(s Sent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tally.sent.add(&s)
}

// awaitRoom waits until the queue is within its limit or takes no more batches, or ctx has ended.
func (q *queue) awaitRoom(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.isFull() {
		return
	}
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.room.Broadcast()
	})()
	for q.isFull() && ctx.Err() == nil {
		q.room.Wait()
	}
}

func (q *queue) isFull() bool { return q.bytes > q.limit && !q.closed && !q.ended }

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
	q.current, q.limit, q.waits = s, s.config.Queue, s.config.From != "" || s.config.Waits
	q.closed, q.ended, q.reason = false, false, Stopped
	q.bound()
	q.noteLevel()
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
	if q.closed {
		return
	}
	q.closed = true
	if q.current != nil {
		q.stopSender(q.current, false)
	}
	q.room.Broadcast()
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
		signal(q.wake)
	}
}

// stopState reports whether s has to stop, and whether its batches go to another sender.
func (q *queue) stopState(s *sender) (stopping, yields bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return s.stopping, s.yields
}

// endSender handles the unsent batches of a sender that ends. If it yields, they go back to
// the front of the queue: kept is the number of their records. If it failed, they and those
// in the queue for it are lost. replaced reports that another sender is the current one.
func (q *queue) endSender(s *sender, failed bool) (replaced bool, kept, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.wakeSender()
	switch {
	case s.yields && !s.abandoned:
		kept = q.putBack(s)
	case failed:
		for _, b := range s.batches[s.sent:] {
			q.dropped.addBatch(b)
		}
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
	q.noteLevel()
	return records
}

// giveUp counts the batches of s and those in the queue for it as lost. If s is the current
// sender, the queue has ended, and batches that arrive later are lost for the same reason.
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
	q.noteLevel()
	q.room.Broadcast()
	return q.tally.lost[why] - before
}
