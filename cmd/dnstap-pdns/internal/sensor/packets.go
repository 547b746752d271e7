package sensor

import (
	"fmt"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A packetSource is a capture and the goroutine that runs it.
type packetSource struct {
	config  pcap.Config
	capture *pcap.Source
	task
}

func (s *Sensor) openPackets(c pcap.Config) (*packetSource, error) {
	var outlet pcap.Lanes = alwaysOutlet{s, c.Name}
	if c.When == pcap.Idle {
		outlet = idleOutlet{alwaysOutlet{s, c.Name}}
	}
	capture, err := pcap.Open(c, outlet, s.senders, s.log)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", c.Name, err)
	}
	return &packetSource{config: c, capture: capture}, nil
}

// alwaysOutlet gives lanes to a capture that always runs, whose messages no dnstap source
// has.
type alwaysOutlet struct {
	sensor *Sensor
	source string
}

func (o alwaysOutlet) Lane(transform.Time) transform.Lane { return o.sensor.forwarder.Lane(o.source) }

func (o alwaysOutlet) HandOver(transform.Span) {}

// idleOutlet gives lanes to a capture that runs while dnstap is idle. It hands over what the
// capture recorded, so that dnstap does not record it again.
type idleOutlet struct{ alwaysOutlet }

func (o idleOutlet) Lane(on transform.Time) transform.Lane {
	return o.sensor.forwarder.PacketLane(o.source, on)
}

func (o idleOutlet) HandOver(capture transform.Span) {
	o.sensor.forwarder.HandOver(o.source, capture)
}

// PacketStats contains the counts of a packet source that are not in the account of
// messages. They include earlier sources of the same name.
type PacketStats struct {
	Name     string
	WhenIdle bool // captures only while dnstap brings nothing outward
	Removed  bool // by a reload
	pcap.Stats
}

// Packets returns the counts of the packet sources. Sources that a reload removed come first.
func (s *Sensor) Packets() []PacketStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packetStats()
}

// packetStats is Packets for callers that hold s.mu.
func (s *Sensor) packetStats() []PacketStats {
	all := slices.Clone(s.removed)
	for _, src := range s.packets {
		all = addStats(all, src.stats())
	}
	return all
}

func (src *packetSource) stats() PacketStats {
	return PacketStats{Name: src.config.Name, WhenIdle: src.config.When == pcap.Idle, Stats: src.capture.Stats()}
}

// addStats adds the counts of a source to the counts of earlier sources of its name.
func addStats(all []PacketStats, p PacketStats) []PacketStats {
	i := slices.IndexFunc(all, func(earlier PacketStats) bool { return earlier.Name == p.Name })
	if i < 0 {
		return append(all, p)
	}
	p.Stats.Add(all[i].Stats)
	all[i] = p
	return all
}
