package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A confirmation is a request to a sender to make final what entered its queue before.
type confirmation struct {
	before uint32        // number of the first unit that entered later
	done   chan struct{} // closed when it is final
}

// confirm makes final what has entered the queues that lanes and inlets feed, and then what
// aggregates have made of it.
func (f *Forwarder) confirm(ctx context.Context) error {
	confirmed, err := f.confirmSinks(ctx, f.sinksOfRecords())
	if err != nil {
		return err
	}
	_, err = f.confirmSinks(ctx, f.sinksOfRRsets(confirmed))
	return err
}

// sinksOfRecords returns the sinks that lanes and inlets feed, and removed ones that they fed.
func (f *Forwarder) sinksOfRecords() []*sink {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(f.allSinks(), func(s *sink) bool { return s.current().config.From != "" })
}

// sinksOfRRsets seals the open batches of the stages, and returns the sinks that got any. It leaves out
// those of records whose sender is still the one that has confirmed.
func (f *Forwarder) sinksOfRRsets(confirmed map[*sink]*sender) []*sink {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.stages() {
		s.seal()
	}
	return slices.DeleteFunc(f.allSinks(), func(s *sink) bool { return s.current() == confirmed[s] })
}

// confirmSinks waits until all of the sinks have confirmed, and returns their senders that did.
func (f *Forwarder) confirmSinks(ctx context.Context, sinks []*sink) (map[*sink]*sender, error) {
	senders, errs := make([]*sender, len(sinks)), make([]error, len(sinks))
	var waiting sync.WaitGroup
	for i, s := range sinks {
		waiting.Go(func() {
			if senders[i], errs[i] = f.confirmSink(ctx, s); errs[i] != nil {
				errs[i] = fmt.Errorf("sink %q: %w", s.name, errs[i])
			}
		})
	}
	waiting.Wait()
	confirmed := map[*sink]*sender{}
	for i, s := range sinks {
		confirmed[s] = senders[i]
	}
	return confirmed, errors.Join(errs...)
}

// confirmSink waits until the sink has made final what entered its queue before, and returns the
// sender that confirmed it; nil: the sink is removed, and all of its senders have ended. If a
// reload replaces a sender, the next one is asked.
func (f *Forwarder) confirmSink(ctx context.Context, s *sink) (*sender, error) {
	for {
		n, c, err := f.request(s)
		if n == nil {
			return nil, err
		}
		select {
		case <-c.done:
			return n, nil
		case <-n.done:
			if c.isDone() {
				return n, nil
			}
		case <-ctx.Done():
			n.queue.withdraw(n, c)
			if text, since := n.health.failure(time.Now()); !since.IsZero() {
				return nil, fmt.Errorf("%w; the sink fails: %s", ctx.Err(), text)
			}
			return nil, ctx.Err()
		}
	}
}

var errStopping = errors.New("the forwarder stops")

// request requests a confirmation from the current sender of the sink. Before that, all other
// senders have to end: then it returns one of these, and a confirmation that is never done. It
// returns no sender if there is none that can confirm; err is nil if none has to.
func (f *Forwarder) request(s *sink) (n *sender, c *confirmation, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	current := s.current()
	switch {
	case f.stopped:
		return nil, nil, errStopping
	case s.removed && len(s.senders) == 0:
		return nil, nil, nil
	case s.removed || s.senders[0] != current:
		return s.senders[0], new(confirmation), nil
	case current.ended:
		return nil, nil, errors.Join(errors.New("it has ended"), current.err)
	}
	return current, s.queue.request(current), nil
}

// isDone reports whether what was requested is final.
func (c *confirmation) isDone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// request requests a confirmation from s for what has entered the queue.
func (q *queue) request(s *sender) *confirmation {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &confirmation{before: q.next, done: make(chan struct{})}
	s.requested = append(s.requested, c)
	q.wakeSender()
	return c
}

// withdraw removes a request whose owner has stopped waiting.
func (q *queue) withdraw(s *sender, c *confirmation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.requested = slices.DeleteFunc(s.requested, func(o *confirmation) bool { return o == c })
}

// due returns the confirmations that s can make now, because it has sent their batches: none of
// these is in the queue. If s has to stop, it makes none: its transport is closed then.
func (q *queue) due(s *sender) []*confirmation {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.dueOf(s))
}

// dueOf is due with q.mu held.
func (q *queue) dueOf(s *sender) []*confirmation {
	if s.stopping || len(s.requested) == 0 {
		return nil
	}
	_, oldest := q.oldest(s.edition)
	if oldest == nil {
		return s.requested
	}
	first := slices.IndexFunc(s.requested, func(c *confirmation) bool { return int32(c.before-oldest.First) > 0 })
	if first < 0 {
		return s.requested
	}
	return s.requested[:first]
}

// confirmed notes that s has made confirmations.
func (q *queue) confirmed(s *sender, made []*confirmation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range made {
		close(c.done)
	}
	s.requested = slices.DeleteFunc(s.requested, (*confirmation).isDone)
}

// confirm makes the confirmations that are due. It tries again after errors that are not final, as
// send does.
func (s *sender) confirm(ctx context.Context) error {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		due := s.queue.due(s)
		if len(due) == 0 {
			return nil
		}
		err := s.tryConfirm(ctx)
		switch {
		case err == nil:
			s.queue.confirmed(s, due)
			if wait > firstWait {
				s.noteRecovery(s.health.rest(time.Now()))
			}
			return nil
		case ctx.Err() != nil:
			return nil
		case s.final(err):
			s.health.fail(err, time.Now(), callFails)
			return err
		}
		s.noteFailure(err, callFails)
		s.pause(ctx, wait)
	}
}

// tryConfirm opens the transport if necessary, and calls its Confirm if it has one.
func (s *sender) tryConfirm(ctx context.Context) error {
	c, ok := s.transport.(Confirmer)
	if !ok {
		return nil
	}
	s.health.begin(time.Now(), s.mayTake(nil))
	defer s.health.returned()
	if err := s.open(ctx); err != nil {
		return err
	}
	err := c.Confirm(ctx)
	s.ready = err == nil
	return err
}

// A damage is what a sink has lost, and may have lost.
type damage struct {
	lost   LossCounts // without what is too big for its message type
	doubts uint64     // see tally
}

// damagesSince returns the damages until now, and an error if they are more than before.
func (f *Forwarder) damagesSince(before map[*sink]damage) (until map[*sink]damage, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	until = map[*sink]damage{}
	var errs []error
	for _, s := range f.allSinks() {
		was, now := before[s], s.queue.damage()
		until[s] = now
		if _, records := now.lost.since(was.lost); records > 0 {
			errs = append(errs, fmt.Errorf("sink %q lost %d records", s.name, records))
		}
		if now.doubts > was.doubts {
			errs = append(errs, fmt.Errorf("sink %q may have lost records: the log has the error", s.name))
		}
	}
	return until, errors.Join(errs...)
}

func (q *queue) damage() damage {
	q.mu.Lock()
	defer q.mu.Unlock()
	return damage{q.tally.lost, q.tally.doubts}
}

// doubt implements [Env].Doubt.
func (q *queue) doubt() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tally.doubts++
}
