package pcap

import (
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Stats counts the captures and packets of a source. Lanes count the messages.
type Stats struct {
	Capturing bool   // a capture is running
	Failing   bool   // with When Idle: packets are needed, and the latest attempt to capture failed
	Captures  uint64 // captures that began
	Ended     Endings
	Failed    uint64 // attempts to capture that failed
	Packets   packet.Stats
	Rings     ring.Stats
}

// Endings counts captures that have ended, by reason.
type Endings struct {
	ByDnstap uint64 // a dnstap sender sent an outward message
	Stopped  uint64 // the source stopped
	Broken   uint64 // the capture failed
}

// Rows returns the counts of captures.
func (s *Stats) Rows() []transform.Row {
	return []transform.Row{
		{Name: "begun", Metric: "captures_total", Meaning: "captures that began", Value: s.Captures},
		{Name: "ended_by_dnstap", Meaning: "captures that ended because a dnstap sender brings outward messages", Value: s.Ended.ByDnstap},
		{Name: "stopped", Meaning: "captures that ended with the source", Value: s.Ended.Stopped},
		{Name: "broken", Metric: "captures_broken_total", Meaning: "captures that failed", Value: s.Ended.Broken},
		{Name: "failed", Metric: "captures_failed_total", Meaning: "attempts to capture that failed", Value: s.Failed},
	}
}

// Stats returns the source's counts since it was opened. The counts of rings are at most a
// second old, the others at most a burst of packets.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := s.finished
	total.Rings.Interfaces = slices.Clone(total.Rings.Interfaces)
	total.Failing = total.Failing && s.senders.silent(s.config.IdleAfter)
	if s.current != nil {
		total.add(s.current.stats())
		total.Capturing = true
	}
	return total
}

func (s *Source) begin(current *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = current
	s.finished.Captures++
	s.finished.Failing = false
}

func (s *Source) end(current *session, why *uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished.add(current.stats())
	*why++
	s.current = nil
}

func (s *Source) countFailure() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished.Failed++
}

func (s *Source) setFailing(failing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished.Failing = failing
}

// add adds the counts of a session's packets and rings.
func (s *Stats) add(o Stats) {
	s.Packets.Add(o.Packets)
	s.Rings.Add(o.Rings)
}

// Add adds the counts of an earlier source of the same name, which was removed.
func (s *Stats) Add(gone Stats) {
	rings := gone.Rings
	rings.Interfaces = slices.Clone(rings.Interfaces)
	rings.Add(s.Rings)
	s.Rings = rings
	s.Packets.Add(gone.Packets)
	s.Captures += gone.Captures
	s.Ended.ByDnstap += gone.Ended.ByDnstap
	s.Ended.Stopped += gone.Ended.Stopped
	s.Ended.Broken += gone.Ended.Broken
	s.Failed += gone.Failed
}
