package pcap

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// Senders is what a sensor knows of those who send it dnstap: whether any of them
// has brought an outward message on its present connection, or since when none has.
// Sources that capture only meanwhile go by it.
type Senders struct {
	mu       sync.Mutex
	telling  int           // connections that have brought something outward
	silent   time.Time     // since when there is none of those
	changed  chan struct{} // closed, and made anew, when there is a first or none any more
	captures map[*capture]struct{}
}

// A capture is what a first outward message ends.
type capture struct {
	ctx  context.Context
	stop context.CancelCauseFunc
	done chan struct{} // closed once its records have been handed over
}

// errSenderTells is why a capture ends.
var errSenderTells = errors.New("a dnstap sender brings outward messages")

// handOverTime bounds how long a sender's messages wait for a capture to end.
const handOverTime = time.Second

// NewSenders returns one that counts silence from now.
func NewSenders() *Senders {
	return &Senders{silent: time.Now(), changed: make(chan struct{}), captures: map[*capture]struct{}{}}
}

// Tells notes that a connection has its first outward message. It ends the captures
// under way, and returns when what they recorded has been handed over, so that the
// message can be held against it; or after a second, if one cannot end.
func (s *Senders) Tells() {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	for _, c := range s.tell() {
		c.stop(errSenderTells)
		select {
		case <-c.done:
		case <-ctx.Done():
		}
	}
}

func (s *Senders) tell() (ending []*capture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.telling++
	if s.telling == 1 {
		s.change()
	}
	for c := range s.captures {
		ending = append(ending, c)
	}
	return ending
}

// Left notes that a connection for which Tells was called is over.
func (s *Senders) Left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.telling--
	if s.telling == 0 {
		s.silent = time.Now()
		s.change()
	}
}

// change wakes whoever waits. s.mu is held.
func (s *Senders) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// awaitSilence waits until no connection has told anything outward for d. The
// context that it returns ends with ctx, or at the next outward message, with the
// reason as its cause; end must be called when what was recorded meanwhile has been
// handed over. It returns nil if ctx ends first.
func (s *Senders) awaitSilence(ctx context.Context, d time.Duration) (capturing context.Context, end func()) {
	for ctx.Err() == nil { // silence may have lasted all the while
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

// begin begins a capture if there has been silence for d; else it returns what is
// left of that, and what is closed when that changes.
func (s *Senders) begin(ctx context.Context, d time.Duration) (c *capture, left time.Duration, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.telling > 0 {
		return nil, math.MaxInt64, s.changed
	}
	if left = time.Until(s.silent.Add(d)); left > 0 {
		return nil, left, s.changed
	}
	c = &capture{done: make(chan struct{})}
	c.ctx, c.stop = context.WithCancelCause(ctx)
	s.captures[c] = struct{}{}
	return c, 0, nil
}

func (s *Senders) end(c *capture) {
	c.stop(nil)
	close(c.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.captures, c)
}
