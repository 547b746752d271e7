package admin

import "github.com/prometheus/client_golang/prometheus"

const namespace = "dnstap_pdns_"

// A metric is a number that a T holds.
type metric[T any] struct {
	name, help string // the name without its namespace
	kind       prometheus.ValueType
	value      func(*T) float64
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// A family is a metric that can be emitted.
type family[T any] struct {
	metric[T]
	desc *prometheus.Desc
}

func families[T any](table []metric[T], labels ...string) []family[T] {
	var all []family[T]
	for _, m := range table {
		all = append(all, family[T]{m, describe(m.name, m.help, labels...)})
	}
	return all
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+name, help, labels, nil)
}

// An emitter takes the metrics of one scrape.
type emitter chan<- prometheus.Metric

func (e emitter) emit(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, kind, v, labels...)
	if err != nil { // a label that is not UTF-8
		m = prometheus.NewInvalidMetric(d, err)
	}
	e <- m
}

func emitAll[T any](e emitter, all []family[T], of *T, labels ...string) {
	for i := range all {
		e.emit(all[i].desc, all[i].kind, all[i].value(of), labels...)
	}
}

func describeAll[T any](descs chan<- *prometheus.Desc, all []family[T]) {
	for i := range all {
		descs <- all[i].desc
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
