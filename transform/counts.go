package transform

// Counts accounts for messages: Read = Records + Paired + the sum of Dropped + Held,
// at every instant between two calls.
type Counts struct {
	Read    uint64 // messages, and frames or packets that should have been one
	Records uint64 // messages that became a record
	Paired  uint64 // queries whose response arrived, with or without a record
	Held    uint64 // queries that wait for their response, and response packets that wait for their query
	Dropped ReasonCounts

	// Scrubbed counts, by rule, the records that the rule changed, and the messages whose
	// record it forbade: if several rules did, only the first that was found. It is not
	// part of the sum.
	Scrubbed [numRules]uint64
}

// ReasonCounts are numbers of messages or RRsets by Reason.
type ReasonCounts [numReasons]uint64

// Account returns the account of the messages.
func (c *Counts) Account() Account {
	a := Account{
		Whole: []Row{{"read", "messages_read_total", "DNS messages, and frames or packets that should have been one", Counter, c.Read}},
		Parts: []Row{
			{"records", "records_total", "messages that became a record", Counter, c.Records},
			{"paired", "queries_paired_total", "queries that found their response", Counter, c.Paired},
			{"held", "queries_held", "queries that wait for their response, and response packets that wait for their query", Gauge, c.Held},
		},
		Lost: Group{Name: "dropped", Metric: "messages_dropped_total", Label: "reason", Meaning: "messages that became no record, by the reason",
			Rows: make([]Row, 0, numReasons)},
	}
	for _, r := range Reasons() {
		a.Lost.Rows = append(a.Lost.Rows, Row{Name: r.String(), Meaning: r.Meaning(), Value: c.Dropped[r]})
	}
	return a
}

// Scrubbing returns the counts of Scrubbed, a row for each rule.
func (c *Counts) Scrubbing() Group {
	g := Group{Name: "scrubbed", Metric: "scrubbed_total", Label: "rule",
		Meaning: "records that scrubbing changed, each under every rule that did, and messages that it forbade a record of, under the first",
		Rows:    make([]Row, 0, numRules)}
	for _, r := range Rules() {
		g.Rows = append(g.Rows, Row{Name: r.String(), Meaning: r.Meaning(), Value: c.Scrubbed[r]})
	}
	return g
}

// Add adds the counts of o to c.
func (c *Counts) Add(o *Counts) {
	c.Read += o.Read
	c.Records += o.Records
	c.Paired += o.Paired
	c.Held += o.Held
	for r := range o.Dropped {
		c.Dropped[r] += o.Dropped[r]
	}
	for r := range o.Scrubbed {
		c.Scrubbed[r] += o.Scrubbed[r]
	}
}

// Sum returns the sum that Read must equal.
func (c *Counts) Sum() uint64 {
	sum := c.Records + c.Paired + c.Held
	for _, n := range c.Dropped {
		sum += n
	}
	return sum
}

// Kind says how the value of a [Row] changes.
type Kind uint8

// Kinds of rows.
const (
	Counter Kind = iota // never decreases while the sensor runs
	Gauge               // the value as of now
)

// Row is one number of the sensor with its explanation. /ledger, status, explain, the
// page, the closing log line, /metrics and the documentation are made from rows, so
// that a count is named and explained once, next to the counter.
type Row struct {
	Name    string // in /ledger, status and logs; stable
	Metric  string // in /metrics, without the namespace; empty: not there
	Meaning string // a phrase for people: what is counted
	Kind    Kind
	Value   uint64
}

// Group is the rows of one metric, which has a label whose values are the rows' names.
type Group struct {
	Name    string // in /ledger, status and logs
	Metric  string // in /metrics, without the namespace; the rows have none
	Label   string
	Meaning string
	Rows    []Row
}

// Sum returns the sum of the rows' values.
func (g Group) Sum() uint64 { return sumOf(g.Rows) }

// Account is a number with its parts: the sum of Whole is the sum of Parts and Lost at every
// instant (docs/operating.md, "The ledger").
type Account struct {
	Whole []Row // the number first; then what is added to it
	Parts []Row
	Lost  Group
}

// Sum returns the sum of the parts, which Total must equal.
func (a Account) Sum() uint64 { return a.Lost.Sum() + sumOf(a.Parts) }

// Total returns the sum of Whole.
func (a Account) Total() uint64 { return sumOf(a.Whole) }

func sumOf(rows []Row) uint64 {
	var sum uint64
	for i := range rows {
		sum += rows[i].Value
	}
	return sum
}

// ShownRows returns Whole and Parts as texts show them: without additions and gauges that are
// zero.
func (a Account) ShownRows() []Row {
	rows := []Row{a.Whole[0]}
	for _, r := range a.Whole[1:] {
		if r.Value > 0 {
			rows = append(rows, r)
		}
	}
	for _, r := range a.Parts {
		if r.Kind == Counter || r.Value > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}
