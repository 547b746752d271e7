package ring

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	// watchTime is how often Run looks at the interfaces and the kernel's counters.
	watchTime = time.Second
	// stopTime is what packets get that the kernel already has in hand when a capture
	// ends.
	stopTime = 10 * time.Millisecond
	// drainTime is what the kernel gets to hand over its last blocks.
	drainTime = 100 * time.Millisecond
)

// A state is an interface's.
type state int

const (
	gone state = iota
	down
	up
)

// An ending is when a capture was told to end.
type ending struct {
	at      transform.Time
	drained time.Time // by when the kernel has handed over all there is
}

// until is the time of the last packet that may be handed out.
func (c *Capture) until() transform.Time {
	if e := c.ending.Load(); e != nil {
		return e.at
	}
	return math.MaxInt64
}

// Run watches the interfaces and counts, until ctx ends. Then it ends receiving, and
// the Readers hand out what was received before. An interface that comes back after
// it was gone is opened anew; losing one disturbs no other.
func (c *Capture) Run(ctx context.Context) error {
	watch := time.NewTicker(watchTime)
	defer watch.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.stop()
		case <-watch.C:
		}
		for _, l := range c.links {
			c.watch(l)
			if err := l.count(); err != nil {
				c.log.Error("packets are not counted", "interface", l.name, "error", err)
			}
			c.watchLoss(l)
		}
	}
}

// stop ends receiving. What the kernel has in hand gets into the rings first.
func (c *Capture) stop() error {
	now := time.Now()
	c.ending.Store(&ending{at: transform.Time(now.UnixNano()), drained: now.Add(stopTime + drainTime)})
	for _, r := range c.readers {
		r.wake()
	}
	time.Sleep(stopTime)
	var errs []error
	for _, l := range c.links {
		for _, r := range l.rings {
			errs = append(errs, r.attachFilter(nothing()))
		}
		errs = append(errs, l.count())
	}
	return errors.Join(errs...)
}

// stateOf looks at an interface.
func stateOf(name string) (now state, index int) {
	if name == Any {
		return up, 0
	}
	i, err := net.InterfaceByName(name)
	switch {
	case err != nil:
		return gone, 0
	case i.Flags&net.FlagUp == 0:
		return down, i.Index
	}
	return up, i.Index
}

// watch looks at an interface, and makes of its rings what has to be made. One that
// goes down and comes up the kernel itself connects to its sockets again, in the order
// in which they were made; one that was removed it does not.
func (c *Capture) watch(l *link) {
	now, index := stateOf(l.name)
	if now == up {
		if err := c.revive(l, index); err != nil {
			now = down
			if !l.failed {
				c.log.Error("interface cannot be opened; it is tried every second", "interface", l.name, "error", err)
			}
			l.failed = true
		}
	}
	c.become(l, now)
}

// become tells of an interface's new state, if it is new.
func (c *Capture) become(l *link, now state) {
	switch {
	case now == l.state:
	case now == up:
		l.failed = false
		c.log.Info("interface is up: packets can come", "interface", l.name)
	case l.failed: // it has been told of
	case now == gone:
		c.log.Warn("interface is gone: no packets from it until there is one of that name", "interface", l.name)
	default:
		c.log.Warn("interface is down: no packets from it until it is up", "interface", l.name)
	}
	l.state = now
	l.up.Store(now == up)
}

// revive lets an interface that is up receive, if it does not.
func (c *Capture) revive(l *link, index int) error {
	if l.attached && l.rings[0].socket.index() == index {
		return nil
	}
	if l.attached && l.state == up {
		c.become(l, gone) // and came back between two looks
	}
	if l.used || len(l.rings) == 0 || l.rings[0].index != index {
		fresh, err := c.openRings(l, index)
		if err != nil {
			return err
		}
		for lane, r := range fresh {
			replaced := change{fresh: r}
			if len(l.rings) > 0 {
				replaced.old = l.rings[lane]
			}
			c.readers[lane].give(replaced)
		}
		l.rings, l.used, l.attached = fresh, false, false
	}
	l.used = true
	if err := c.attach(l.rings); err != nil {
		return fmt.Errorf("interface %s: %w", l.name, err)
	}
	l.attached = true
	return nil
}

func (l *link) count() error {
	var errs []error
	for _, r := range l.rings {
		errs = append(errs, r.count())
	}
	return errors.Join(errs...)
}
