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

// The housekeeper looks for batches that are due a few times within the shortest
// flush, within these bounds.
const (
	looksPerFlush = 4
	shortestTick  = 5 * time.Millisecond
	longestTick   = 250 * time.Millisecond
)

// shareTime is how long lanes wait for the resolver's addresses that other lanes have
// seen. The rule that judges a message by its own address covers the time until then.
const shareTime = time.Second

// keepHouse seals batches that are due, rations room for queries and shares what lanes
// have seen of the resolver's addresses, until ctx ends or a sink cannot go on. In
// Replay it only waits for that.
func (f *Forwarder) keepHouse(ctx context.Context) {
	t := time.NewTimer(f.tick())
	defer t.Stop()
	due := t.C
	if f.mode == Replay {
		due = nil
	}
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-f.failed:
			f.log.Error("stopping: a sink failed for good", "error", s.err)
			return
		case now := <-due:
			f.sealDue(now)
			f.ration()
			f.share(now)
			t.Reset(f.tick())
		}
	}
}

// tick is how long the housekeeper rests.
func (f *Forwarder) tick() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	shortest := longestTick * looksPerFlush
	for _, s := range f.sinks {
		shortest = min(shortest, s.current().config.Flush)
	}
	return max(shortest/looksPerFlush, shortestTick)
}

func (f *Forwarder) sealDue(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lanes {
		l.sealDue(now)
	}
}

// sealDue seals the open batches that have waited for the flush time of their sink.
func (l *Lane) sealDue(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.feeds {
		f := &l.feeds[i]
		if f.open != nil && now.Sub(f.open.opened) >= f.to.config.Flush {
			f.seal()
		}
	}
}

// share gives every lane the resolver's addresses that any lane has seen.
func (f *Forwarder) share(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.shared) < shareTime {
		return
	}
	f.shared = now
	for _, l := range f.lanes {
		l.mu.Lock()
		f.learned.See(l.pairer.Seen())
		l.mu.Unlock()
	}
	known := f.learned.Known()
	for _, l := range f.lanes {
		l.mu.Lock()
		l.pairer.Know(known)
		l.mu.Unlock()
	}
}

// ration sees that no lane is left without room for queries by others that hold
// more than an equal share: a connection that fills the budget and falls silent
// would keep it for ever, since a lane's clock runs on its own messages. Lanes are
// held to equal shares for as long as one of them is refused room and less than a
// share is free.
func (f *Forwarder) ration() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lanes) == 0 {
		return
	}
	share := f.budget.Max() / len(f.lanes)
	refused, poor := false, false
	for _, l := range f.lanes {
		holds, was := l.pressed()
		refused = refused || was
		poor = poor || was && holds < share
	}
	switch {
	case poor:
		f.rationed = true
		f.budget.Ration(share)
		for _, l := range f.lanes {
			l.shrink(share)
		}
	case f.rationed && refused && f.budget.Max()-int(f.budget.Held()) < share:
		f.budget.Ration(share) // lanes may have come or gone
	case f.rationed:
		f.rationed = false
		f.budget.Relax()
	}
}

func (l *Lane) pressed() (holds int, refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pairer.Pressed()
}

func (l *Lane) shrink(share int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.Shrink(share)
}
