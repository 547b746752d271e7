package sensor

import (
	"fmt"

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
	name     string // under which its lanes count, as config says; Sensor.naming guards it
	task
}

func (s *Sensor) open(c collector.Config) (*source, error) {
	src := &source{config: c, name: c.Name}
	lane := func() transform.Lane {
		s.naming.Lock()
		defer s.naming.Unlock()
		return &attentiveLane{Lane: s.forwarder.Lane(src.name), senders: s.senders}
	}
	listener, err := s.inherited.listen(c, lane, s.log)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", c.Name, err)
	}
	src.listener = listener
	return src, nil
}

// An attentiveLane is that of one dnstap connection. It tells when that has brought
// its first outward message: packets are not needed from then on.
type attentiveLane struct {
	*forward.Lane
	senders *pcap.Senders
	tells   bool
}

func (l *attentiveLane) Take(m *transform.Message) transform.Reason {
	if !l.tells && l.Passes(m) {
		l.tells = true
		l.End() // what waits may not do so within a burst
		l.senders.OutwardBegins()
		l.Begin()
	}
	return l.Lane.Take(m)
}

func (l *attentiveLane) Close() {
	if l.tells {
		l.senders.OutwardEnds()
	}
	l.Lane.Close()
}

// An Excluded source keeps resolvers of this machine out, or does not let it be told.
type Excluded struct {
	Source     string
	Exclusions []sockfile.Exclusion
	Err        error
}

// Excluded returns the dnstap sources to whose sockets, as they are, a resolver of this
// machine cannot connect, and those of which that cannot be told.
func (s *Sensor) Excluded() []Excluded {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Excluded
	for _, src := range s.sources {
		exclusions, err := src.listener.Exclusions()
		if len(exclusions) > 0 || err != nil {
			all = append(all, Excluded{src.config.Name, exclusions, err})
		}
	}
	return all
}
