package pcap

import (
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
)

// Stats counts what a source did, beside the account of messages.
type Stats struct {
	Captures  uint64 // times that it began to capture
	Capturing bool   // it does
	Packets   packet.Stats
	Rings     ring.Stats
}

// Stats returns the source's counts since it was opened. They are not older than a
// burst of packets, those of the rings not older than a second.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := s.gone.clone()
	if s.current != nil {
		total.add(s.current.stats())
		total.Captures++
		total.Capturing = true
	}
	return total
}

func (s *Source) begin(current *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = current
}

func (s *Source) end(current *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone.add(current.stats())
	s.gone.Captures++
	s.current = nil
}

func (s *Stats) clone() Stats {
	c := *s
	c.Rings.Interfaces = slices.Clone(s.Rings.Interfaces)
	return c
}

// add adds the counts of one session to those of others. The interfaces are the same
// in each.
func (s *Stats) add(o Stats) {
	s.Packets.Add(o.Packets)
	s.Rings.Add(o.Rings)
}
