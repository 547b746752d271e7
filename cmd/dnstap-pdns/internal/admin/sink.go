package admin

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Sink is the account of the records that a sink was offered; see [forward.SinkLedger].
type Sink struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed"` // by a reload; its records stay in the account
	Leaving bool   `json:"leaving"` // a sink of this name that a reload removed or replaced still delivers its queue

	Offered   uint64            `json:"offered"`
	Delivered uint64            `json:"delivered"`
	Queued    uint64            `json:"queued"`
	Filtered  uint64            `json:"filtered"`
	Lost      map[string]uint64 `json:"lost"` // by loss

	QueueBytes int64  `json:"queue_bytes"`
	QueueMax   int64  `json:"queue_max_bytes"`
	Containers uint64 `json:"containers"`
	Datagrams  uint64 `json:"datagrams"`
	Bytes      uint64 `json:"bytes"`

	OnRotate OnRotate `json:"on_rotate"`
	Failing  *Failing `json:"failing,omitempty"`
}

// OnRotate accounts for finished files; see [forward.Kicks].
type OnRotate struct {
	Done    uint64 `json:"done"`
	Failed  uint64 `json:"failed"`
	Skipped uint64 `json:"skipped"`
	Waiting uint64 `json:"waiting"`
}

// Failing is the time since which a sink fails, and its latest error.
type Failing struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"`
}

// Account returns the account of the records. Losses that this version does not know are last.
func (s *Sink) Account() transform.Account {
	a := (&forward.SinkLedger{Offered: s.Offered, Delivered: s.Delivered, Queued: s.Queued, Filtered: s.Filtered}).Account()
	a.Lost.Rows = withValues(a.Lost.Rows, s.Lost)
	return a
}

// Rows returns the sink's counts that are not part of the sum.
func (s *Sink) Rows() []transform.Row {
	l := forward.SinkLedger{QueueBytes: s.QueueBytes, QueueMax: s.QueueMax, OnRotate: forward.Kicks(s.OnRotate),
		Sent: forward.Sent{Containers: s.Containers, Datagrams: s.Datagrams, Bytes: s.Bytes}}
	return append(l.Rows(), prefixed("on_rotate_", l.OnRotate.Rows())...)
}

func sinksOf(ledgers []forward.SinkLedger) []Sink {
	all := []Sink{}
	for i := range ledgers {
		all = append(all, SinkOf(&ledgers[i]))
	}
	return all
}

// SinkOf returns the account of a sink in the form of /ledger.
func SinkOf(l *forward.SinkLedger) Sink {
	s := Sink{
		Name:       l.Name,
		Removed:    l.Removed,
		Leaving:    l.Leaving,
		Offered:    l.Offered,
		Delivered:  l.Delivered,
		Queued:     l.Queued,
		Filtered:   l.Filtered,
		Lost:       byName(l.Account().Lost.Rows),
		QueueBytes: l.QueueBytes,
		QueueMax:   l.QueueMax,
		Containers: l.Sent.Containers,
		Datagrams:  l.Sent.Datagrams,
		Bytes:      l.Sent.Bytes,
		OnRotate:   OnRotate(l.OnRotate),
	}
	if !l.FailingSince.IsZero() {
		s.Failing = &Failing{Since: l.FailingSince.UTC(), Error: oneLine(l.Error)}
	}
	return s
}
