package forward

import (
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// keptScratch is the capacity of scratch that a lane keeps from burst to burst. Nearly
// all encoded records fit.
const keptScratch = 16 << 10

// A Lane takes the messages of one connection, in order. Its owner calls Begin,
// then Take and Drop for what one read has brought, then End, and so on until
// Close. One goroutine at a time may do so.
type Lane struct {
	forwarder *Forwarder
	source    *source
	log       *transform.KeyLog // of packets that replace dnstap; nil: none

	mu      sync.Mutex
	pairer  *transform.Pairer
	plan    *plan
	feeds   []Feed // one for each of the plan's senders, in its order
	now     time.Time
	passed  bool // a message of this burst may be outward
	last    sighting
	filed   replayClock             // Replay
	encoded []byte                  // scratch for the record at hand
	emit    func(*transform.Record) // record, bound once
}

// Begin opens a burst: the lane is its caller's alone until End, so the caller must not
// wait for anything between the two.
func (l *Lane) Begin() {
	l.mu.Lock()
	if l.forwarder.mode == Live {
		l.now = time.Now()
	}
}

// Take takes one message, which it borrows. The result says why the message was
// dropped, or transform.Kept.
func (l *Lane) Take(m *transform.Message) transform.Reason {
	l.passed = l.passed || l.plan.policy.Passes(m)
	return l.pairer.Take(m, l.plan.policy, l.emit)
}

// Passes reports whether a message may be outward, as [transform.Policy.Passes] says
// by the policy in force. It is asked within a burst.
func (l *Lane) Passes(m *transform.Message) bool { return l.plan.policy.Passes(m) }

// Drop counts a frame that did not become a message.
func (l *Lane) Drop(r transform.Reason) { l.pairer.Drop(r) }

// End closes the burst. In Replay it then waits for room in the sinks' queues: no lock
// is held while anything blocks.
func (l *Lane) End() {
	senders := l.plan.senders
	if l.passed {
		l.last, l.passed = sighting{l.now, l.pairer.Told()}, false
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

// Close ends the lane: what it holds becomes transform.Unfinished, its open
// batches are sealed, and its counts go to its source. It must not be used after.
func (l *Lane) Close() { l.forwarder.closeLane(l) }

// adopt makes the lane work by another plan. Feeds of senders that stay go on with
// their open batch.
func (l *Lane) adopt(p *plan) {
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

// takeFeed moves the sender's feed out of feeds, or begins one.
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

// finish ends what the lane holds and seals all it has open.
func (l *Lane) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.Finish()
	for i := range l.feeds {
		l.feeds[i].seal()
	}
}

// retire ends what the lane holds and its feeds, and returns its closing counts.
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
