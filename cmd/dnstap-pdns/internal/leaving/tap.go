// Package leaving passes the containers that sinks have sent to observers in the process:
// to the samples of the status page and to the selftest. Both use the same [Tap], so that
// they see exactly the octets that a receiver gets.
//
// It keeps nothing and parses nothing. It does not know what a container holds, nor who
// may see it: that is up to the observers.
package leaving

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// A Tap is a [forward.Observer] that passes each call on to its subscribers. The zero value
// is ready. Without subscribers Sent costs one atomic load.
type Tap struct {
	active atomic.Bool // there are subscribers

	mu          sync.RWMutex
	subscribers []*subscriber
}

// A subscriber is one call of Watch. Its address identifies it, because observers need not
// be comparable and may subscribe twice.
type subscriber struct{ forward.Observer }

// Sent passes a container to all subscribers, which borrow it until they return.
func (t *Tap) Sent(sink string, container []byte) {
	if !t.active.Load() {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, s := range t.subscribers {
		s.Sent(sink, container)
	}
}

// Watch subscribes o to all containers that are sent until stop is called. After stop has
// returned, o is not called any more. o must not call stop or wait for it. stop may be
// called again.
func (t *Tap) Watch(o forward.Observer) (stop func()) {
	added := &subscriber{o}
	t.update(func(all []*subscriber) []*subscriber { return append(all, added) })
	return func() {
		t.update(func(all []*subscriber) []*subscriber {
			return slices.DeleteFunc(all, func(s *subscriber) bool { return s == added })
		})
	}
}

func (t *Tap) update(change func([]*subscriber) []*subscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subscribers = change(t.subscribers)
	t.active.Store(len(t.subscribers) > 0)
}
