package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

const (
	// Waits between retries, doubled until the peer acknowledges something. A random part is
	// added, so that the sensors of a collection do not all return at once.
	firstWait   = time.Second
	longestWait = 30 * time.Second
)

// A shipper is the goroutine that uses the inner transport.
type shipper struct {
	*transport
	ready bool          // the inner transport is open
	wait  time.Duration // after the next failure
	next  time.Time     // when Idle of the inner transport is due; zero: never
}

// ship sends loads until the transport is closed.
func (t *transport) ship(ctx context.Context) {
	s := shipper{transport: t, wait: firstWait, next: time.Now()}
	for s.await() {
		err := s.step(ctx)
		if s.isClosing() {
			return
		}
		if err != nil {
			s.fail(err)
			s.pause()
			continue
		}
		s.wait = firstWait
		s.note(nil)
	}
}

func (s *shipper) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// await waits until there is something to do. It returns false when the transport is closed.
func (s *shipper) await() bool {
	for !s.isClosing() {
		if s.busy() || !s.next.IsZero() && !time.Now().Before(s.next) {
			return true
		}
		s.sleep()
	}
	return false
}

// sleep waits until there may be something to do.
func (s *shipper) sleep() {
	var idle <-chan time.Time
	if !s.next.IsZero() {
		t := time.NewTimer(time.Until(s.next))
		defer t.Stop()
		idle = t.C
	}
	select {
	case <-s.wake:
	case <-idle:
	case <-s.closing:
	}
}

// busy reports whether there are units to send.
func (s *shipper) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load.phase == direct && !s.load.done() || !s.store.empty()
}

// step sends a load once, or lets the inner transport do its due work.
func (s *shipper) step(ctx context.Context) error {
	if !s.ready {
		if err := s.inner.Open(ctx); err != nil {
			return err
		}
		s.ready = true
	}
	bs, from, err := s.nextLoad()
	if err != nil {
		return err
	}
	if bs == nil {
		s.next, err = s.inner.Idle(ctx)
		s.ready = err == nil
		return err
	}
	r, err := s.inner.Send(ctx, bs, from)
	if err == nil && r.Units == 0 {
		err = io.ErrNoProgress
	}
	s.ready = err == nil
	s.next = time.Now()
	if r.Units > 0 {
		s.wait = firstWait
	}
	s.acknowledge(&r)
	return err
}

// fail notes that the peer gets nothing. The next try reads the store again, because limits
// may drop its oldest containers meanwhile.
func (s *shipper) fail(err error) {
	s.mu.Lock()
	if s.load.phase == stored {
		s.load.clear()
		s.store.unpin()
	}
	s.mu.Unlock()
	s.note(err)
}

// note notes whether the peer gets containers.
func (t *transport) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peer = err
	signal(t.progress)
}

// pause waits before a retry.
func (s *shipper) pause() {
	t := time.NewTimer(s.wait + rand.N(s.wait/2))
	defer t.Stop()
	s.wait = min(2*s.wait, longestWait)
	select {
	case <-t.C:
	case <-s.closing:
	}
}

// nextLoad returns the units to send next; nil: there are none. The error is that of the
// disk.
func (t *transport) nextLoad() (bs []*forward.Batch, from int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.load
	for l.phase != direct && (l.phase == idle || l.done()) {
		l.clear()
		t.store.unpin()
		t.store.limit(0)
		if t.store.empty() {
			return nil, 0, nil
		}
		if err := t.read(); err != nil {
			return nil, 0, err
		}
	}
	if l.done() {
		return nil, 0, nil
	}
	l.sending = true
	bs, from = l.rest()
	return bs, from, nil
}

// read reads a load from the store, without the mutex: the stretch does not change. It sets
// the segment aside if it cannot be read, and then reads none.
func (t *transport) read() error {
	l := &t.load
	l.phase = stored
	stretch := t.store.pin()
	t.mu.Unlock()
	err := l.read(t.disk, stretch)
	t.mu.Lock()
	switch {
	case !l.done():
		return nil // an error is found again by the next load
	case err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EIO):
		t.store.setAsideOldest(err)
		return nil
	}
	l.clear()
	t.store.unpin()
	return fmt.Errorf("reading the spool: %w", err)
}

// acknowledge notes the outcome of the oldest units of the load, and that it is not being
// sent any more.
func (t *transport) acknowledge(r *forward.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.load.sending = false
	if r.Units == 0 {
		return
	}
	v := t.load.advance(r.Units)
	t.env.CountSent(r.Sent)
	if t.load.phase == direct {
		t.load.result.Units += r.Units
		t.load.result.Delivered += r.Delivered
		for why, n := range r.Lost {
			t.load.result.Lost[why] += n
		}
		t.load.result.LossCause = r.LossCause
		t.store.updateIndex()
	} else {
		t.store.acknowledge(v)
		delivered := v.Records
		for why, n := range r.Lost {
			if n = min(n, delivered); n > 0 {
				delivered -= n
				t.account.move(n, forward.Outcome{Lost: true, Why: forward.Loss(why)})
			}
		}
		t.account.move(delivered, forward.Outcome{})
		if t.load.done() {
			t.load.clear()
			t.store.unpin()
		}
		t.publish()
	}
	signal(t.progress)
}
