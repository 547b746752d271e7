package ring

import (
	"errors"
	"slices"
	"time"
)

// enqueue queues a change of the reader's rings, which the next Wait takes.
func (r *Reader) enqueue(c change) {
	r.mu.Lock()
	r.changes = append(r.changes, c)
	r.mu.Unlock()
	r.changed.Store(true)
	r.waiter.wake()
}

// takeChanges applies the queued changes.
func (r *Reader) takeChanges() {
	if !r.changed.Swap(false) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.changes {
		r.rings = append(r.rings, c.fresh)
		if c.old != nil {
			c.old.closeAt = time.Now().Add(drainTime)
		}
	}
	r.changes = nil
	r.rebuild()
}

// rebuild sets merge.inputs, which depends on rings.
func (r *Reader) rebuild() {
	r.merge.inputs = nil
	for _, ring := range r.rings {
		r.merge.inputs = append(r.merge.inputs, &ring.lookahead)
	}
}

// closeReplaced closes replaced rings after drainTime, when they are empty. Until then
// the kernel may hand over the last block of an interface that was removed.
func (r *Reader) closeReplaced(now time.Time) {
	over := func(ring *ring) bool {
		if ring.closeAt.IsZero() || now.Before(ring.closeAt) || ring.peek(r.capture.until()) {
			return false
		}
		if err := ring.close(); err != nil {
			r.capture.log.Error("closing a ring failed", "error", err)
		}
		return true
	}
	before := len(r.rings)
	if r.rings = slices.DeleteFunc(r.rings, over); len(r.rings) < before {
		r.rebuild()
	}
}

func (r *Reader) close() error {
	r.takeChanges()
	var errs []error
	for _, ring := range r.rings {
		errs = append(errs, ring.close())
	}
	return errors.Join(append(errs, r.waiter.close())...)
}
