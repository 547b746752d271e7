package ring

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"golang.org/x/sys/unix"

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

// An ending states when Run's context ended.
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
		for _, i := range c.interfaces {
			c.checkInterface(i)
			if err := i.count(); err != nil {
				c.log.Error("reading the packet counters failed", "interface", i.name, "error", err)
			}
			if err := i.takeErrors(); err != nil {
				c.log.Error("packets may be lost: a packet socket failed", "interface", i.name, "error", err)
			}
			c.logLoss(i)
		}
	}
}

// stop stops receiving. It first gives the packets that the kernel already processes stopTime to
// reach the rings.
func (c *Capture) stop() error {
	now := time.Now()
	c.ending.Store(&ending{at: transform.Time(now.UnixNano()), drained: now.Add(stopTime + drainTime)})
	for _, r := range c.readers {
		r.waiter.wake()
	}
	time.Sleep(stopTime)
	var errs []error
	for _, i := range c.interfaces {
		for _, r := range i.rings {
			errs = append(errs, r.attachFilter(nothing()))
		}
		errs = append(errs, i.count())
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

// checkInterface updates the state of an interface, and opens or attaches its rings if necessary.
// The kernel itself reconnects the sockets of an interface that goes down and up, in the order
// in which they were made. It does not reconnect the sockets of an interface that was removed.
func (c *Capture) checkInterface(i *netInterface) {
	now, index := stateOf(i.name)
	if now == up {
		if err := c.ensureAttached(i, index); err != nil {
			now = down
			if !i.failed {
				c.log.Error("opening the interface failed, retrying every second", "interface", i.name, "error", err)
			}
			i.failed = true
		}
	}
	c.setState(i, now)
}

// setState sets the state of an interface, and logs a change.
func (c *Capture) setState(i *netInterface, now state) {
	switch {
	case now == i.state:
	case now == up:
		i.failed = false
		c.log.Info("interface is up: packets are received from it", "interface", i.name)
	case i.failed: // logged before
	case now == gone:
		c.log.Warn("interface is gone: no packets from it until an interface has that name", "interface", i.name)
	default:
		c.log.Warn("interface is down: no packets from it until it is up", "interface", i.name)
	}
	i.state = now
	i.up.Store(now == up)
}

// ensureAttached attaches the rings of an interface that is up, unless they are attached. It
// replaces them if the interface has a new index, or if attach failed before.
func (c *Capture) ensureAttached(i *netInterface, index int) error {
	if i.attached && i.rings[0].socket.index() == index {
		return nil
	}
	if i.attached && i.state == up {
		c.setState(i, gone) // it was removed and came back between two polls
	}
	if i.attachTried || len(i.rings) == 0 || i.rings[0].index != index {
		fresh, err := c.openRings(i, index)
		if err != nil {
			return err
		}
		for lane, r := range fresh {
			replaced := change{fresh: r}
			if len(i.rings) > 0 {
				replaced.old = i.rings[lane]
			}
			c.readers[lane].enqueue(replaced)
		}
		i.rings, i.attachTried, i.attached = fresh, false, false
	}
	i.attachTried = true
	if err := c.attach(i.rings); err != nil {
		return fmt.Errorf("interface %s: %w", i.name, err)
	}
	i.attached = true
	return nil
}

// count adds the kernel's counts of every ring of the interface.
func (i *netInterface) count() error {
	var errs []error
	for _, r := range i.rings {
		errs = append(errs, r.count())
	}
	return errors.Join(errs...)
}

// takeErrors returns the pending errors of the interface's sockets, except that it is down, which
// setState logs.
func (i *netInterface) takeErrors() error {
	var errs []error
	for _, r := range i.rings {
		if err := r.takeError(); !errors.Is(err, unix.ENETDOWN) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
