package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// An Aggregator is the transport of an aggregate sink. RRsets returns its account. Any goroutine
// may call it.
type Aggregator interface{ RRsets() RRsets }

// RRsets accounts for the RRsets in the records of an aggregate sink. It is outside the sum, which
// is about records.
type RRsets struct {
	Outcomes rrset.Counts // Held is what the present transport holds
	Received uint64       // from other sensors, which verified them
	Refused  uint64       // verified or received, but malformed or too big for the table
	Emitted  uint64       // to the sinks
	Evicted  uint64       // left the window before its end, because the table was full
	Lost     uint64       // in the table at the stop, and neither emitted nor saved

	// Withheld are those that would have been emitted, but the policy in force forbids them.
	Withheld   transform.ReasonCounts
	Unreleased uint64 // sightings that were not emitted: too few sources had reported the RRset

	// Of the present transport.
	Entries     int // in the table
	Bytes       int // of the memory of the table
	Waiting     int // entries that too few sources have reported
	FullDomains int // registered domains with all the entries that they may have

	SaveFailures uint64
	Saved        time.Time // the latest save; zero: none, or there is no state file
}

// add adds the account of another transport of the same sink.
func (r *RRsets) add(o RRsets) {
	for outcome, n := range o.Outcomes.By {
		r.Outcomes.By[outcome] += n
	}
	r.Outcomes.Held += o.Outcomes.Held
	r.Received += o.Received
	r.Refused += o.Refused
	r.Emitted += o.Emitted
	r.Evicted += o.Evicted
	r.Lost += o.Lost
	for reason, n := range o.Withheld {
		r.Withheld[reason] += n
	}
	r.Unreleased += o.Unreleased
	r.Entries += o.Entries
	r.Bytes += o.Bytes
	r.Waiting += o.Waiting
	r.FullDomains += o.FullDomains
	r.SaveFailures += o.SaveFailures
	if o.Saved.After(r.Saved) {
		r.Saved = o.Saved
	}
}

// VerifiedShare returns the share of verified RRsets in those whose outcome is known, from 0 to 1; of
// none it is 1.
func (r *RRsets) VerifiedShare() float64 {
	var all uint64
	for _, n := range r.Outcomes.By {
		all += n
	}
	if all == 0 {
		return 1
	}
	return float64(r.Outcomes.Verified()) / float64(all)
}

// Group returns a row for each outcome.
func (r *RRsets) Group() transform.Group {
	g := transform.Group{Name: "rrsets", Metric: "sink_rrsets_total", Label: "outcome", Meaning: "RRsets in the records, by what became of them"}
	for _, o := range rrset.Outcomes() {
		g.Rows = append(g.Rows, transform.Row{Name: o.String(), Meaning: o.Meaning(), Value: r.Outcomes.By[o]})
	}
	return g
}

// Withholding returns a row for each reason for which RRsets are withheld.
func (r *RRsets) Withholding() transform.Group {
	g := transform.Group{Name: "withheld", Metric: "sink_rrsets_withheld_total", Label: "reason",
		Meaning: "RRsets that were in the window and not passed to the sinks, because the policy in force forbids them, by the reason"}
	for _, why := range transform.RRsetReasons() {
		g.Rows = append(g.Rows, transform.Row{Name: why.String(), Meaning: why.Meaning(), Value: r.Withheld[why]})
	}
	return g
}

// Rows returns a row for each other count.
func (r *RRsets) Rows() []transform.Row {
	return []transform.Row{
		{Name: "held", Metric: "sink_rrsets_held", Meaning: "RRsets that cannot be verified yet, and wait for bailiwick_wait", Kind: transform.Gauge, Value: r.Outcomes.Held},
		{Name: "received", Metric: "sink_rrsets_received_total", Meaning: "RRsets that other sensors verified, and that were merged or refused", Value: r.Received},
		{Name: "refused", Metric: "sink_rrsets_refused_total", Meaning: "RRsets, verified here or received, with an invalid name or of more than about 1 MiB", Value: r.Refused},
		{Name: "entries", Metric: "sink_rrsets_entries", Meaning: "RRsets held in the window; with release, also those that are remembered from earlier windows", Kind: transform.Gauge, Value: uint64(r.Entries)},
		{Name: "bytes", Metric: "sink_rrsets_bytes", Meaning: "memory of the RRsets in the window", Kind: transform.Gauge, Value: uint64(r.Bytes)},
		{Name: "emitted", Metric: "sink_rrsets_emitted_total", Meaning: "RRsets that were passed to the sinks", Value: r.Emitted},
		{Name: "evicted", Metric: "sink_rrsets_evicted_total", Meaning: "RRsets that left the window before its end, because max_entries or max_bytes was reached", Value: r.Evicted},
		{Name: "lost", Metric: "sink_rrsets_lost_total", Meaning: "RRsets in the window at the stop that were neither emitted nor saved", Value: r.Lost},
		{Name: "unreleased", Metric: "sink_rrsets_unreleased_total", Meaning: "sightings of RRsets that did not leave, because fewer sources than release requires had reported them", Value: r.Unreleased},
		{Name: "waiting", Metric: "sink_rrsets_waiting", Meaning: "RRsets among the entries that fewer sources than release requires have reported", Kind: transform.Gauge, Value: uint64(r.Waiting)},
		{Name: "full_domains", Metric: "sink_rrsets_full_domains", Meaning: "registered domains with a hundredth of max_entries, whose own oldest RRsets leave for new ones (release only)", Kind: transform.Gauge, Value: uint64(r.FullDomains)},
		{Name: "save_failures", Metric: "sink_rrsets_save_failures_total", Meaning: "attempts to save the state file that failed", Value: r.SaveFailures},
	}
}

// with returns the sum of r and the account of a sender's transport; nil: neither is one of an
// aggregate sink. It does not change r.
func (r *RRsets) with(s *sender) *RRsets {
	a, ok := s.transport.(Aggregator)
	if !ok {
		return r
	}
	sum := a.RRsets()
	if r != nil {
		sum.add(*r)
	}
	return &sum
}

// rrsets returns the account over all senders of the sink; nil: none of them aggregates.
func (s *sink) rrsets() *RRsets {
	all := s.pastRRsets
	for _, n := range s.senders {
		all = all.with(n)
	}
	return all
}
