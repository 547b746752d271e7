package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Ledger is the account of a running sensor, and its state for operators. As JSON it is the
// response of /ledger: the names below are stable, others may be added. Times are RFC 3339 in
// UTC; unknown times are absent.
//
//	{
//	  "time", "version", "go_version", "started",
//	  "reload":   {"ok", "time", "in_force_since", "error", "advice"},
//	  "total":    {"read", "records", "paired", "held", "dropped": {REASON: n}, "scrubbed": {RULE: n}},
//	  "sources":  [{"name", "kind": "dnstap" | "pcap" | "kafka" | "removed",
//	                the names of total, "lanes", "last_outward", "message_clock", "resolver_known",
//	                "dnstap": {"open", "accepted", "refused", "displaced", "accept_errors", "handshakes_failed", "broken", "sockets_restored",
//	                           "problem": {"says", "advice"}, "handshake_failure": {"time", "error"}, "certificate": {"expires", "problem"},
//	                           "connections": [{"number", "uid", "pid", "client", "since", "identity", "version",
//	                                            "bidirectional", "frames", "outward", "remedy": {"sender", "advice"}}]},
//	                "pcap":   {"stands_in", "capturing", "captures", "broken", "failed", "damaged",
//	                           "interfaces": [{"name", "up", "received", "dropped"}], "counts": {COUNT: n}},
//	                "kafka":  {"containers", "bytes", "not_nmsg", "repeated", "commits", "failures", "out_of_range", "rebalances", "partitions", "lag",
//	                           "last_commit", "uncommitted_since", "commit_interval_seconds", "failing": {"since", "error"}}}],
//	  "sinks":    [{"name", "removed", "leaving", "offered", "resumed", "delivered", "written", "queued", "spooled", "filtered",
//	                "lost": {LOSS: n}, "filtered_by": {FILTER: n}, "queue_bytes", "queue_max_bytes", "containers", "datagrams", "bytes",
//	                "spool": {"bytes", "max_bytes", "oldest", "disk_full", "damaged"}, "peer": {"acknowledged"}, "buffered": {"bytes"}, "certificate": {"expires"},
//	                "rrsets": {"outcomes": {OUTCOME: n}, "held", "received", "refused", "emitted", "evicted", "lost", "withheld": {REASON: n},
//	                           "unreleased", "entries", "bytes", "waiting", "full_domains", "save_failures", "saved"},
//	                "on_rotate": {"done", "failed", "skipped", "waiting"}, "files": {"retried", "deleted"}, "failing": {"since", "error"}}],
//	  "pairing":  {"used", "max"},
//	  "resolvers_configured",
//	  "resolver": {"known", "public", "full"},
//	  "config_warnings": [{"name", "problem", "advice"}]
//	}
//
// In total and in each source, read = records + paired + held + the sum of dropped; in each
// sink, offered + resumed = delivered + written + queued + spooled + filtered + the sum of lost. The
// sources add up to the total. Scrubbed is not part of a sum: a RULE counts the records that it changed, which other
// rules may have changed too, or the messages whose record it forbade. Every REASON, RULE, LOSS,
// FILTER, OUTCOME and COUNT is present, also if zero. The rows of the counters in transform, forward, collector,
// collector/kafka and fallback/pcap explain them.
type Ledger struct {
	Time      time.Time `json:"time"` // of the other fields
	Version   string    `json:"version"`
	GoVersion string    `json:"go_version"`
	Started   time.Time `json:"started"`
	Reload    Reload    `json:"reload"`

	Total   Messages `json:"total"`   // of all sources
	Sources []Source `json:"sources"` // dnstap, then packets, then Kafka, as configured; then those that a reload removed
	Sinks   []Sink   `json:"sinks"`   // as configured; then those that a reload removed
	Pairing Pairing  `json:"pairing"`

	// ResolversConfigured: the configuration names addresses of the resolver.
	ResolversConfigured bool `json:"resolvers_configured"`

	Resolver *Resolver `json:"resolver,omitempty"` // nil if the sensor's version does not report it

	ConfigWarnings []ConfigWarning `json:"config_warnings"` // about the configuration in force
}

// ConfigWarning is a warning of [conf.File.Warnings].
type ConfigWarning struct {
	Name    string `json:"name"` // one of [conf.WarningNames]
	Problem string `json:"problem"`
	Advice  string `json:"advice"`
}

// Resolver reports how many of the resolver's addresses are known.
type Resolver struct {
	Known  int  `json:"known"`  // addresses that messages contained
	Public bool `json:"public"` // one of these, or a configured address, is public
	Full   bool `json:"full"`   // the table is full, and the oldest are dropped
}

// Reload is the result of the latest reload, or of the start if there was none. A failed reload
// stays the latest until its configuration is in force.
type Reload struct {
	OK           bool      `json:"ok"`
	Time         time.Time `json:"time"`
	InForceSince time.Time `json:"in_force_since"` // of the configuration
	Error        string    `json:"error,omitempty"`
	Advice       string    `json:"advice,omitempty"` // what to do about the error
}

// Pairing is the use of the table of pending queries.
type Pairing struct {
	Used int64 `json:"used"` // room, in queries; a query with a long name takes the room of several
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

// Account returns the account of the messages. Reasons that this version does not know are last.
func (m *Messages) Account() transform.Account {
	a := (&transform.Counts{Read: m.Read, Records: m.Records, Paired: m.Paired, Held: m.Held}).Account()
	a.Lost.Rows = withValues(a.Lost.Rows, m.Dropped)
	return a
}

// counts returns the counts of the reasons that this version knows.
func (m *Messages) counts() *transform.Counts {
	c := &transform.Counts{Read: m.Read, Records: m.Records, Paired: m.Paired, Held: m.Held}
	for _, r := range transform.Reasons() {
		c.Dropped[r] = m.Dropped[r.String()]
	}
	return c
}

// Scrubbing returns the counts of the rules. Rules that this version does not know are last.
func (m *Messages) Scrubbing() transform.Group {
	g := new(transform.Counts).Scrubbing()
	g.Rows = withValues(g.Rows, m.Scrubbed)
	return g
}

// byName returns the values of rows by name.
func byName(rows []transform.Row) map[string]uint64 {
	values := map[string]uint64{}
	for i := range rows {
		values[rows[i].Name] = rows[i].Value
	}
	return values
}

// withValues sets the values of rows by name. Values of unknown names, from a sensor of another
// version, become rows without a meaning at the end.
func withValues(rows []transform.Row, values map[string]uint64) []transform.Row {
	known := len(rows)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if i := slices.IndexFunc(rows[:known], func(r transform.Row) bool { return r.Name == name }); i >= 0 {
			rows[i].Value = values[name]
		} else {
			rows = append(rows, transform.Row{Name: name, Value: values[name]})
		}
	}
	return rows
}

// prefixed adds a prefix to the names of rows, and returns rows.
func prefixed(prefix string, rows []transform.Row) []transform.Row {
	for i := range rows {
		rows[i].Name = prefix + rows[i].Name
	}
	return rows
}

// Imbalances returns a line for each account that does not add up. There is none unless the
// sensor has a defect.
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
		check(fmt.Sprintf("source %q", l.Sources[i].Name), a.Sum(), a.Total())
		read += a.Total()
	}
	total := l.Total.Account()
	check("messages", total.Sum(), total.Total())
	check("messages of all sources", read, total.Total())
	for i := range l.Sinks {
		a := l.Sinks[i].Account()
		check(fmt.Sprintf("sink %q", l.Sinks[i].Name), a.Sum(), a.Total())
	}
	return all
}

// A View makes ledgers.
type View struct {
	Version, GoVersion string
	Started            time.Time

	State    func() sensor.State
	Reload   func() Reload
	Warnings func() []conf.Warning               // about the configuration in force
	Domains  func(n int) []transform.DomainCount // domains with the most drops
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
		ConfigWarnings:      configWarningsOf(v.Warnings()),
	}
}

func configWarningsOf(warnings []conf.Warning) []ConfigWarning {
	shown := []ConfigWarning{}
	for _, w := range warnings {
		shown = append(shown, ConfigWarning{w.Name, w.Problem, w.Advice})
	}
	return shown
}

func resolverOf(l forward.ResolverLedger) *Resolver {
	shown := Resolver(l)
	return &shown
}

// shown returns r with times in UTC and the error in one line.
func (r Reload) shown() Reload {
	r.Time, r.InForceSince, r.Error = r.Time.UTC(), r.InForceSince.UTC(), oneLine(r.Error)
	return r
}

// oneLine joins the lines of an error.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }
