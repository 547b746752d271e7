package forward

import (
	"context"
	"time"
)

// The housekeeper looks for batches that are due a few times within the shortest
// flush, but neither all the time nor hardly ever.
const (
	looksPerFlush = 4
	shortestTick  = 5 * time.Millisecond
	longestTick   = 250 * time.Millisecond
)

// keepHouse seals batches that are due, rations room for queries and shares what lanes
// have seen of the resolver's addresses, until ctx ends
// or a sink cannot go on. In Replay there is nothing to do but wait for that.
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
		shortest = min(shortest, s.config.Flush)
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
