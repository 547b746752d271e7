package ring

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Reader reads the packets of one lane, of all interfaces, in the order of their
// times. It belongs to one goroutine.
type Reader struct {
	capture *Capture
	rings   []*ring
	merge   merge // its tracks are those of rings
	lent    *track
	polls   []unix.PollFd // of the rings, and last of event
	event   int           // eventfd(2), by which Run wakes the reader

	changed atomic.Bool
	mu      sync.Mutex
	changes []change // by Run
}

// A change replaces a ring by another. old may be nil.
type change struct{ fresh, old *ring }

func newReader(c *Capture) (*Reader, error) {
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, opError("make an event descriptor", err)
	}
	r := &Reader{capture: c, event: event}
	r.arrange()
	return r, nil
}

// Next reads the next packet. It is false if there is none yet, or if it is not
// certain yet that none comes before it: Wait then.
//
// Packets of several interfaces come in the order of their times, so that a tap which
// has each direction on an interface of its own shows a query before its response.
// That takes 50 ms where an interface shows nothing; one alone has no delay.
func (r *Reader) Next(p *Packet) bool {
	r.release()
	t := r.merge.first(r.capture.until())
	if t == nil {
		return false
	}
	*p = t.head
	r.lent = t
	return true
}

// release ends the loan of the last packet.
func (r *Reader) release() {
	if r.lent != nil {
		r.lent.held = false
		r.lent = nil
	}
}

// Wait waits until packets can be read. It is false when there will be none: once
// Run's context has ended and all that had been received is handed out. That is
// waited for a tenth of a second at most.
func (r *Reader) Wait() bool {
	r.release()
	for {
		r.takeChanges()
		now := time.Now()
		r.part(now)
		patience := r.merge.settle(transform.Time(now.UnixNano()), r.capture.until())
		if patience == 0 {
			return true
		}
		if e := r.capture.ending.Load(); e != nil {
			left := e.drained.Sub(now)
			if patience < 0 && left <= 0 {
				return false
			}
			patience = sooner(patience, max(left, 0))
		}
		for _, ring := range r.rings {
			if !ring.leaving.IsZero() {
				patience = sooner(patience, max(ring.leaving.Sub(now), 0))
			}
		}
		r.poll(patience)
	}
}

// sooner is the shorter of two durations, of which a negative one is none.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 {
		return b
	}
	return min(a, b)
}

// poll sleeps until a ring that holds nothing gets a block, until Run wakes the
// reader, or for so long; a negative duration is no limit.
func (r *Reader) poll(patience time.Duration) {
	for i, ring := range r.rings {
		r.polls[i] = unix.PollFd{Fd: int32(ring.socket), Events: unix.POLLIN}
		if ring.held {
			r.polls[i].Fd = -1 // its next block says nothing that helps
		}
	}
	last := len(r.rings)
	r.polls[last] = unix.PollFd{Fd: int32(r.event), Events: unix.POLLIN}
	wait := -1
	if patience >= 0 {
		wait = int((patience + time.Millisecond - 1) / time.Millisecond)
	}
	if _, err := unix.Poll(r.polls, wait); err != nil {
		return // EINTR; what is to be done is looked for again
	}
	for i, ring := range r.rings {
		if r.polls[i].Revents&unix.POLLERR == 0 {
			continue
		}
		// An error that is not taken would wake the reader for ever. Run tells of an
		// interface that is down.
		if err := ring.takeError(); err != nil && !errors.Is(err, unix.ENETDOWN) {
			r.capture.log.Error("packets may be missing", "error", err)
		}
	}
	if r.polls[last].Revents != 0 {
		var b [8]byte
		unix.Read(r.event, b[:])
	}
}
