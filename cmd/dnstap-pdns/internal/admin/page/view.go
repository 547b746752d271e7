package page

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin/samples"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxConnections is how many of a source are shown: one may have many thousands.
const maxConnections = 50

// A view is what the page shows of one ledger.
type view struct {
	*admin.Ledger
	Warnings []admin.Warning
	Sources  []sourceView
	Plots    []plot
	Messages account
	Sinks    []sinkView

	Changing, Forbidding []rule

	SamplesOn bool
	Samples   []samples.Sample
}

// A sourceView is a source with what its kind makes of it.
type sourceView struct {
	*admin.Source
	ID          string
	Kind        string
	State       string
	Well        bool
	Connections []admin.Connection  // the first of them
	More        int                 // that are not shown
	Beside      []admin.PacketCount // its own counts, outside the ledger's sums
}

// A sinkView is a sink with its account.
type sinkView struct {
	*admin.Sink
	ID      string
	Account account
	State   string
	Well    bool
}

func viewOf(l *admin.Ledger, h *history, s *samples.Samples) *view {
	v := &view{Ledger: l, Warnings: l.Warnings(), Plots: h.plots(l.Time), Messages: messagesAccount(&l.Total)}
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
		v.Kind, v.State = "removed", "removed by a reload; what it read stays in the account"
	case s.Dnstap != nil:
		v.dnstap(s.Dnstap)
	case s.Pcap != nil:
		v.packets(s.Pcap)
	}
	return v
}

func (v *sourceView) dnstap(d *admin.Dnstap) {
	n := len(d.Connections)
	v.Kind, v.State, v.Well = "dnstap", counted(n, "resolver connection"), n > 0
	v.Connections = d.Connections[:min(n, maxConnections)]
	v.More = n - len(v.Connections)
	v.Beside = []admin.PacketCount{
		{Name: "accepted", N: d.Accepted, Meaning: "connections that there were"},
		{Name: "refused", N: d.Refused, Meaning: "closed at once, because all places were taken"},
		{Name: "displaced", N: d.Displaced, Meaning: "closed for a newcomer's sake, because all places were taken"},
		{Name: "handshakes_failed", N: d.HandshakesFailed, Meaning: "never said how they speak"},
		{Name: "broken", N: d.Broken, Meaning: "closed because of broken framing"},
		{Name: "accept_errors", N: d.AcceptErrors, Meaning: "failures to accept a connection"},
	}
}

func (v *sourceView) packets(p *admin.Packets) {
	v.Kind, v.State, v.Well = "packets", "capturing", true
	switch {
	case p.StandsIn && p.Capturing:
		v.State = "capturing, because dnstap is silent"
	case p.StandsIn:
		v.State = "waiting: it captures while dnstap is silent"
	case !p.Capturing:
		v.State, v.Well = "not capturing", false
	}
	v.Beside = []admin.PacketCount{
		{Name: "captures", N: p.Captures, Meaning: "times that a capture began"},
		{Name: "captures_broken", N: p.Broken, Meaning: "captures that failed"},
		{Name: "captures_failed", N: p.Failed, Meaning: "times that a capture could not begin"},
		{Name: "damaged", N: p.Damaged, Meaning: "packets in blocks of the ring that contradict themselves"},
	}
	v.Beside = append(v.Beside, p.Named()...)
}

func sinkOf(l *admin.Ledger, s *admin.Sink) sinkView {
	v := sinkView{Sink: s, ID: "sink-" + s.Name, State: "works", Well: true}
	switch {
	case s.Removed && s.Leaving:
		v.State = "removed by a reload, and delivers what it holds"
	case s.Removed:
		v.State = "removed by a reload; what it did stays in the account"
	case s.Leaving:
		v.State = "works; what it was before a reload delivers what it holds"
	}
	if s.Failing != nil {
		v.State, v.Well = "fails for "+span(l.Time.Sub(s.Failing.Since)), false
	}
	v.Account = sinkAccount(v.ID, s)
	return v
}

// Ago is how long ago something was, by the ledger.
func (v *view) Ago(t time.Time) string { return span(v.Time.Sub(t)) }

// A matrixRow is one count of each source.
type matrixRow struct {
	Name  string
	By    []uint64 // in the order of the sources
	Total uint64
}

// Matrix is the account of messages, source by source.
func (v *view) Matrix() []matrixRow {
	row := func(name string, of func(*admin.Messages) uint64) matrixRow {
		r := matrixRow{Name: name, Total: of(&v.Total)}
		for i := range v.Sources {
			r.By = append(r.By, of(&v.Sources[i].Messages))
		}
		return r
	}
	all := []matrixRow{
		row("read", func(m *admin.Messages) uint64 { return m.Read }),
		row("records", func(m *admin.Messages) uint64 { return m.Records }),
		row("paired", func(m *admin.Messages) uint64 { return m.Paired }),
		row("held", func(m *admin.Messages) uint64 { return m.Held }),
	}
	for _, r := range transform.Reasons() {
		all = append(all, row(r.String(), func(m *admin.Messages) uint64 { return m.Dropped[r.String()] }))
	}
	return all
}
