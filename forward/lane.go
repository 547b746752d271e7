package forward

import (
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// keptScratch is the largest scratch, in bytes, that a lane keeps after a burst. Nearly all
// encoded records fit.
const keptScratch = 16 << 10

// A Lane takes the messages of one connection, in order. For each read its owner calls
// Begin, then Take or Drop for each message, then End; at last it calls Close. Calls come
// from one goroutine at a time.
type Lane struct {
	forwarder *Forwarder
	source    *source
	log       *transform.KeyLog // of packets that replace dnstap; nil: none

	mu      sync.Mutex
	pairer  *transform.Pairer
	plan    *plan
	feeds   []Feed // one for each sender of the plan, in the same order
	now     time.Time
	passed  bool // a message of this burst may be outward
	last    outwardBurst
	filed   replayClock             // Replay
	encoded []byte                  // scratch for the current record
	emit    func(*transform.Record) // record, bound once
}

// Begin opens a burst and locks the lane until End: the caller must not wait for anything
// between the two.
func (l *Lane) Begin() {
	l.mu.Lock()
	if l.forwarder.mode == Live {
		l.now = time.Now()
	}
}

// Take takes one message, which it borrows until it returns. The result is the reason why
// the message was dropped, or transform.Kept.
func (l *Lane) Take(m *transform.Message) transform.Reason {
	l.passed = l.passed || l.plan.policy.Passes(m)
	return l.pairer.Take(m, l.plan.policy, l.emit)
}

// Passes reports whether a message may be outward: see [transform.Policy.Passes]. It may be
// called only within a burst.
func (l *Lane) Passes(m *transform.Message) bool { return l.plan.policy.Passes(m) }

// Drop counts a frame or packet that is not a valid message.
func (l *Lane) Drop(r transform.Reason) { l.pairer.Drop(r) }

// End closes the burst and unlocks the lane. In Replay it then waits for room in the
// queues of the sinks.
func (l *Lane) End() {
	senders := l.plan.senders
	if l.passed {
		l.last, l.passed = outwardBurst{l.now, l.pairer.StatedTime()}, false
	}
	if cap(l.encoded) > keptScratch {
		l.encoded = nil
	}
	l.mu.Unlock()
	if l.forwarder.mode == Replay {
		for _, s := range senders {
			s.queue.awaitRoom()
		}
	}
}

// Close ends the lane: pending queries are counted as transform.Unfinished, open batches
// are sealed, and the source keeps the counts. The lane must not be used after that.
func (l *Lane) Close() { l.forwarder.closeLane(l) }

// setPlan replaces the plan. Feeds of senders that are in both plans keep their open batch.
func (l *Lane) setPlan(p *plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.HandOver(p.handover)
	old := l.feeds
	l.plan, l.feeds = p, make([]Feed, len(p.senders))
	for i, s := range p.senders {
		l.feeds[i] = takeFeed(old, s)
	}
	for i := range old {
		if old[i].to != nil {
			old[i].end()
		}
	}
}

// takeFeed moves the sender's feed out of feeds, or makes a new one.
func takeFeed(feeds []Feed, s *sender) Feed {
	for i := range feeds {
		if feeds[i].to == s {
			f := feeds[i]
			feeds[i] = Feed{}
			return f
		}
	}
	return newFeed(s)
}

// finish ends pending queries and seals open batches.
func (l *Lane) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.Finish()
	for i := range l.feeds {
		l.feeds[i].seal()
	}
}

// retire ends pending queries and the feeds, and returns the final counts.
func (l *Lane) retire() transform.Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.Finish()
	l.pairer.Log(nil)
	for i := range l.feeds {
		l.feeds[i].end()
	}
	l.feeds = nil
	l.plan = &plan{policy: l.plan.policy}
	return l.pairer.Counts()
}
