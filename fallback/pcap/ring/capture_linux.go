package ring

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Capture receives the packets of several interfaces, divided into lanes. Open it and
// Attach it. Then one goroutine calls Run, and one per lane uses its Reader. Close it
// when all of them have returned.
type Capture struct {
	cfg        Config
	log        *slog.Logger
	filter     []unix.SockFilter
	fanout     []unix.SockFilter
	interfaces []*netInterface
	readers    []*Reader
	ending     atomic.Pointer[ending] // nil until Run's context has ended
}

// A netInterface is a network interface and its state. Run owns it, except for the counters.
type netInterface struct {
	name        string
	rings       []*ring // one per lane, read by the Readers; nil before the interface exists
	attachTried bool    // attach was called, which is possible once
	attached    bool    // attach succeeded
	state       state
	failed      bool // opening failed, which was logged
	loss        loss
	counters
}

// counters holds the counts of an interface, for Stats.
type counters struct {
	packets, drops, freezes, damaged atomic.Uint64
	up                               atomic.Bool
}

// Open makes sockets, filter and rings. Nothing is received before Attach. It returns an
// error if an interface does not exist, unless cfg.AllowAbsent is set, or if the process may
// not capture. The error states what to do.
func Open(cfg Config, log *slog.Logger) (*Capture, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c := &Capture{cfg: cfg, log: log}
	if err := c.assemble(); err != nil {
		return nil, err
	}
	for range cfg.Lanes {
		r, err := newReader(c)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.readers = append(c.readers, r)
	}
	for _, name := range cfg.Interfaces {
		if err := c.open(name); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// assemble makes the programs for the filter and the fan-out.
func (c *Capture) assemble() error {
	program, err := c.cfg.Filter.program()
	if err != nil {
		return err
	}
	if c.filter, err = kernelForm(program); err != nil {
		return err
	}
	if program, err = fanout(networkHeader); err != nil {
		return err
	}
	c.fanout, err = kernelForm(program)
	return err
}

// open adds an interface and opens its rings. It returns an error if the interface does not
// exist, unless cfg.AllowAbsent is set.
func (c *Capture) open(name string) error {
	if now, _ := stateOf(name); now == gone && c.cfg.AllowAbsent {
		c.interfaces = append(c.interfaces, &netInterface{name: name, state: up})
		return nil
	}
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	i := &netInterface{name: name, state: up}
	if i.rings, err = c.openRings(i, index); err != nil {
		return err
	}
	c.interfaces = append(c.interfaces, i)
	for lane, r := range i.rings {
		c.readers[lane].enqueue(change{fresh: r})
	}
	return nil
}

func indexOf(name string) (int, error) {
	if name == Any {
		return 0, nil
	}
	found, err := net.InterfaceByName(name)
	if err == nil {
		return found.Index, nil
	}
	all, listErr := net.Interfaces()
	if listErr != nil {
		return 0, fmt.Errorf("list the interfaces: %w", listErr)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return 0, fmt.Errorf("no interface %q (there are: %s)", name, strings.Join(names, ", "))
}

// Attach starts receiving. Run attaches an interface that is down now, when it is up.
func (c *Capture) Attach() error {
	for _, i := range c.interfaces {
		now, index := stateOf(i.name)
		if now == up {
			if err := c.ensureAttached(i, index); err != nil {
				if now, _ = stateOf(i.name); now == up {
					return err
				}
			}
		}
		c.setState(i, now)
	}
	return nil
}

// Reader returns the reader of a lane. The first lane is 0.
func (c *Capture) Reader(lane int) *Reader { return c.readers[lane] }

// Stats returns the counts. The kernel's counts are at most a second old. It may be
// called from any goroutine.
func (c *Capture) Stats() Stats {
	var s Stats
	for _, i := range c.interfaces {
		one := InterfaceStats{Name: i.name, Up: i.up.Load(), Counts: Counts{
			Packets: i.packets.Load(), Drops: i.drops.Load(), Freezes: i.freezes.Load(), Damaged: i.damaged.Load(),
		}}
		s.Interfaces = append(s.Interfaces, one)
		s.add(one.Counts)
	}
	return s
}

// Ended returns the time at which Run's context ended, or NoTime before. The Readers
// return no packet that is later.
func (c *Capture) Ended() transform.Time {
	if e := c.ending.Load(); e != nil {
		return e.at
	}
	return transform.NoTime
}

// Close releases sockets and memory. Run and the Readers must not be in use.
func (c *Capture) Close() error {
	var errs []error
	for _, r := range c.readers {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}
