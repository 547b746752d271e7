package samples

import (
	"slices"
	"sync"
)

// A container is a container that a sink sent.
type container struct {
	sink  string
	bytes []byte
}

// A ring keeps the latest containers, and reuses their buffers.
type ring struct {
	mu   sync.Mutex
	kept [Most]container
	next int // index of the next container, which replaces the oldest
}

// Sent keeps a copy of a container. It implements forward.Observer.
func (r *ring) Sent(sink string, bytes []byte) {
	if len(bytes) > maxContainer {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.kept[r.next]
	c.sink, c.bytes = sink, append(c.bytes[:0], bytes...)
	r.next = (r.next + 1) % len(r.kept)
}

// latest returns copies of the containers, the latest first.
func (r *ring) latest() []container {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []container
	for i := range r.kept {
		c := r.kept[(r.next+len(r.kept)-1-i)%len(r.kept)]
		if len(c.bytes) > 0 {
			all = append(all, container{c.sink, slices.Clone(c.bytes)})
		}
	}
	return all
}

// forget drops the containers and their memory.
func (r *ring) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept, r.next = [Most]container{}, 0
}
