package sensor

import (
	"fmt"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
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

func (o always) Lane(transform.Time) pcap.Lane { return o.watched(o.sensor.forwarder.Lane(o.source)) }

func (o always) HandOver(transform.Span) {}

func (o always) watched(l *forward.Lane) pcap.Lane {
	if o.sensor.observe == nil {
		return l
	}
	return o.sensor.observe(collector.Lane(l))
}

// standIn is where packets go that stand in for dnstap: what they recorded is no
// record again.
type standIn struct{ always }

func (o standIn) Lane(on transform.Time) pcap.Lane {
	return o.watched(o.sensor.forwarder.PacketLane(o.source, on))
}

func (o standIn) HandOver(capture transform.Span) {
	o.sensor.forwarder.HandOver(o.source, capture)
}

// PacketStats is what a packet source counts beside the account of messages, since
// there first was one of that name.
type PacketStats struct {
	Name string
	pcap.Stats
}

// Packets returns the counts of the packet sources, those that a reload removed first.
func (s *Sensor) Packets() []PacketStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.gone)
	for _, src := range s.packets {
		all = addStats(all, src.config.Name, src.capture.Stats())
	}
	return all
}

// addStats adds a source's counts to those of others of its name.
func addStats(all []PacketStats, name string, stats pcap.Stats) []PacketStats {
	i := slices.IndexFunc(all, func(p PacketStats) bool { return p.Name == name })
	if i < 0 {
		return append(all, PacketStats{name, stats})
	}
	stats.Add(all[i].Stats)
	all[i].Stats = stats
	return all
}
