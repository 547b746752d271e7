package forward

import (
	"context"
	"time"
)

// handoverTime is how long a sink waits for the one that it replaces, where that is in
// trouble: its last try, and then what it holds. It is shorter than stopTime.
const handoverTime = 2 * time.Second

// succeed makes one of sinks the heir of s, which a reload removes: what s cannot
// deliver is delivered by the sink that has its name, if that encodes records alike.
// How containers are cut, compressed and sent is not part of a batch.
func (s *sink) succeed(sinks []*sink) {
	if s.mode == Replay {
		return // there, a failure is the end
	}
	for _, n := range sinks {
		if n.config.Name == s.config.Name && n.config.Message == s.config.Message && n.config.IDs == s.config.IDs {
			s.heir = n
			if s.troubled() {
				n.after = s
			}
		}
	}
}

// troubled reports whether s may not deliver what it holds. The Forwarder is locked.
func (s *sink) troubled() bool {
	_, since := s.health.tell(time.Now())
	return s.after != nil || !since.IsZero()
}

// await waits for the sink that s replaces, so that what is older leaves first. From
// one that takes too long it takes what waits there.
func (f *Forwarder) await(ctx context.Context, s *sink) {
	if s.after == nil {
		return
	}
	t := time.NewTimer(handoverTime)
	defer t.Stop()
	select {
	case <-s.after.done:
	case <-t.C:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.queue.precede(s.after.queue.surrender(nil))
	s.after = nil
}

// passOn ends a queue whose sink was replaced, and gives what it holds, hand first, to
// the heir, or to the heir's. It returns how many records that were, and false where
// there is no heir: then nothing has changed. No ledger is taken meanwhile.
func (f *Forwarder) passOn(s *sink, hand []*batch) (records uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h := s.heir; h != nil; h = h.heir {
		if !h.queue.over() {
			before := s.queue.passedOn()
			h.queue.precede(s.queue.surrenderAll(hand))
			return s.queue.passedOn() - before, true
		}
	}
	return 0, false
}

// surrender gives away what waits, and hand, which was popped: another accounts for it.
func (q *queue) surrender(hand []*batch) []*batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.giveAway(hand)
}

// surrenderAll is surrender by the sink itself, which is done: nothing enters any more.
func (q *queue) surrenderAll(hand []*batch) []*batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.giveAway(hand)
	q.ended, q.reason = true, Failed
	return all
}

func (q *queue) giveAway(hand []*batch) []*batch {
	if q.ended {
		return nil // it was given up, and counted
	}
	all := append([]*batch(nil), hand...)
	for _, b := range hand {
		q.inHand -= uint64(b.records)
	}
	for q.first != nil {
		all = append(all, q.leave())
	}
	for _, b := range all {
		q.tally.offered -= uint64(b.records)
		q.tally.passedOn += uint64(b.records)
	}
	return all
}

// precede takes over batches from another queue, older than what waits here. They keep
// their numbers, so that receivers see what is missing between them.
func (q *queue) precede(older []*batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := len(older) - 1; i >= 0; i-- {
		b := older[i]
		q.tally.offered += uint64(b.records)
		if q.ended {
			q.lose(b, q.reason)
			continue
		}
		b.next, q.first = q.first, b
		if q.last == nil {
			q.last = b
		}
		q.bytes += int64(len(b.buf))
		q.waiting += uint64(b.records)
	}
	q.bound()
}

// over reports whether nothing is delivered any more.
func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended
}

func (q *queue) passedOn() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tally.passedOn
}
