package forward

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run sends records until ctx ends or a sink fails permanently. Then it seals the open
// batches of lanes, and returns when the sinks have sent all batches and closed their
// transports. If ctx has ended, the owners of lanes have closed them. In Live, sinks have
// stopTime; in Replay, stopTime begins at the end of the context of [WithReplayWait]. The
// error names the sinks that failed permanently, did not finish, or lost records at the stop.
func (f *Forwarder) Run(ctx context.Context) error {
	sending, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	f.startAll(sending)
	f.maintain(ctx)
	before := f.losses()
	err := f.drain(f.stopSinks(), abort)
	f.endStages()
	return errors.Join(err, f.lostSince(before))
}

// losses returns what each sink has lost so far, without what is too big for its message type,
// and without the sinks that have failed permanently: these have reported it.
func (f *Forwarder) losses() map[*sink]LossCounts {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[*sink]LossCounts{}
	for _, s := range f.allSinks() {
		if !s.current().ended || s.removed {
			all[s] = s.queue.damage().lost
		}
	}
	return all
}

// lostSince logs, and returns as an error, what each sink has lost since before.
func (f *Forwarder) lostSince(before map[*sink]LossCounts) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, s := range f.allSinks() {
		was, working := before[s]
		if !working {
			continue
		}
		if lost, records := s.queue.damage().lost.since(was); records > 0 {
			f.log.Warn("records were lost at the stop", "sink", s.name, "records", records, "lost", lost)
			errs = append(errs, fmt.Errorf("sink %q: %d records were lost at the stop", s.name, records))
		}
	}
	return errors.Join(errs...)
}

func (f *Forwarder) startAll(sending context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sending = sending
	for _, s := range f.senders() {
		f.start(s)
	}
}

// stopSinks ends pending queries, seals open batches, closes the queues that lanes feed, and returns
// the senders for drain. The queues that a stage feeds close when its aggregate sink has ended.
func (f *Forwarder) stopSinks() []*sender {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for _, l := range f.lanes {
		l.finish()
	}
	if f.mode == Live {
		f.shareNow() // aggregate sinks may emit their windows now
	}
	for _, i := range f.inlets {
		i.seal()
	}
	f.closeQueues()
	return f.senders()
}

const (
	// stopTime is the time that sinks have to send their batches when a sensor stops.
	stopTime = 3 * time.Second
	// graceTime is the time that a system call has to return after stopTime.
	graceTime = 500 * time.Millisecond
)

// drain waits for the sinks. After stopTime it calls abort, which makes them give up.
func (f *Forwarder) drain(senders []*sender, abort context.CancelFunc) error {
	late, stopWaiting := context.WithCancel(context.Background())
	defer stopWaiting()
	startTimers := func() { // after the end of drain these functions have no effect
		time.AfterFunc(stopTime, abort)
		time.AfterFunc(stopTime+graceTime, stopWaiting)
	}
	if f.mode == Live {
		startTimers()
	} else {
		defer context.AfterFunc(f.replayWait, startTimers)()
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

// maintain runs ticksPerFlush times within the shortest flush time, within these bounds.
const (
	ticksPerFlush = 4
	shortestTick  = 5 * time.Millisecond
	longestTick   = 250 * time.Millisecond
)

// shareTime is the interval at which lanes share the resolver's addresses that they have
// seen, with one another and with stages. Until then a lane knows only those in its own messages.
const shareTime = time.Second

// maintain seals batches whose flush time has passed, rations room for queries and shares
// the resolver's addresses, until ctx ends or a sink fails permanently. In Replay it only
// waits for either.
func (f *Forwarder) maintain(ctx context.Context) {
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
			f.log.Error("stopping: a sink failed permanently", "error", s.err)
			return
		case now := <-due:
			f.sealDue(now)
			f.ration()
			f.share(now)
			t.Reset(f.tick())
		}
	}
}

// tick returns the time between two runs of the work of maintain.
func (f *Forwarder) tick() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	shortest := longestTick * ticksPerFlush
	for _, s := range f.sinks {
		shortest = min(shortest, s.current().config.Flush)
	}
	return max(shortest/ticksPerFlush, shortestTick)
}

func (f *Forwarder) sealDue(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lanes {
		l.sealDue(now)
	}
	for _, i := range f.inlets {
		i.sealDue(now)
	}
	for _, s := range f.stages() {
		s.sealDue(now)
	}
}

// sealDue seals the open batches that have waited for the flush time of their sink.
func (l *Lane) sealDue(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.feeds.sealDue(now)
}

// share calls shareNow when that is due.
func (f *Forwarder) share(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.shared) >= shareTime {
		f.shared = now
		f.shareNow()
	}
}

// shareNow gives every lane and stage the resolver's addresses that any lane has seen. f.mu is held.
func (f *Forwarder) shareNow() {
	for _, l := range f.lanes {
		l.mu.Lock()
		f.learned.See(l.pairer.Seen())
		l.mu.Unlock()
	}
	known := f.learned.Known()
	for _, l := range f.lanes {
		l.mu.Lock()
		l.pairer.SetKnown(known)
		l.mu.Unlock()
	}
	for _, s := range f.stages() {
		s.setKnown(known)
	}
}
