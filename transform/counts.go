package transform

// Counts accounts for messages: Read = Records + Paired + the sum of Dropped + Held,
// at every instant between two calls.
type Counts struct {
	Read    uint64 // messages, and frames or packets that should have been one
	Records uint64 // messages that became a record
	Paired  uint64 // queries whose response arrived, with or without a record
	Held    uint64 // queries that wait for their response
	Dropped [numReasons]uint64

	// Scrubbed counts, by rule, the records that the rule changed, and the messages whose
	// record it forbade: if several rules did, only the first that was found. It is not
	// part of the sum.
	Scrubbed [numRules]uint64
}

// Account returns the account of the messages.
func (c *Counts) Account() Account {
	a := Account{
		Whole: Row{"read", "messages_read_total", "DNS messages, and frames or packets that should have been one", Counter, c.Read},
		Parts: []Row{
			{"records", "records_total", "messages that became a record", Counter, c.Records},
			{"paired", "queries_paired_total", "queries that found their response", Counter, c.Paired},
			{"held", "queries_held", "queries that wait for their response", Gauge, c.Held},
		},
		Lost: Group{Name: "dropped", Metric: "messages_dropped_total", Label: "reason", Meaning: "messages that became no record, by the reason",
			Rows: make([]Row, 0, numReasons)},
	}
	for _, r := range Reasons() {
		a.Lost.Rows = append(a.Lost.Rows, Row{Name: r.String(), Meaning: r.Meaning(), Value: c.Dropped[r]})
	}
	return a
}

// Scrubbing returns a row of Scrubbed for each rule.
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
