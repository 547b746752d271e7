package transform

// Counts accounts for messages: Read = Records + Paired + the sum of Dropped + Held,
// at every instant between two calls.
type Counts struct {
	Read    uint64 // messages, and frames or packets that should have been one
	Records uint64 // messages that became a record
	Paired  uint64 // queries that found their response, whatever became of it
	Held    uint64 // queries that wait for their response
	Dropped [numReasons]uint64

	// Scrubbed is how many records a rule changed, or forbade: of those that would
	// have, the first that was found. It is beside the sum.
	Scrubbed [numRules]uint64
}

// Add adds another's counts to c.
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

// Sum is what Read must equal.
func (c *Counts) Sum() uint64 {
	sum := c.Records + c.Paired + c.Held
	for _, n := range c.Dropped {
		sum += n
	}
	return sum
}
