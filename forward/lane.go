package forward

import (
	"context"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Lane takes the messages of one connection, in order. For each read its owner calls
// Begin, then Take or Drop for each message, then End; at last it calls Close. Calls come
// from one goroutine at a time.
type Lane struct {
	forwarder *Forwarder
	source    *source
	log       *transform.KeyLog // of packets that replace dnstap; nil: none

	mu        sync.Mutex
	pairer    *transform.Pairer
	plan      *plan
	ids       nmsg.IDs // of the source
	feeds     feeds    // to the senders of the plan
	now       time.Time
	passed    bool // a message of this burst may be outward
	last      outwardBurst
	fileClock replayClock             // Replay
	emit      func(*transform.Record) // record, bound once
	offers    SinkTrace               // nil: none
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
	l.passed = l.passed || l.plan.policy.MayBeOutward(m)
	return l.pairer.Take(m, l.plan.policy, l.emit)
}

// MayBeOutward reports whether a message may be outward: see [transform.Policy.MayBeOutward]. It may be
// called only within a burst.
func (l *Lane) MayBeOutward(m *transform.Message) bool { return l.plan.policy.MayBeOutward(m) }

// Drop counts a frame or packet that is not a valid message.
func (l *Lane) Drop(r transform.Reason) { l.pairer.Drop(r) }

// End closes the burst and unlocks the lane. In Replay it then waits for room in the
// queues of the sinks.
func (l *Lane) End() {
	senders := l.plan.senders
	if l.passed {
		l.last, l.passed = outwardBurst{l.now, l.pairer.StatedTime()}, false
	}
	l.feeds.shrink()
	l.mu.Unlock()
	if l.forwarder.mode == Replay {
		for _, s := range senders {
			s.queue.awaitRoom(context.Background())
		}
	}
}

// Close ends the lane: pending queries are counted as transform.Unfinished, open batches
// are sealed, and the source keeps the counts. The lane must not be used after that.
func (l *Lane) Close() { l.forwarder.closeLane(l) }

// setPlan replaces the plan. Feeds of senders that are in both plans keep their open batch. The
// Forwarder's mutex is held.
func (l *Lane) setPlan(p *plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.HandOver(p.handover)
	l.plan, l.ids = p, p.ids(l.source.name)
	l.feeds.set(p.senders, p.encodings)
}

// finish ends pending queries and seals open batches.
func (l *Lane) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.Finish(l.plan.policy, l.emit)
	l.feeds.seal()
}

// retire ends pending queries and the feeds, and returns the final counts.
func (l *Lane) retire() transform.Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.Finish(l.plan.policy, l.emit)
	l.pairer.KeepKeys(nil)
	l.feeds.set(nil, nil)
	l.plan = &plan{policy: l.plan.policy}
	return l.pairer.Counts()
}
