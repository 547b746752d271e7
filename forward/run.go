package forward

import (
	"context"
	"errors"
	"time"
)

// Run delivers until ctx ends or a sink cannot go on. Then it seals what lanes hold
// (their owners have closed them, where ctx ended), and returns when the sinks have
// delivered all of it and closed what they hold. In Live they have stopTime for that,
// and in Replay the same after patience has ended. The error names the sinks that
// failed for good or did not finish.
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
	for _, s := range f.senders() {
		f.start(s)
	}
}

// shut ends what lanes hold, lets nothing more enter the queues, and returns the
// senders that have not ended.
func (f *Forwarder) shut() []*sender {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for _, l := range f.lanes {
		l.finish()
	}
	for _, s := range f.sinks {
		s.queue.close()
	}
	return f.senders()
}

const (
	// stopTime is what sinks have to deliver what they hold when a sensor stops.
	stopTime = 3 * time.Second
	// graceTime is what a system call has to return after that.
	graceTime = 500 * time.Millisecond
)

// drain waits for the sinks. When their time is up, cut makes them give up.
func (f *Forwarder) drain(senders []*sender, cut context.CancelFunc) error {
	late, leave := context.WithCancel(context.Background())
	defer leave()
	hurry := func() { // the timers' functions are harmless after the end
		time.AfterFunc(stopTime, cut)
		time.AfterFunc(stopTime+graceTime, leave)
	}
	if f.mode == Live {
		hurry()
	} else {
		defer context.AfterFunc(f.patience, hurry)()
	}
	var errs []error
	for _, s := range senders {
		select {
		case <-s.done:
		case <-late.Done():
		}
		errs = append(errs, s.abandon())
	}
	return errors.Join(errs...)
}
