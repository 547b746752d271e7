package sensor

import (
	"fmt"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/collector/sockfile"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A source is a listener and the goroutine that serves it.
type source struct {
	config   collector.Config
	listener *collector.Source
	name     string // under which its lanes count; guarded by Sensor.naming
	task
}

func (s *Sensor) open(c collector.Config) (*source, error) {
	src := &source{config: c, name: c.Name}
	lane := func() transform.Lane {
		s.naming.Lock()
		defer s.naming.Unlock()
		return &dnstapLane{Lane: s.forwarder.Lane(src.name), senders: s.senders}
	}
	listener, err := s.inherited.listen(c, lane, s.log)
	if err != nil {
		return nil, &sourceError{c, err}
	}
	src.listener = listener
	return src, nil
}

// A sourceError is the reason why a source cannot be opened.
type sourceError struct {
	source collector.Config
	err    error
}

func (e *sourceError) Error() string { return fmt.Sprintf("source %q: %v", e.source.Name, e.err) }

func (e *sourceError) Unwrap() error { return e.err }

// A dnstapLane is the lane of one dnstap connection. It reports the first outward message of
// the connection, because packets are not needed after that.
type dnstapLane struct {
	*forward.Lane
	senders *pcap.DnstapSenders
	outward bool // an outward message came
}

func (l *dnstapLane) Take(m *transform.Message) transform.Reason {
	if !l.outward && l.MayBeOutward(m) {
		l.outward = true
		l.End() // the next call may wait, which is not allowed within a burst
		l.senders.OutwardBegins()
		l.Begin()
	}
	return l.Lane.Take(m)
}

func (l *dnstapLane) Close() {
	if l.outward {
		l.senders.OutwardEnds()
	}
	l.Lane.Close()
}

// Listens reports whether a source listens at an address, or may at once on an inherited
// socket.
func (s *Sensor) Listens(network, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := address{network, name}
	return s.inherited.has(network, name) || slices.ContainsFunc(s.sources, func(src *source) bool { return addressOf(src.config) == at })
}

// AccessProblem reports that resolvers of this machine cannot connect to a source, or that this
// could not be checked.
type AccessProblem struct {
	Source     string
	Exclusions []sockfile.Exclusion
	Err        error // of the check
}

// Excluded returns the dnstap sources to whose sockets a resolver of this machine cannot
// connect, and those that could not be checked. It reads the access rights of the sockets.
func (s *Sensor) Excluded() []AccessProblem {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []AccessProblem
	for _, src := range s.sources {
		exclusions, err := src.listener.Exclusions()
		if len(exclusions) > 0 || err != nil {
			all = append(all, AccessProblem{src.config.Name, exclusions, err})
		}
	}
	return all
}
