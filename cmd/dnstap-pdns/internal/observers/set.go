// Package observers passes the units that sinks have sent to observers in the process:
// to the samples of the status page and to the selftest. Both use the same [Set], so that
// they see exactly the octets that a receiver gets.
//
// It keeps nothing and parses nothing. It does not know what a unit holds, nor who
// may see it: that is up to the observers.
package observers

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// A Set is a [forward.Observer] that passes each call on to its subscribers. The zero value
// is ready. Without subscribers Sent costs one atomic load.
type Set struct {
	active atomic.Bool // there are subscribers

	mu          sync.RWMutex
	subscribers []*subscriber
}

// A subscriber is one call of Subscribe. Its address identifies it, because observers need not
// be comparable and may subscribe twice.
type subscriber struct{ forward.Observer }

// Sent passes a unit to all subscribers, which borrow it until they return.
func (s *Set) Sent(sink string, unit []byte, spooled bool) {
	if !s.active.Load() {
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, s := range s.subscribers {
		s.Sent(sink, unit, spooled)
	}
}

// Subscribe subscribes o to all units that are sent until stop is called. After stop has
// returned, o is not called any more. o must not call stop or wait for it. stop may be
// called again.
func (s *Set) Subscribe(o forward.Observer) (stop func()) {
	added := &subscriber{o}
	s.update(func(all []*subscriber) []*subscriber { return append(all, added) })
	return func() {
		s.update(func(all []*subscriber) []*subscriber {
			return slices.DeleteFunc(all, func(s *subscriber) bool { return s == added })
		})
	}
}

func (s *Set) update(change func([]*subscriber) []*subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = change(s.subscribers)
	s.active.Store(len(s.subscribers) > 0)
}
