package pcap

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// DnstapSenders counts the dnstap connections that have sent an outward message, and records
// since when there is none. Sources with When Idle capture only while there is none.
type DnstapSenders struct {
	mu          sync.Mutex
	active      int           // open connections that have sent an outward message
	silentSince time.Time     // when active became 0
	changed     chan struct{} // closed and replaced when active becomes 1 or 0
	captures    map[*idleCapture]struct{}
}

// An idleCapture is a capture that the next outward message ends.
type idleCapture struct {
	ctx  context.Context
	stop context.CancelCauseFunc
	done chan struct{} // closed after Outlet.HandOver
}

// errDnstapOutward is the cause of a capture's end.
var errDnstapOutward = errors.New("a dnstap sender sends outward messages")

// handOverTime bounds the time that a sender's messages wait for a capture to end.
const handOverTime = time.Second

// NewSenders returns a Senders that has been silent since now.
func NewSenders() *DnstapSenders {
	return &DnstapSenders{silentSince: time.Now(), changed: make(chan struct{}), captures: map[*idleCapture]struct{}{}}
}

// OutwardBegins is called at the first outward message of a connection. It ends the current
// captures. It returns after Outlet.HandOver, so that duplicates of the message are
// recognised, or after a second if a capture does not end.
func (s *DnstapSenders) OutwardBegins() {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	for _, c := range s.countActive() {
		c.stop(errDnstapOutward)
		select {
		case <-c.done:
		case <-ctx.Done():
		}
	}
}

// countActive counts a connection as active and returns the captures to be ended.
func (s *DnstapSenders) countActive() (ending []*idleCapture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active++
	if s.active == 1 {
		s.notify()
	}
	for c := range s.captures {
		ending = append(ending, c)
	}
	return ending
}

// OutwardEnds is called when a connection has ended for which OutwardBegins was called.
func (s *DnstapSenders) OutwardEnds() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	if s.active == 0 {
		s.silentSince = time.Now()
		s.notify()
	}
}

// notify wakes the goroutines in awaitSilence. The caller holds s.mu.
func (s *DnstapSenders) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// awaitSilence waits until no connection has sent an outward message for d. The context
// that it returns ends with ctx or at the next outward message, with the reason as its
// cause. The caller must call end after the capture and its HandOver. If ctx ends first,
// awaitSilence returns nil.
func (s *DnstapSenders) awaitSilence(ctx context.Context, d time.Duration) (capturing context.Context, end func()) {
	for ctx.Err() == nil { // silence may last when ctx ends
		c, left, changed := s.begin(ctx, d)
		if c != nil {
			return c.ctx, func() { s.end(c) }
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(left):
		}
	}
	return nil, nil
}

// silent reports whether no connection has sent an outward message for d.
func (s *DnstapSenders) silent(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active == 0 && time.Since(s.silentSince) >= d
}

// begin begins a capture if there has been silence for d. Otherwise it returns the rest
// of d, and a channel that is closed when active changes.
func (s *DnstapSenders) begin(ctx context.Context, d time.Duration) (c *idleCapture, left time.Duration, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active > 0 {
		return nil, math.MaxInt64, s.changed
	}
	if left = time.Until(s.silentSince.Add(d)); left > 0 {
		return nil, left, s.changed
	}
	c = &idleCapture{done: make(chan struct{})}
	c.ctx, c.stop = context.WithCancelCause(ctx)
	s.captures[c] = struct{}{}
	return c, 0, nil
}

// end releases the callers of OutwardBegins that wait for c, and removes c.
func (s *DnstapSenders) end(c *idleCapture) {
	c.stop(nil)
	close(c.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.captures, c)
}
