package page

import (
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin/samples"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxConnections bounds the connections that are shown for a source, which may have thousands.
const maxConnections = 50

// A view is the data of the page for one ledger.
type view struct {
	*admin.Ledger
	Host     string // may be empty
	Warnings []admin.Warning
	Sources  []sourceView
	Plots    []plot
	Messages account
	Sinks    []sinkView

	Changing, Forbidding []rule

	SamplesOn bool
	Samples   []samples.Sample
}

// A sourceView is a source as the page shows it.
type sourceView struct {
	*admin.Source
	ID          string
	Kind        string
	State       string
	Well        bool
	Connections []admin.Connection // the first maxConnections
	More        int                // connections that are not shown
	Unread      uint64             // messages of Kafka
	Rows        []transform.Row    // counts that are not part of the ledger's sums
}

// A sinkView is a sink as the page shows it.
type sinkView struct {
	*admin.Sink
	ID      string
	Unit    string // what it is offered: "record" or "RRset"
	Account account
	Rows    []transform.Row // counts that are not part of the sum
	State   string
	Well    bool
}

func viewOf(host string, l *admin.Ledger, h *history, s *samples.Samples) *view {
	v := &view{Ledger: l, Host: host, Warnings: l.Warnings(), Plots: h.plots(l.Time), Messages: accountOf("messages", "messages", l.Total.Account())}
	for i := range l.Sources {
		v.Sources = append(v.Sources, sourceOf(l, &l.Sources[i]))
	}
	for i := range l.Sinks {
		v.Sinks = append(v.Sinks, sinkOf(l, &l.Sinks[i]))
	}
	v.Changing, v.Forbidding = rulesOf(l)
	v.Samples, v.SamplesOn = s.Latest()
	return v
}

func sourceOf(l *admin.Ledger, s *admin.Source) sourceView {
	v := sourceView{Source: s, ID: "source-" + s.Name}
	switch {
	case s.Kind == admin.KindRemoved:
		v.Kind, v.State = "removed", "removed by a reload; its messages stay in the account"
	case s.Dnstap != nil:
		v.dnstap(s.Dnstap)
	case s.Pcap != nil:
		v.packets(s.Pcap)
	case s.Kafka != nil:
		v.kafka(l, s.Kafka)
	}
	return v
}

func (v *sourceView) dnstap(d *admin.Dnstap) {
	n := len(d.Connections)
	v.Kind, v.State, v.Well = "dnstap", counted(n, "resolver connection"), n > 0
	v.Connections = d.Connections[:min(n, maxConnections)]
	v.More = n - len(v.Connections)
	v.Rows = d.Rows()
}

func (v *sourceView) packets(p *admin.Packets) {
	v.Kind, v.State, v.Well = "packets", "capturing", true
	switch {
	case p.WhenIdle && p.Capturing:
		v.State = "capturing, because dnstap is silent"
	case p.WhenIdle:
		v.State = "waiting: it captures while dnstap is silent"
	case !p.Capturing:
		v.State, v.Well = "not capturing", false
	}
	v.Rows = p.Rows()
}

func (v *sourceView) kafka(l *admin.Ledger, k *admin.Kafka) {
	v.Kind, v.State, v.Well = "Kafka", "reads "+counted(k.Partitions, "partition"), k.Partitions > 0
	if k.Failing != nil {
		v.State, v.Well = "fails for "+span(l.Time.Sub(k.Failing.Since)), false
	}
	v.Unread, v.Rows = uint64(k.Lag), k.Rows()
}

func sinkOf(l *admin.Ledger, s *admin.Sink) sinkView {
	v := sinkView{Sink: s, ID: "sink-" + s.Name, Unit: "record", State: "works", Well: true}
	if s.From != "" {
		v.Unit = "RRset"
	}
	switch {
	case s.Removed && s.Draining:
		v.State = "removed by a reload; it still delivers its queue"
	case s.Removed:
		v.State = "removed by a reload; its records stay in the account"
	case s.Draining:
		v.State = "works; the sink that a reload replaced still delivers its queue"
	}
	if s.Failing != nil {
		v.State, v.Well = "fails for "+span(l.Time.Sub(s.Failing.Since)), false
	}
	v.Account, v.Rows = accountOf(v.ID, v.Unit+"s", s.Account()), s.Rows()
	v.Account.divide(s.Filtering(), "filtered")
	if s.RRsets != nil {
		v.Rows = append(v.Rows, s.RRsets.ByOutcome().Rows...)
	}
	return v
}

// stackedSinks is the largest number of sinks whose accounts fit next to that of the messages. More
// are shown below it, so that its column does not stay empty.
const stackedSinks = 2

// Many reports whether the sinks are shown below the messages.
func (v *view) Many() bool { return len(v.Sinks) > stackedSinks }

// Ago returns how long before the ledger's time t was.
func (v *view) Ago(t time.Time) string { return span(v.Time.Sub(t)) }

// A matrixRow is one row of the account of messages, for each source.
type matrixRow struct {
	Name  string
	By    []uint64 // in the order of the sources
	Total uint64
}

// Matrix returns the account of messages by source.
func (v *view) Matrix() []matrixRow {
	var all []matrixRow
	for _, r := range flat(&v.Total) {
		all = append(all, matrixRow{Name: r.Name, Total: r.Value})
	}
	for i := range v.Sources {
		for j, r := range flat(&v.Sources[i].Messages) {
			all[j].By = append(all[j].By, r.Value)
		}
	}
	return all
}

// flat returns every row of the account of messages.
func flat(m *admin.Messages) []transform.Row {
	a := m.Account()
	return slices.Concat(a.Whole, a.Parts, a.Lost.Rows)
}

// A rule is a row of scrubbing.
type rule struct {
	Name    string
	Meaning string
	N       uint64
	Never   string // why N may be 0; empty if N is not 0
}

// rulesOf returns the rules that change records, and those that drop messages.
func rulesOf(l *admin.Ledger) (changing, forbidding []rule) {
	scrubbed := l.Total.Scrubbing()
	for i, r := range transform.Rules() {
		row := scrubbed.Rows[i]
		shown := rule{Name: row.Name, Meaning: row.Meaning, N: row.Value}
		if shown.N == 0 {
			shown.Never = whyNever(l, r)
		}
		if r.ForbidsAs() == transform.Kept {
			changing = append(changing, shown)
		} else {
			forbidding = append(forbidding, shown)
		}
	}
	return changing, forbidding
}

// whyNever returns a reason for which a rule may not have matched so far.
func whyNever(l *admin.Ledger, r transform.Rule) string {
	switch {
	case slices.ContainsFunc(l.Sources, func(s admin.Source) bool { return s.Kind == admin.KindKafka }):
		return "what comes from Kafka is not scrubbed here"
	case l.Total.Read == 0:
		return "nothing has been read yet"
	case l.Total.Records == 0 && r.ForbidsAs() == transform.Kept:
		return "no record has been made yet"
	}
	switch r {
	case transform.LocalNameInName, transform.LocalNameInRdata:
		return "no such name has been seen, or scrub.local_names does not contain it"
	case transform.LocalNetwork:
		return "no such name has been seen, or scrub.local_networks does not contain the network"
	case transform.ResolverInAddress, transform.ResolverInName, transform.ResolverInRdata:
		if !knowsResolver(l) {
			return "it cannot match: neither messages nor scrub.resolvers contain an address of the resolver"
		}
		return "no answer has contained a known address of the resolver"
	case transform.SpecialUse, transform.NoTLD:
		return "no such name has been seen, or scrub.special_names is false"
	case transform.ResolverZeroed, transform.IDZeroed:
		return `messages contain none, or scrub.resolver_address is "keep"`
	case transform.TimeTruncated:
		return "all times were whole already"
	}
	return "no record has needed it"
}

func knowsResolver(l *admin.Ledger) bool {
	for i := range l.Sources {
		if l.Sources[i].ResolverKnown {
			return true
		}
	}
	return l.ResolversConfigured
}
