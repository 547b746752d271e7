package admin

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const namespace = "dnstap_pdns_"

// A Collector makes all metrics of a scrape from one ledger, so that the counts add up.
type Collector struct {
	ledger func() Ledger
	descs  map[string]*prometheus.Desc // by the metric's name without its namespace
}

// NewCollector returns a Collector of the view's ledgers.
func NewCollector(v *View) *Collector {
	c := &Collector{ledger: v.Ledger, descs: map[string]*prometheus.Desc{}}
	oneOfEach := Ledger{
		Resolver: &Resolver{},
		Sources:  []Source{{Dnstap: &Dnstap{Certificate: &Certificate{}}, Pcap: &Packets{Interfaces: make([]Interface, 1)}, Kafka: &Kafka{}}},
		Sinks:    []Sink{{Spool: &Spool{}, Peer: &Peer{}, Buffered: &Buffered{}, Certificate: &SinkCertificate{}, RRsets: &RRsets{}}},
	}
	oneOfEach.metrics(func(name, meaning string, _ transform.Kind, _ float64, labels ...label) {
		help := strings.ToUpper(meaning[:1]) + meaning[1:] + "."
		c.descs[name] = prometheus.NewDesc(namespace+name, help, column(labels, func(l label) string { return l.name }), nil)
	})
	return c
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		descs <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	l := c.ledger()
	l.metrics(func(name, _ string, kind transform.Kind, value float64, labels ...label) {
		valueType := prometheus.CounterValue
		if kind == transform.Gauge {
			valueType = prometheus.GaugeValue
		}
		m, err := prometheus.NewConstMetric(c.descs[name], valueType, value, column(labels, func(l label) string { return l.value })...)
		if err != nil { // a label that is not UTF-8
			m = prometheus.NewInvalidMetric(c.descs[name], err)
		}
		metrics <- m
	})
}

type label struct{ name, value string }

func column(labels []label, of func(label) string) []string {
	var all []string
	for _, l := range labels {
		all = append(all, of(l))
	}
	return all
}

// emit is called with each metric: its name without the namespace, its meaning as in
// [transform.Row], and its value.
type emit func(name, meaning string, kind transform.Kind, value float64, labels ...label)

func (e emit) gauge(name, meaning string, value float64, labels ...label) {
	e(name, meaning, transform.Gauge, value, labels...)
}

func (e emit) rows(rows []transform.Row, labels ...label) {
	for i := range rows {
		if r := &rows[i]; r.Metric != "" {
			e(r.Metric, r.Meaning, r.Kind, float64(r.Value), labels...)
		}
	}
}

func (e emit) group(g transform.Group, labels ...label) {
	for i := range g.Rows {
		all := append(labels[:len(labels):len(labels)], label{g.Label, g.Rows[i].Name})
		e(g.Metric, g.Meaning, transform.Counter, float64(g.Rows[i].Value), all...)
	}
}

func (e emit) account(a transform.Account, labels ...label) {
	equals := ": "
	if names := rowNames(a.Whole); len(names) > 1 {
		equals = "; " + strings.Join(names, " + ") + " = "
	}
	a.Whole[0].Meaning += equals + strings.Join(append(rowNames(a.Parts), a.Lost.Name), " + ")
	e.rows(a.Whole, labels...)
	e.rows(a.Parts, labels...)
	e.group(a.Lost, labels...)
}

func rowNames(rows []transform.Row) (names []string) {
	for i := range rows {
		names = append(names, rows[i].Name)
	}
	return names
}

// metrics emits every metric: the rows of each account, and the gauges that this package computes.
func (l *Ledger) metrics(e emit) {
	e.gauge("build_info", "version of the sensor, and of Go that built it; the value is 1", 1, label{"version", l.Version}, label{"goversion", l.GoVersion})
	e.gauge("start_time_seconds", "when the sensor started, since 1970", seconds(l.Started))
	e.gauge("config_last_reload_successful", "whether the latest reload succeeded; 1 if there was none", gaugeOf(l.Reload.OK))
	e.gauge("config_last_reload_success_timestamp_seconds", "since when the configuration is in force", seconds(l.Reload.InForceSince))
	for _, name := range conf.WarningNames() {
		n := 0
		for i := range l.ConfigWarnings {
			if l.ConfigWarnings[i].Name == name {
				n++
			}
		}
		e.gauge("config_warnings", "warnings about the configuration in force, which dnstap-pdns status explains", float64(n), label{"warning", name})
	}
	e.gauge("config_resolvers_set", "whether the configuration names addresses of the resolver", gaugeOf(l.ResolversConfigured))
	e.gauge("resolver_addresses_known", "addresses of the resolver that messages contained", float64(l.Resolver.Known))
	e.gauge("resolver_addresses_full", "whether the table of these addresses is full, so that the oldest are dropped", gaugeOf(l.Resolver.Full))
	e.gauge("resolver_public_address_known", "whether a public address of the resolver is known, from messages or by the configuration", gaugeOf(l.Resolver.Public))
	e.gauge("pairing_table_used", "room in use for pending queries; a query with a long name takes the room of several", float64(l.Pairing.Used))
	e.gauge("pairing_table_limit", "room for pending queries", float64(l.Pairing.Max))
	leaving := 0
	for i := range l.Sinks {
		if l.Sinks[i].Draining {
			leaving++
		}
	}
	e.gauge("sinks_leaving", "names of sinks of which a removed or replaced one still delivers its queue", float64(leaving))
	for i := range l.Sources {
		l.Sources[i].metrics(e)
	}
	for i := range l.Sinks {
		l.Sinks[i].metrics(e)
	}
}

func (s *Sink) metrics(e emit) {
	sink := label{"sink", s.Name}
	e.account(s.Account(), sink)
	e.group(s.Filtering(), sink)
	e.rows(s.Rows(), sink)
	e.gauge("sink_failing", "whether the sink failed the last time", gaugeOf(s.Failing != nil), sink)
	if s.Spool != nil {
		e.gauge("sink_spool_oldest_timestamp_seconds", "when the oldest records in the spool entered it; 0: it is empty", seconds(s.Spool.Oldest), sink)
	}
	if s.Peer != nil {
		e.gauge("sink_last_acknowledgement_timestamp_seconds", "when the peer last acknowledged what it has read; 0: it has not yet", seconds(s.Peer.Acknowledged), sink)
	}
	if s.RRsets != nil {
		e.group(s.RRsets.ByOutcome(), sink)
		e.group(s.RRsets.ByReason(), sink)
		e.gauge("sink_rrsets_saved_timestamp_seconds", "when the state file was last saved; 0: it has not been, or there is none", seconds(s.RRsets.Saved), sink)
	}
	if s.Certificate != nil {
		e.gauge("sink_certificate_expiry_timestamp_seconds", "when the certificate that the sink shows to its peer expires", seconds(s.Certificate.Expires), sink)
	}
}

func (s *Source) metrics(e emit) {
	source := label{"source", s.Name}
	e.account(s.Account(), source)
	e.group(s.Scrubbing(), source)
	e.gauge("last_outward_message_timestamp_seconds", "when the latest message came that may be outward; 0: none has", seconds(s.LastOutward), source)
	var offset time.Duration
	if !s.MessageClock.IsZero() {
		offset = s.offset()
	}
	e.gauge("message_clock_offset_seconds", "how far the times in messages were ahead of the clock then", offset.Seconds(), source)
	e.gauge("resolver_address_known", "whether messages contained an address of the resolver", gaugeOf(s.ResolverKnown), source)
	if d := s.Dnstap; d != nil {
		e.rows(d.Rows(), source)
		without := 0
		for i := range d.Connections {
			if d.Connections[i].Remedy != nil {
				without++
			}
		}
		e.gauge("connections", "resolvers' connections, after their handshake", float64(len(d.Connections)), source)
		e.gauge("connections_without_outward", "of those, connections that brought nothing outward in their first minute", float64(without), source)
		if d.Certificate != nil {
			e.gauge("certificate_expiry_timestamp_seconds", "when the source's TLS certificate expires", seconds(d.Certificate.Expires), source)
		}
	}
	if p := s.Pcap; p != nil {
		e.rows(p.Rows(), source)
		e.gauge("capturing", "whether packets are captured", gaugeOf(p.Capturing), source)
		for i := range p.Interfaces {
			e.rows(p.Interfaces[i].Rows(), source, label{"interface", p.Interfaces[i].Name})
		}
	}
	if s.Kafka != nil {
		s.Kafka.metrics(e, s.Kind == KindRemoved, source)
	}
}

// seconds returns a time in seconds since 1970; 0 for no time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

func gaugeOf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
