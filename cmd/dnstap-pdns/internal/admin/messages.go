package admin

import (
	"fmt"
	"maps"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Messages accounts for messages; see [transform.Counts].
type Messages struct {
	Read    uint64            `json:"read"`
	Records uint64            `json:"records"`
	Paired  uint64            `json:"paired"`
	Held    uint64            `json:"held"`
	Dropped map[string]uint64 `json:"dropped"` // by reason

	Scrubbed map[string]uint64 `json:"scrubbed"` // beside the sum: records that a rule changed or forbade
}

// MessagesOf returns the counts with their reasons' names.
func MessagesOf(c *transform.Counts) Messages {
	m := Messages{Read: c.Read, Records: c.Records, Paired: c.Paired, Held: c.Held, Dropped: map[string]uint64{}, Scrubbed: map[string]uint64{}}
	for _, r := range transform.Reasons() {
		m.Dropped[r.String()] = c.Dropped[r]
	}
	for _, r := range transform.Rules() {
		m.Scrubbed[r.String()] = c.Scrubbed[r]
	}
	return m
}

func (m *Messages) sum() uint64 { return m.Records + m.Paired + m.Held + Total(m.Dropped) }

// Total adds up counts by name, as those of what was dropped or lost.
func Total(counts map[string]uint64) uint64 {
	var sum uint64
	for n := range maps.Values(counts) {
		sum += n
	}
	return sum
}

// Imbalances returns what does not add up, a line for each: nothing, ever.
func (l *Ledger) Imbalances() []string {
	var all []string
	unlike := func(what string, has, wants uint64) {
		if has != wants {
			all = append(all, fmt.Sprintf("%s: %d are accounted for, of %d", what, has, wants))
		}
	}
	var read uint64
	for i := range l.Sources {
		s := &l.Sources[i]
		unlike(fmt.Sprintf("source %q", s.Name), s.sum(), s.Read)
		read += s.Read
	}
	unlike("messages", l.Total.sum(), l.Total.Read)
	unlike("messages of all sources", read, l.Total.Read)
	for i := range l.Sinks {
		s := &l.Sinks[i]
		unlike(fmt.Sprintf("sink %q", s.Name), s.sum(), s.Offered)
	}
	return all
}
