package ring

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A ring is a socket with its memory: one lane of one interface. What is in it is
// its reader's; its counters are read by whoever holds mu.
type ring struct {
	track
	socket
	index int // of the interface, 0 for all
	to    *tally

	mu     sync.Mutex
	closed bool

	leaving time.Time // the reader's: when it may be closed, if it has been replaced
}

// newRing opens a ring that receives nothing yet.
func newRing(size, index int, program []unix.SockFilter, to *tally) (*ring, error) {
	s, err := newSocket()
	if err != nil {
		return nil, err
	}
	// Before the memory is made: a filter that the kernel refuses costs nothing then.
	mem, err := []byte(nil), s.attachFilter(program)
	if err == nil {
		mem, err = s.mapRing(size / blockSize * blockSize)
	}
	if err != nil {
		unix.Close(int(s))
		return nil, err
	}
	return &ring{
		track:  track{tape: tape{mem: mem, size: blockSize, damaged: &to.damaged}},
		socket: s, index: index, to: to,
	}, nil
}

// count adds what the kernel has counted since the last time.
func (r *ring) count() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	packets, drops, freezes, err := r.statistics()
	r.to.packets.Add(uint64(packets - drops))
	r.to.drops.Add(uint64(drops))
	r.to.freezes.Add(uint64(freezes))
	return err
}

// close takes the counters once more. No packet of the ring may be in use.
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

// openRings opens the rings of an interface, one a lane, and asks for its traffic.
func (c *Capture) openRings(i *link, index int) (rings []*ring, err error) {
	for range c.cfg.Lanes {
		r, err := newRing(c.cfg.Size, index, c.filter, &i.tally)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("interface %s: %w", i.name, err), closeAll(rings))
		}
		rings = append(rings, r)
	}
	if c.cfg.Promiscuous {
		if err := rings[0].promiscuous(index); err != nil {
			return nil, errors.Join(fmt.Errorf("interface %s: %w", i.name, err), closeAll(rings))
		}
	}
	return rings, nil
}

// attach lets the rings of an interface receive, in the order of lanes: that of
// joining says which packets are a lane's, and must be the same on all interfaces.
//
// Until all have joined, one that is bound gets the packets of all lanes: the filter
// has to wait.
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

// nothing is the filter that lets nothing through.
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
