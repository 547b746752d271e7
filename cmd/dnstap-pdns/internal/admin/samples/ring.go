package samples

import (
	"slices"
	"sync"
)

// A unit is a container, frame or line that a sink sent.
type unit struct {
	sink  string
	bytes []byte
}

// A ring keeps the latest units, and reuses their buffers.
type ring struct {
	mu   sync.Mutex
	kept [MaxSamples]unit
	next int // index of the next unit, which replaces the oldest
}

// Sent keeps a copy of a unit, if it is not too large. It implements forward.Observer.
func (r *ring) Sent(sink string, bytes []byte, _ bool) {
	if len(bytes) > maxUnit {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.kept[r.next]
	c.sink, c.bytes = sink, append(c.bytes[:0], bytes...)
	r.next = (r.next + 1) % len(r.kept)
}

// latest returns copies of the units, the latest first.
func (r *ring) latest() []unit {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []unit
	for i := range r.kept {
		c := r.kept[(r.next+len(r.kept)-1-i)%len(r.kept)]
		if len(c.bytes) > 0 {
			all = append(all, unit{c.sink, slices.Clone(c.bytes)})
		}
	}
	return all
}

// forget drops the units and their memory.
func (r *ring) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept, r.next = [MaxSamples]unit{}, 0
}
