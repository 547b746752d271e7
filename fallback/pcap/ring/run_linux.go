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
	// pollInterval is the time between two polls of the interfaces and the counters.
	pollInterval = time.Second
	// stopTime is the time that packets get to reach a ring when a capture ends.
	stopTime = 10 * time.Millisecond
	// drainTime is the time that the kernel gets to hand over its last blocks.
	drainTime = 100 * time.Millisecond
)

// A state is the state of an interface.
type state int

const (
	gone state = iota
	down
	up
)

// An ending is set when Run's context has ended.
type ending struct {
	at      transform.Time // time at which the context ended
	drained time.Time      // time by which the kernel has handed over every block
}

// until returns the time of the latest packet that Readers may return.
func (c *Capture) until() transform.Time {
	if e := c.ending.Load(); e != nil {
		return e.at
	}
	return math.MaxInt64
}

// Run polls the interfaces and the kernel's counters until ctx ends. Then it stops
// receiving, and the Readers return what was received before. It opens an interface again
// that was removed and came back. The loss of an interface does not affect others.
func (c *Capture) Run(ctx context.Context) error {
	watch := time.NewTicker(pollInterval)
	defer watch.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.stop()
		case <-watch.C:
		}
		for _, l := range c.links {
			c.checkLink(l)
			if err := l.count(); err != nil {
				c.log.Error("reading the packet counters failed", "interface", l.name, "error", err)
			}
			c.logLoss(l)
		}
	}
}

// stop stops receiving, after the packets that the kernel already processes have reached
// the rings.
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

// stateOf returns the state and the index of the named interface.
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

// checkLink polls an interface and opens or attaches its rings if necessary. The kernel
// itself reconnects the sockets of an interface that goes down and up, in the order in
// which they were made. It does not reconnect those of an interface that was removed.
func (c *Capture) checkLink(l *link) {
	now, index := stateOf(l.name)
	if now == up {
		if err := c.ensureAttached(l, index); err != nil {
			now = down
			if !l.failed {
				c.log.Error("opening the interface failed, retrying every second", "interface", l.name, "error", err)
			}
			l.failed = true
		}
	}
	c.setState(l, now)
}

// setState sets the state of an interface, and logs it if it is new.
func (c *Capture) setState(l *link, now state) {
	switch {
	case now == l.state:
	case now == up:
		l.failed = false
		c.log.Info("interface is up: packets are received from it", "interface", l.name)
	case l.failed: // logged before
	case now == gone:
		c.log.Warn("interface is gone: no packets from it until an interface has that name", "interface", l.name)
	default:
		c.log.Warn("interface is down: no packets from it until it is up", "interface", l.name)
	}
	l.state = now
	l.up.Store(now == up)
}

// ensureAttached lets an interface that is up receive, if it does not yet.
func (c *Capture) ensureAttached(l *link, index int) error {
	if l.attached && l.rings[0].socket.index() == index {
		return nil
	}
	if l.attached && l.state == up {
		c.setState(l, gone) // it was removed and came back between two polls
	}
	if l.attachTried || len(l.rings) == 0 || l.rings[0].index != index {
		fresh, err := c.openRings(l, index)
		if err != nil {
			return err
		}
		for lane, r := range fresh {
			replaced := change{fresh: r}
			if len(l.rings) > 0 {
				replaced.old = l.rings[lane]
			}
			c.readers[lane].enqueue(replaced)
		}
		l.rings, l.attachTried, l.attached = fresh, false, false
	}
	l.attachTried = true
	if err := c.attach(l.rings); err != nil {
		return fmt.Errorf("interface %s: %w", l.name, err)
	}
	l.attached = true
	return nil
}

// count adds the kernel's counts of every ring of the interface.
func (l *link) count() error {
	var errs []error
	for _, r := range l.rings {
		errs = append(errs, r.count())
	}
	return errors.Join(errs...)
}
