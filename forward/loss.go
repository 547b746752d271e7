package forward

import (
	"log/slog"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Loss is the reason why a sink lost a record. A lost record has exactly one.
type Loss uint8

const (
	TooBig Loss = iota
	QueueFull
	Failed
	Stopped
	SpoolFull
	SpoolExpired
	SpoolDamaged
	numLosses
)

// Losses lists every loss in order, for ledgers and documentation.
func Losses() []Loss {
	all := make([]Loss, numLosses)
	for i := range all {
		all[i] = Loss(i)
	}
	return all
}

// String returns the loss's name as ledgers, metrics and documentation show it.
func (l Loss) String() string {
	if l >= numLosses {
		return "unknown"
	}
	return losses[l].name
}

// Meaning returns one sentence for people.
func (l Loss) Meaning() string {
	if l >= numLosses {
		return ""
	}
	return losses[l].meaning
}

var losses = [numLosses]struct{ name, meaning string }{
	TooBig:    {"too_big", "larger than the message type can carry"},
	QueueFull: {"queue_full", "dropped, oldest first, because the sink's queue was full"},
	Failed:    {"failed", "an error of the socket, the file or standard output"},
	Stopped:   {"stopped", "not delivered in time when the sensor stopped"},

	SpoolFull:    {"spool_full", "dropped from the spool, oldest first, because it reached its size limit"},
	SpoolExpired: {"spool_expired", "dropped from the spool because it was older than the age limit"},
	SpoolDamaged: {"spool_damaged", "in a file of the spool that was damaged or of an unknown version, and was set aside"},
}

// LossCounts is the number of lost records by Loss.
type LossCounts [numLosses]uint64

// since returns what was lost since it was before, and the number of these records.
func (c LossCounts) since(before LossCounts) (lost LossCounts, records uint64) {
	for why, n := range before {
		lost[why] = c[why] - n
		records += lost[why]
	}
	return lost, records
}

// group returns a row for each loss.
func (c *LossCounts) group() transform.Group {
	g := transform.Group{Name: "lost", Metric: "sink_records_lost_total", Label: "loss", Meaning: "records that the sink lost, by the reason"}
	for _, l := range Losses() {
		g.Rows = append(g.Rows, transform.Row{Name: l.String(), Meaning: l.Meaning(), Value: c[l]})
	}
	return g
}

// LogValue returns the counts that are not zero.
func (c LossCounts) LogValue() slog.Value { return nonzero(c.group().Rows) }
