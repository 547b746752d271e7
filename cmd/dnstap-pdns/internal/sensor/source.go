package sensor

import (
	"fmt"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A source is a listener and the goroutine that serves it.
type source struct {
	config   collector.Config
	listener *collector.Source
	task
}

func (s *Sensor) open(c collector.Config) (*source, error) {
	lane := func(source string) collector.Lane {
		l := collector.Lane(&attentiveLane{Lane: s.forwarder.Lane(source), senders: s.senders})
		if s.observe != nil {
			l = s.observe(l)
		}
		return l
	}
	listener, err := collector.Listen(c, lane, s.log)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", c.Name, err)
	}
	return &source{config: c, listener: listener}, nil
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
		l.senders.Tells()
		l.Begin()
	}
	return l.Lane.Take(m)
}

func (l *attentiveLane) Close() {
	if l.tells {
		l.senders.Left()
	}
	l.Lane.Close()
}
