package forward

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Run delivers until ctx ends or a sink cannot go on. Then it seals what lanes
// hold (their owners have closed them, where ctx ended), and returns when the
// sinks have delivered all of it and closed what they hold. In Live they have
// stopTime for that, and in Replay from when patience has ended. The error says which sink failed for good, or is not done.
func (f *Forwarder) Run(ctx context.Context) error {
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	f.startAll(sending)
	f.keepHouse(ctx)
	return f.drain(f.shut(), cut)
}

func (f *Forwarder) startAll(sending context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sending = sending
	for _, s := range slices.Concat(f.sinks, f.leaving) {
		f.start(s)
	}
}

// start runs the sink. drain waits for it.
func (f *Forwarder) start(s *sink) {
	sending := f.sending
	go func() {
		defer close(s.done)
		s.run(sending)
		f.ended(s)
	}()
}

// ended takes note of a sink that a reload removed, or that cannot go on.
func (f *Forwarder) ended(s *sink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.leaving, s) {
		s.logClosing()
		f.keep(s.ledger())
		f.leaving = slices.DeleteFunc(f.leaving, func(o *sink) bool { return o == s })
		return
	}
	if s.err != nil && slices.Contains(f.sinks, s) {
		select {
		case f.failed <- s:
		default:
		}
	}
}

// shut ends what lanes hold, lets nothing more enter the queues, and returns the
// sinks that have something to deliver yet.
func (f *Forwarder) shut() []*sink {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for _, l := range f.lanes {
		l.finish()
	}
	for _, s := range f.sinks {
		s.queue.close()
	}
	return slices.Concat(f.sinks, f.leaving)
}

const (
	// stopTime is what sinks have to deliver what they hold when a sensor stops.
	stopTime = 3 * time.Second
	// graceTime is what a system call has to return after that.
	graceTime = 500 * time.Millisecond
)

// drain waits for the sinks. When their time is up, cut makes them give up.
func (f *Forwarder) drain(sinks []*sink, cut context.CancelFunc) error {
	late, leave := context.WithCancel(context.Background())
	defer leave()
	hurry := func() { // what the timers call is harmless once all is over
		time.AfterFunc(stopTime, cut)
		time.AfterFunc(stopTime+graceTime, leave)
	}
	if f.mode == Live {
		hurry()
	} else {
		defer context.AfterFunc(f.patience, hurry)()
	}
	var errs []error
	for _, s := range sinks {
		select {
		case <-s.done:
		case <-late.Done():
		}
		errs = append(errs, s.leaveBehind())
	}
	return errors.Join(errs...)
}
