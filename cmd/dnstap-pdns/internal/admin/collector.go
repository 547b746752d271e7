package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Collector makes metrics of ledgers, of one for each scrape: what a scrape shows
// adds up.
type Collector struct {
	ledger func() Ledger

	build, dropped, scrubbed, lost *prometheus.Desc
	counts                         map[string]*prometheus.Desc // of packets

	sensor      []family[Ledger]
	source      []family[Source]
	dnstap      []family[Dnstap]
	certificate []family[Certificate]
	packets     []family[Packets]
	interfaces  []family[Interface]
	sink        []family[Sink]
}

// NewCollector returns a Collector of what the view shows.
func NewCollector(v *View) *Collector {
	c := &Collector{
		ledger:   v.Ledger,
		build:    describe("build_info", "Version of the sensor, and of Go that built it; the value is 1.", "version", "goversion"),
		dropped:  describe("messages_dropped_total", "Messages that became no record, by the reason.", "source", "reason"),
		scrubbed: describe("scrubbed_total", "Records that scrubbing changed, each under every rule that did, and messages that it forbade a record of, under the first.", "source", "rule"),
		lost:     describe("sink_records_lost_total", "Records that the sink lost, by the reason.", "sink", "loss"),
		counts:   map[string]*prometheus.Desc{},

		sensor:      families(ofSensor),
		source:      families(ofSource, "source"),
		dnstap:      families(ofDnstap, "source"),
		certificate: families(ofCertificate, "source"),
		packets:     families(ofPackets, "source"),
		interfaces:  families(ofInterface, "source", "interface"),
		sink:        families(ofSink, "sink"),
	}
	for _, n := range PacketCounts(&packet.Stats{}) {
		c.counts[n.Name] = describe("capture_"+n.Name+"_total", "Counts "+n.Meaning+".", "source")
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.build
	descs <- c.dropped
	descs <- c.scrubbed
	descs <- c.lost
	for _, d := range c.counts {
		descs <- d
	}
	describeAll(descs, c.sensor)
	describeAll(descs, c.source)
	describeAll(descs, c.dnstap)
	describeAll(descs, c.certificate)
	describeAll(descs, c.packets)
	describeAll(descs, c.interfaces)
	describeAll(descs, c.sink)
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	e := emitter(metrics)
	l := c.ledger()
	e.emit(c.build, gauge, 1, l.Version, l.GoVersion)
	emitAll(e, c.sensor, &l)
	for i := range l.Sources {
		c.collectSource(e, &l.Sources[i])
	}
	for i := range l.Sinks {
		s := &l.Sinks[i]
		emitAll(e, c.sink, s, s.Name)
		for _, why := range forward.Losses() {
			e.emit(c.lost, counter, float64(s.Lost[why.String()]), s.Name, why.String())
		}
	}
}

func (c *Collector) collectSource(e emitter, s *Source) {
	emitAll(e, c.source, s, s.Name)
	for _, r := range transform.Reasons() {
		e.emit(c.dropped, counter, float64(s.Dropped[r.String()]), s.Name, r.String())
	}
	for _, r := range transform.Rules() {
		e.emit(c.scrubbed, counter, float64(s.Scrubbed[r.String()]), s.Name, r.String())
	}
	if d := s.Dnstap; d != nil {
		emitAll(e, c.dnstap, d, s.Name)
		if d.Certificate != nil {
			emitAll(e, c.certificate, d.Certificate, s.Name)
		}
	}
	if p := s.Pcap; p != nil {
		emitAll(e, c.packets, p, s.Name)
		for i := range p.Interfaces {
			emitAll(e, c.interfaces, &p.Interfaces[i], s.Name, p.Interfaces[i].Name)
		}
		for name, desc := range c.counts {
			e.emit(desc, counter, float64(p.Counts[name]), s.Name)
		}
	}
}
