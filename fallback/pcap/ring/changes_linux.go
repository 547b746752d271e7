package ring

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// give changes the reader's rings, when it waits next.
func (r *Reader) give(c change) {
	r.mu.Lock()
	r.changes = append(r.changes, c)
	r.mu.Unlock()
	r.changed.Store(true)
	r.wake()
}

// wake has Wait look again. A counter that is full, the one error there can be,
// wakes as well.
func (r *Reader) wake() {
	unix.Write(r.event, binary.NativeEndian.AppendUint64(nil, 1))
}

func (r *Reader) takeChanges() {
	if !r.changed.Swap(false) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.changes {
		r.rings = append(r.rings, c.fresh)
		if c.old != nil {
			c.old.leaving = time.Now().Add(drainTime)
		}
	}
	r.changes = nil
	r.arrange()
}

// arrange follows a change of rings.
func (r *Reader) arrange() {
	r.merge.tracks = nil
	for _, ring := range r.rings {
		r.merge.tracks = append(r.merge.tracks, &ring.track)
	}
	r.polls = make([]unix.PollFd, len(r.rings)+1)
}

// part closes rings that have been replaced, once they have been read: the kernel
// still hands over the last block of an interface that is gone.
func (r *Reader) part(now time.Time) {
	over := func(ring *ring) bool {
		if ring.leaving.IsZero() || now.Before(ring.leaving) || ring.look(r.capture.until()) {
			return false
		}
		if err := ring.close(); err != nil {
			r.capture.log.Error("a ring is not closed", "error", err)
		}
		return true
	}
	before := len(r.rings)
	if r.rings = slices.DeleteFunc(r.rings, over); len(r.rings) < before {
		r.arrange()
	}
}

func (r *Reader) close() error {
	r.takeChanges()
	var errs []error
	for _, ring := range r.rings {
		errs = append(errs, ring.close())
	}
	return errors.Join(append(errs, opError("close an event descriptor", unix.Close(r.event)))...)
}
