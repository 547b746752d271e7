package transform

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
func (g Group) Sum() uint64 {
	var sum uint64
	for i := range g.Rows {
		sum += g.Rows[i].Value
	}
	return sum
}

// Account is a number with its parts: Whole is the sum of Parts and Lost at every instant
// (docs/operating.md, "The ledger").
type Account struct {
	Whole Row
	Parts []Row
	Lost  Group
}

// Sum returns the sum of the parts, which Whole.Value must equal.
func (a Account) Sum() uint64 {
	sum := a.Lost.Sum()
	for i := range a.Parts {
		sum += a.Parts[i].Value
	}
	return sum
}

// Shown returns Whole and Parts as texts show them: without gauges that are zero.
func (a Account) Shown() []Row {
	rows := []Row{a.Whole}
	for _, r := range a.Parts {
		if r.Kind == Counter || r.Value > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}
