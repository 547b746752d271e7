package ring

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Reader reads the packets of one lane from all interfaces in the order of their
// times. It is for one goroutine, except for enqueue, and for wake and
// watch of its waiter.
type Reader struct {
	capture *Capture
	rings   []*ring
	merge   merge      // its inputs are the rings
	lent    *lookahead // ring of the packet that Next returned last; nil if no packet is borrowed
	waiter  *waiter

	changed atomic.Bool
	mu      sync.Mutex
	changes []change // queued by enqueue; guarded by mu
}

// A change replaces a ring by a new one. old may be nil.
type change struct{ fresh, old *ring }

func newReader(c *Capture) (*Reader, error) {
	r := &Reader{capture: c}
	var err error
	r.waiter, err = newWaiter(r.hasBlock)
	return r, err
}

// hasBlock reports whether the kernel has handed over a block of a ring without a head.
func (r *Reader) hasBlock() bool {
	return slices.ContainsFunc(r.rings, func(ring *ring) bool { return !ring.hasHead && ring.hasNext() })
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
		r.waiter.wait(timeout)
	}
}

// shorter returns the shorter of two durations. A negative duration means no limit.
func shorter(a, b time.Duration) time.Duration {
	if a < 0 {
		return b
	}
	return min(a, b)
}
