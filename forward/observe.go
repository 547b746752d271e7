package forward

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// An Observer sees what sinks have sent.
type Observer interface {
	// Sent is called by a sink's goroutine for each container that its transport has
	// taken, in its final form: compressed, where it was sent so, and whole, where it was
	// sent in fragments. The container is borrowed, and the sink waits: Sent must not.
	// Several sinks may call it at once.
	Sent(sink string, container []byte)
}

// Trace makes of(source) the trace of each lane, present and to come, until the next
// call; nil: none. Traces of different lanes are called at once. When it returns, the
// traces before are not called any more.
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
