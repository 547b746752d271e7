package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Ledger is the account of a running sensor, and what else an operator must know. As JSON it is what /ledger answers: the names below are stable, others may be
// added. Times are RFC 3339 in UTC, and are left out where there is nothing to tell.
//
//	{
//	  "time", "version", "go_version", "started",
//	  "reload":   {"ok", "time", "in_force_since", "error", "advice"},
//	  "total":    {"read", "records", "paired", "held", "dropped": {REASON: n}, "scrubbed": {RULE: n}},
//	  "sources":  [{"name", "kind": "dnstap" | "pcap" | "removed",
//	                and as in total, "lanes", "last_outward", "message_clock", "resolver_known",
//	                "dnstap": {"open", "accepted", "refused", "displaced", "accept_errors", "handshakes_failed", "broken",
//	                           "certificate": {"expires", "problem"},
//	                           "connections": [{"number", "uid", "pid", "client", "since", "identity", "version",
//	                                            "bidirectional", "frames", "outward", "remedy": {"sender", "advice"}}]},
//	                "pcap":   {"stands_in", "capturing", "captures", "broken", "failed", "damaged",
//	                           "interfaces": [{"name", "up", "received", "dropped"}], "counts": {COUNT: n}}}],
//	  "sinks":    [{"name", "removed", "leaving", "offered", "delivered", "queued", "filtered", "lost": {LOSS: n},
//	                "queue_bytes", "queue_max_bytes", "containers", "datagrams", "bytes",
//	                "on_rotate": {"done", "failed", "skipped", "waiting"}, "failing": {"since", "error"}}],
//	  "pairing":  {"used", "max"},
//	  "resolvers_configured",
//	  "resolver": {"known", "public", "full"}
//	}
//
// In total and in each source, read = records + paired + held + the sum of dropped;
// in each sink, offered = delivered + queued + filtered + the sum of lost. The sources
// add up to the total. Scrubbed is not part of a sum: it counts the records that a RULE
// changed, one of them under several rules perhaps, and the messages of which it forbade
// a record. Every REASON, RULE, LOSS and COUNT is present, also if zero. The rows of the
// counters in transform, forward, collector and fallback/pcap explain them.
type Ledger struct {
	Time      time.Time `json:"time"` // of all that follows
	Version   string    `json:"version"`
	GoVersion string    `json:"go_version"`
	Started   time.Time `json:"started"`
	Reload    Reload    `json:"reload"`

	Total   Messages `json:"total"`   // of all sources
	Sources []Source `json:"sources"` // dnstap, then packets, as configured; then those that a reload removed
	Sinks   []Sink   `json:"sinks"`   // as configured; then those that a reload removed
	Pairing Pairing  `json:"pairing"`

	// The configuration names addresses of the resolver's, which messages need not tell
	// then.
	ResolversConfigured bool `json:"resolvers_configured"`

	Resolver *Resolver `json:"resolver,omitempty"` // nil: the sensor is of a version without it
}

// Resolver is how far the resolver's own addresses are known.
type Resolver struct {
	Known  int  `json:"known"`  // addresses that messages contained
	Public bool `json:"public"` // one of these or of the configured ones is public
	Full   bool `json:"full"`   // the oldest are forgotten
}

// Reload is how the latest reload went, or the start where there was none: one that
// failed, until what it was to bring is in force.
type Reload struct {
	OK           bool      `json:"ok"`
	Time         time.Time `json:"time"`
	InForceSince time.Time `json:"in_force_since"` // of the configuration
	Error        string    `json:"error,omitempty"`
	Advice       string    `json:"advice,omitempty"` // what to do about it
}

// Pairing is the table of queries that wait for their response.
type Pairing struct {
	Used int64 `json:"used"` // room, in queries: one with a long name takes that of several
	Max  int64 `json:"max"`
}

// Messages accounts for messages; see [transform.Counts].
type Messages struct {
	Read    uint64            `json:"read"`
	Records uint64            `json:"records"`
	Paired  uint64            `json:"paired"`
	Held    uint64            `json:"held"`
	Dropped map[string]uint64 `json:"dropped"` // by reason

	Scrubbed map[string]uint64 `json:"scrubbed"` // by rule
}

// MessagesOf returns the counts by name.
func MessagesOf(c *transform.Counts) Messages {
	return Messages{Read: c.Read, Records: c.Records, Paired: c.Paired, Held: c.Held,
		Dropped: byName(c.Account().Lost.Rows), Scrubbed: byName(c.Scrubbing().Rows)}
}

// Account returns the account of the messages. Reasons that this version does not know
// come last.
func (m *Messages) Account() transform.Account {
	a := (&transform.Counts{Read: m.Read, Records: m.Records, Paired: m.Paired, Held: m.Held}).Account()
	a.Lost.Rows = withValues(a.Lost.Rows, m.Dropped)
	return a
}

// Scrubbing returns what the rules did. Rules that this version does not know come last.
func (m *Messages) Scrubbing() transform.Group {
	g := new(transform.Counts).Scrubbing()
	g.Rows = withValues(g.Rows, m.Scrubbed)
	return g
}

// byName returns the values of rows by their names.
func byName(rows []transform.Row) map[string]uint64 {
	values := map[string]uint64{}
	for i := range rows {
		values[rows[i].Name] = rows[i].Value
	}
	return values
}

// withValues sets the values of rows. Values of other names, which a sensor of another
// version has, become rows without a meaning at the end.
func withValues(rows []transform.Row, values map[string]uint64) []transform.Row {
	left := maps.Clone(values)
	for i := range rows {
		rows[i].Value = left[rows[i].Name]
		delete(left, rows[i].Name)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		rows = append(rows, transform.Row{Name: name, Value: left[name]})
	}
	return rows
}

// prefixed adds a prefix to the rows' names.
func prefixed(prefix string, rows []transform.Row) []transform.Row {
	for i := range rows {
		rows[i].Name = prefix + rows[i].Name
	}
	return rows
}

// Imbalances returns what does not add up, a line for each; none unless there is a defect.
func (l *Ledger) Imbalances() []string {
	var all []string
	check := func(what string, sum, whole uint64) {
		if sum != whole {
			all = append(all, fmt.Sprintf("%s: %d are accounted for, of %d", what, sum, whole))
		}
	}
	var read uint64
	for i := range l.Sources {
		a := l.Sources[i].Account()
		check(fmt.Sprintf("source %q", l.Sources[i].Name), a.Sum(), a.Whole.Value)
		read += a.Whole.Value
	}
	total := l.Total.Account()
	check("messages", total.Sum(), total.Whole.Value)
	check("messages of all sources", read, total.Whole.Value)
	for i := range l.Sinks {
		a := l.Sinks[i].Account()
		check(fmt.Sprintf("sink %q", l.Sinks[i].Name), a.Sum(), a.Whole.Value)
	}
	return all
}

// A View is what makes ledgers.
type View struct {
	Version, GoVersion string
	Started            time.Time

	State   func() sensor.State
	Reload  func() Reload
	Domains func(n int) []transform.DomainCount // that were dropped most
}

// Ledger returns the ledger as of now.
func (v *View) Ledger() Ledger {
	state := v.State()
	return Ledger{
		Time:      time.Now().UTC(),
		Version:   v.Version,
		GoVersion: v.GoVersion,
		Started:   v.Started.UTC(),
		Reload:    v.Reload().shown(),

		Total:   MessagesOf(&state.Ledger.Total),
		Sources: sourcesOf(&state),
		Sinks:   sinksOf(state.Ledger.Sinks),
		Pairing: Pairing{Used: state.QueryRoom, Max: state.QueryRoomMax},

		ResolversConfigured: state.ResolversConfigured,
		Resolver:            resolverOf(state.Ledger.Resolver),
	}
}

func resolverOf(l forward.ResolverLedger) *Resolver {
	shown := Resolver(l)
	return &shown
}

// shown is r as everything is shown: in UTC, and an error in one line.
func (r Reload) shown() Reload {
	r.Time, r.InForceSince, r.Error = r.Time.UTC(), r.InForceSince.UTC(), oneLine(r.Error)
	return r
}

// oneLine is an error that may be several.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }
