package ring

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Reader reads the packets of one lane from all interfaces in the order of their
// times. It is for one goroutine, except for enqueue and wake.
type Reader struct {
	capture *Capture
	rings   []*ring
	merge   merge         // its inputs are the rings
	lent    *lookahead    // ring of the packet that Next returned last; nil if no packet is borrowed
	polls   []unix.PollFd // of the rings, and last of event
	event   int           // eventfd(2) by which Run wakes the reader

	changed atomic.Bool
	mu      sync.Mutex
	changes []change // queued by enqueue; guarded by mu
}

// A change replaces a ring by a new one. old may be nil.
type change struct{ fresh, old *ring }

func newReader(c *Capture) (*Reader, error) {
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, opError("make an event descriptor", err)
	}
	r := &Reader{capture: c, event: event}
	r.rebuild()
	return r, nil
}

// Next reads the next packet into p. It returns false if there is none, or if an earlier
// packet may still arrive: call Wait then.
//
// Packets of several interfaces come in the order of their times, so that a tap with one
// interface per direction shows a query before its response. This delays packets by 50 ms
// while another interface shows none. A single interface has no delay.
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

// release ends the borrowing of the packet that Next returned last.
func (r *Reader) release() {
	if r.lent != nil {
		r.lent.hasHead = false
		r.lent = nil
	}
}

// Wait waits until packets can be read. It returns false when there will be none: when
// Run's context has ended and Next has returned all packets received before. The kernel
// gets at most 110 ms to hand these over.
func (r *Reader) Wait() bool {
	r.release()
	for {
		r.takeChanges()
		now := time.Now()
		r.closeReplaced(now)
		timeout := r.merge.advance(transform.Time(now.UnixNano()), r.capture.until())
		if timeout == 0 {
			return true
		}
		if e := r.capture.ending.Load(); e != nil {
			left := e.drained.Sub(now)
			if timeout < 0 && left <= 0 {
				return false
			}
			timeout = shorter(timeout, max(left, 0))
		}
		for _, ring := range r.rings {
			if !ring.closeAt.IsZero() {
				timeout = shorter(timeout, max(ring.closeAt.Sub(now), 0))
			}
		}
		r.poll(timeout)
	}
}

// shorter returns the shorter of two durations. A negative duration means no limit.
func shorter(a, b time.Duration) time.Duration {
	if a < 0 {
		return b
	}
	return min(a, b)
}

// poll waits until a ring without a head gets a block, until wake is called, or until timeout.
// A negative timeout means no limit.
func (r *Reader) poll(timeout time.Duration) {
	for i, ring := range r.rings {
		r.polls[i] = unix.PollFd{Fd: int32(ring.socket), Events: unix.POLLIN}
		if ring.hasHead {
			r.polls[i].Fd = -1 // its next block changes nothing
		}
	}
	last := len(r.rings)
	r.polls[last] = unix.PollFd{Fd: int32(r.event), Events: unix.POLLIN}
	wait := -1
	if timeout >= 0 {
		wait = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	if _, err := unix.Poll(r.polls, wait); err != nil {
		return // EINTR: Wait looks again
	}
	for i, ring := range r.rings {
		if r.polls[i].Revents&unix.POLLERR == 0 {
			continue
		}
		// An error that is not cleared would wake the reader forever. Run logs an interface
		// that is down.
		if err := ring.takeError(); err != nil && !errors.Is(err, unix.ENETDOWN) {
			r.capture.log.Error("packets may be lost: a packet socket failed", "error", err)
		}
	}
	if r.polls[last].Revents != 0 {
		var b [8]byte
		unix.Read(r.event, b[:])
	}
}
