package forward

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// An Observer is shown what has left.
type Observer interface {
	// Sent is called by a sink's goroutine for each container that its transport has
	// taken, in its final form: compressed, where it was sent so, and whole, where it was
	// sent in fragments. The container is borrowed, and the sink waits: Sent must not.
	// Several sinks may call it at once.
	Sent(sink string, container []byte)
}

// show shows the observer what left of containers from to to.
func (s *sink) show(b *batch, from, to int) {
	if s.observer == nil {
		return
	}
	for i := from; i < to; i++ {
		if !b.containers[i].lost {
			s.observer.Sent(s.config.Name, b.container(i))
		}
	}
}

// Trace has of(source) told of every message of each lane, present and to come, until
// the next call; nil: nobody. Traces of different lanes are called at once. When it
// returns, the ones of before are not called any more.
func (f *Forwarder) Trace(of func(source string) transform.Trace) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trace = of
	for _, l := range f.lanes {
		l.mu.Lock()
		f.traceLane(l)
		l.mu.Unlock()
	}
}

func (f *Forwarder) traceLane(l *Lane) {
	if f.trace == nil {
		l.pairer.Trace(nil)
		return
	}
	l.pairer.Trace(f.trace(l.source.name))
}
