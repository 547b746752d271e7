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

// Capture receives packets of several interfaces, divided into lanes. Open it, Attach
// it, then let one goroutine Run it and one for each lane use its Reader; Close it
// when all of them have returned.
type Capture struct {
	cfg     Config
	log     *slog.Logger
	filter  []unix.SockFilter
	fanout  []unix.SockFilter
	links   []*link
	readers []*Reader
	ending  atomic.Pointer[ending] // nil until Run's context has ended
}

// A link is an interface as a capture sees it. But for the tally it is Run's.
type link struct {
	name     string
	rings    []*ring // one a lane; they are read by the Readers; none before there is an interface
	used     bool    // it has been tried to attach the rings, which can be done once
	attached bool    // that has worked
	state    state
	failed   bool // it could not be opened, which has been logged
	loss     loss
	tally
}

// A tally is a link's counters, which Stats reads.
type tally struct {
	packets, drops, freezes, damaged atomic.Uint64
	up                               atomic.Bool
}

// Open makes sockets, filter and rings. Nothing is received before Attach. It is an
// error if an interface does not exist, unless Config.Absent says otherwise, or if the process may not capture; the error
// says what to do.
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

// open opens the rings of an interface for the first time.
func (c *Capture) open(name string) error {
	if now, _ := stateOf(name); now == gone && c.cfg.Absent {
		c.links = append(c.links, &link{name: name, state: up})
		return nil
	}
	index, err := indexOf(name)
	if err != nil {
		return err
	}
	l := &link{name: name, state: up}
	if l.rings, err = c.openRings(l, index); err != nil {
		return err
	}
	c.links = append(c.links, l)
	for lane, r := range l.rings {
		c.readers[lane].give(change{fresh: r})
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

// Attach begins to receive. An interface that is down is left to Run, which attaches
// it when it is up.
func (c *Capture) Attach() error {
	for _, l := range c.links {
		now, index := stateOf(l.name)
		if now == up {
			if err := c.revive(l, index); err != nil {
				if now, _ = stateOf(l.name); now == up {
					return err
				}
			}
		}
		c.become(l, now)
	}
	return nil
}

// Reader returns the reader of a lane, from 0 on.
func (c *Capture) Reader(lane int) *Reader { return c.readers[lane] }

// Stats may be called at any time. The kernel's counters are those of a second ago
// at most.
func (c *Capture) Stats() Stats {
	var s Stats
	for _, l := range c.links {
		one := InterfaceStats{Name: l.name, Up: l.up.Load(), Counts: Counts{
			Packets: l.packets.Load(), Drops: l.drops.Load(), Freezes: l.freezes.Load(), Damaged: l.damaged.Load(),
		}}
		s.Interfaces = append(s.Interfaces, one)
		s.add(one.Counts)
	}
	return s
}

// Ended is the instant at which Run was told to end, NoTime before. No packet that is
// later than it is handed out.
func (c *Capture) Ended() transform.Time {
	if e := c.ending.Load(); e != nil {
		return e.at
	}
	return transform.NoTime
}

// Close gives everything back. Neither Run nor a Reader may be in use any more.
func (c *Capture) Close() error {
	var errs []error
	for _, r := range c.readers {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}
