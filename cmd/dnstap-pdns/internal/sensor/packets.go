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
	var outlet pcap.Outlet = always{s, c.Name}
	if c.When == pcap.Idle {
		outlet = standIn{always{s, c.Name}}
	}
	capture, err := pcap.Open(c, outlet, s.senders, s.log)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", c.Name, err)
	}
	return &packetSource{config: c, capture: capture}, nil
}

// always is where packets go that nothing else tells of.
type always struct {
	sensor *Sensor
	source string
}

func (o always) Lane(transform.Time) transform.Lane { return o.sensor.forwarder.Lane(o.source) }

func (o always) HandOver(transform.Span) {}

// standIn is where packets go that stand in for dnstap: what they recorded is no
// record again.
type standIn struct{ always }

func (o standIn) Lane(on transform.Time) transform.Lane {
	return o.sensor.forwarder.PacketLane(o.source, on)
}

func (o standIn) HandOver(capture transform.Span) {
	o.sensor.forwarder.HandOver(o.source, capture)
}

// PacketStats is what a packet source counts beside the account of messages, since
// there first was one of that name.
type PacketStats struct {
	Name     string
	StandsIn bool // captures only while dnstap tells nothing outward
	Removed  bool // by a reload
	pcap.Stats
}

// Packets returns the counts of the packet sources, those that a reload removed first.
func (s *Sensor) Packets() []PacketStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packetStats()
}

// packetStats is Packets where s.mu is held.
func (s *Sensor) packetStats() []PacketStats {
	all := slices.Clone(s.gone)
	for _, src := range s.packets {
		all = addStats(all, src.stats())
	}
	return all
}

func (src *packetSource) stats() PacketStats {
	return PacketStats{Name: src.config.Name, StandsIn: src.config.When == pcap.Idle, Stats: src.capture.Stats()}
}

// addStats adds a source's counts to those of others of its name, which were before.
func addStats(all []PacketStats, p PacketStats) []PacketStats {
	i := slices.IndexFunc(all, func(gone PacketStats) bool { return gone.Name == p.Name })
	if i < 0 {
		return append(all, p)
	}
	p.Stats.Add(all[i].Stats)
	all[i] = p
	return all
}
