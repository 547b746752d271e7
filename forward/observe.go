package forward

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// An Observer sees every container that sinks have sent.
type Observer interface {
	// Sent is called by a sink's goroutine for each container that its transport has
	// taken: compressed if it was sent compressed, whole if it was sent in fragments. The
	// container is borrowed until Sent returns. The sink waits, so Sent must not block.
	// Several sinks may call it at once.
	Sent(sink string, container []byte)
}

// Trace makes of(source) the trace of every open and future lane, until the next call;
// nil: none. Traces of different lanes are called concurrently. When Trace returns, the
// earlier traces are not called any more.
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
