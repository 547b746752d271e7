package forward

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// An Observer sees every unit that sinks have sent.
type Observer interface {
	// Sent is called by a sink's goroutine for each unit that its transport has taken, in
	// the format of the sink: compressed if it was sent compressed, whole if it was sent in
	// fragments. spooled: it is in a spool, and not at the peer. It is called once, not
	// again when the spool sends the unit. The unit is borrowed until Sent returns. The
	// sink waits, so Sent must not block. Several sinks may call it at once.
	Sent(sink string, unit []byte, spooled bool)
}

// A SinkTrace is a [transform.Trace] that also sees which sinks take a record.
type SinkTrace interface {
	transform.Trace

	// Offered is called for each record and sink. by is the rule by which the sink does not
	// take the record, if filtered. The record is borrowed.
	Offered(sink string, r *transform.Record, by FilterRule, filtered bool)
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
	l.offers = nil
	if f.trace == nil {
		l.pairer.Trace(nil)
		return
	}
	t := f.trace(l.source.name)
	l.pairer.Trace(t)
	l.offers, _ = t.(SinkTrace)
}

// traceOffers reports to the trace which sinks take the record.
func (l *Lane) traceOffers(r *transform.Record) {
	for i := range l.plan.encodings {
		e := &l.plan.encodings[i]
		represents := e.records.Accepts(r)
		for j := range l.feeds.each[e.from:e.to] {
			f := &l.feeds.each[e.from+j]
			rule := f.judge(r, represents)
			l.offers.Offered(f.to.config.Name, r, rule, rule != accepted)
		}
	}
}
