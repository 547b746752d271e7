package forward

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// PacketLane is [Forwarder.Lane] for packets that stand in for dnstap, of a capture
// that began at on. What the lane recorded is known at [Forwarder.HandOver].
func (f *Forwarder) PacketLane(name string, on transform.Time) *Lane {
	return f.lane(name, transform.NewKeyLog(on))
}

// HandOver says of a source's capture, whose lanes are closed, when and of whom it
// was. When it returns, what these lanes recorded is
// [transform.Duplicate] in all lanes of dnstap, those to come included. It waits for
// bursts under way, so a lane whose message ends the capture closes its burst first,
// and takes the message in another. Each capture is to end in one: logs wait for it.
func (f *Forwarder) HandOver(name string, capture transform.Span) {
	f.mu.Lock()
	defer f.mu.Unlock()
	src := f.source(name)
	f.handed = f.handed.With(capture, src.logs...)
	src.logs = nil
	f.plan = newPlan(f.plan.policy, f.handed, f.sinks)
	for _, l := range f.lanes {
		l.adopt(f.plan)
	}
}
