package ring

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A ring is a packet socket with its memory: one lane of one interface. The Reader owns
// the memory; mu guards closed and the counters of the socket.
type ring struct {
	lookahead
	socket
	index    int // of the interface, 0 for all
	counters *counters

	mu     sync.Mutex
	closed bool

	closeAt time.Time // used by the Reader: when a replaced ring may be closed; zero if it was not replaced
}

// newRing opens a ring that does not receive yet.
func newRing(size, index int, program []unix.SockFilter, counts *counters) (*ring, error) {
	s, err := newSocket()
	if err != nil {
		return nil, err
	}
	// The filter is attached before the memory is allocated: the kernel may refuse it.
	mem, err := []byte(nil), s.attachFilter(program)
	if err == nil {
		mem, err = s.mapRing(size / blockSize * blockSize)
	}
	if err != nil {
		unix.Close(int(s))
		return nil, err
	}
	return &ring{
		lookahead: lookahead{blockReader: blockReader{mem: mem, size: blockSize, damaged: &counts.damaged}},
		socket:    s, index: index, counters: counts,
	}, nil
}

// count adds the kernel's counts since the last call to r.counters.
func (r *ring) count() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	packets, drops, freezes, err := r.statistics()
	r.counters.packets.Add(uint64(packets - drops))
	r.counters.drops.Add(uint64(drops))
	r.counters.freezes.Add(uint64(freezes))
	return err
}

// close adds the last counts and releases socket and memory. No packet of the ring
// may be in use.
func (r *ring) close() error {
	err := r.count()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return errors.Join(err, opError("unmap a ring", unix.Munmap(r.mem)), opError("close a packet socket", unix.Close(int(r.socket))))
}

// openRings opens the rings of an interface, one per lane, and makes the interface
// promiscuous if configured.
func (c *Capture) openRings(i *netInterface, index int) (rings []*ring, err error) {
	for lane := range c.cfg.Lanes {
		r, err := newRing(c.cfg.Size, index, c.filter, &i.counters)
		if err == nil {
			rings = append(rings, r)
			err = opError("watch a packet socket", c.readers[lane].waiter.watch(int(r.socket)))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("interface %s: %w", i.name, err), closeAll(rings))
		}
	}
	if c.cfg.Promiscuous {
		if err := rings[0].promiscuous(index); err != nil {
			return nil, errors.Join(fmt.Errorf("interface %s: %w", i.name, err), closeAll(rings))
		}
	}
	return rings, nil
}

// attach lets the rings of an interface receive. They join the fan-out group in the
// order of lanes, because this order decides which packets a lane gets and must be the
// same on all interfaces.
//
// A bound ring gets the packets of all lanes until all have joined. Therefore the filter
// rejects everything until then.
func (c *Capture) attach(rings []*ring) error {
	for _, r := range rings {
		if err := r.attachFilter(nothing()); err != nil {
			return err
		}
	}
	group := 0
	for lane, r := range rings {
		if err := r.bind(r.index); err != nil {
			return err
		}
		var err error
		switch {
		case len(rings) == 1:
		case lane == 0:
			group, err = r.newGroup(c.fanout)
		default:
			err = r.join(group, 0)
		}
		if err != nil {
			return err
		}
	}
	for _, r := range rings {
		if err := r.attachFilter(c.filter); err != nil {
			return err
		}
	}
	return nil
}

// nothing returns a filter that rejects every packet.
func nothing() []unix.SockFilter {
	return []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
}

func closeAll(rings []*ring) error {
	var errs []error
	for _, r := range rings {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}
