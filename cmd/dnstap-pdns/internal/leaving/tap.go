// Package leaving lets parts of a running sensor see what leaves it: the very bytes
// that sinks have sent. The status page's samples and the selftest watch by the same
// [Tap], so that what one shows and the other proves is what a receiver gets.
//
// It keeps nothing and reads nothing: what a container holds, and whether anybody may
// be told, is the business of whoever watches.
package leaving

import (
	"slices"
	"sync"
	"sync/atomic"
)

// An Observer is told of what left, as forward's is: Sent is called by a sink's
// goroutine, by those of several sinks at once. It borrows the container, and must not
// block.
type Observer interface {
	Sent(sink string, container []byte)
}

// A Tap passes on what it is told of to those who watch. The zero value is ready; as
// long as nobody watches, Sent costs one atomic load.
type Tap struct {
	watched atomic.Bool // somebody does

	mu       sync.RWMutex
	watching []*watch
}

// A watch is one's who watches: who does so twice has two, and need not be comparable.
type watch struct{ Observer }

// Sent tells those who watch. It is an Observer's.
func (t *Tap) Sent(sink string, container []byte) {
	if !t.watched.Load() {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, o := range t.watching {
		o.Sent(sink, container)
	}
}

// Watch has o told of what leaves from now on, beside others who watch, until stop is
// called. Once that has returned, which o itself must not wait for, o is told nothing
// more. stop may be called again.
func (t *Tap) Watch(o Observer) (stop func()) {
	w := &watch{o}
	t.change(func(all []*watch) []*watch { return append(all, w) })
	return func() {
		t.change(func(all []*watch) []*watch {
			return slices.DeleteFunc(all, func(other *watch) bool { return other == w })
		})
	}
}

func (t *Tap) change(change func([]*watch) []*watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watching = change(t.watching)
	t.watched.Store(len(t.watching) > 0)
}
