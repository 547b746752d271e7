package admin

import (
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Sink is the account of the records that a sink was offered; see [forward.SinkLedger].
type Sink struct {
	Name     string `json:"name"`
	Target   string `json:"target"`         // as a URL, without the values of functions of the configuration
	From     string `json:"from,omitempty"` // the aggregate that feeds it with RRsets, which are its records
	Removed  bool   `json:"removed"`        // by a reload; its records stay in the account
	Draining bool   `json:"leaving"`        // a sink of this name that a reload removed or replaced still delivers its queue

	Offered   uint64            `json:"offered"`
	Resumed   uint64            `json:"resumed"`
	Delivered uint64            `json:"delivered"`
	Written   uint64            `json:"written"`
	Queued    uint64            `json:"queued"`
	Spooled   uint64            `json:"spooled"`
	Filtered  uint64            `json:"filtered"`
	Lost      map[string]uint64 `json:"lost"` // by loss

	FilteredBy map[string]uint64 `json:"filtered_by"` // by rule

	QueueBytes int64  `json:"queue_bytes"`
	QueueMax   int64  `json:"queue_max_bytes"`
	Containers uint64 `json:"containers"`
	Datagrams  uint64 `json:"datagrams"`
	Bytes      uint64 `json:"bytes"`

	OnRotate OnRotate      `json:"on_rotate"`
	Files    Files         `json:"files"`
	Network  NetworkErrors `json:"network_errors"`

	Spool       *Spool           `json:"spool,omitempty"`       // nil: there is none
	Peer        *Peer            `json:"peer,omitempty"`        // nil: the peer acknowledges nothing
	Buffered    *Buffered        `json:"buffered,omitempty"`    // nil: nothing is kept until the peer acknowledges it, or its volume is unknown
	Certificate *SinkCertificate `json:"certificate,omitempty"` // nil: there is none
	RRsets      *RRsets          `json:"rrsets,omitempty"`      // nil if the sink is not an aggregate

	Failing *Failing `json:"failing,omitempty"`
}

// OnRotate accounts for finished files; see [forward.CommandRuns].
type OnRotate struct {
	Done    uint64 `json:"done"`
	Failed  uint64 `json:"failed"`
	Skipped uint64 `json:"skipped"`
	Waiting uint64 `json:"waiting"`
}

// Files accounts for the files of a sink; see [forward.Files].
type Files struct {
	Retried uint64 `json:"retried"`
	Deleted uint64 `json:"deleted"`
}

// NetworkErrors counts errors that the network reported about datagrams; see
// [forward.NetworkErrors].
type NetworkErrors struct {
	Refused     uint64 `json:"refused"`
	Unreachable uint64 `json:"unreachable"`
	TooLarge    uint64 `json:"too_large"`
	Other       uint64 `json:"other"`
}

// Spool is the state of a sink's spool; see [forward.SpoolState].
type Spool struct {
	Bytes    uint64    `json:"bytes"`
	MaxBytes uint64    `json:"max_bytes"`
	Oldest   time.Time `json:"oldest,omitzero"`
	Full     bool      `json:"disk_full"`
	Damaged  uint64    `json:"damaged"`
}

// Peer is a peer that acknowledges what it has read.
type Peer struct {
	Acknowledged time.Time `json:"acknowledged,omitzero"` // when it did so last
}

// Buffered is what waits for an acknowledgement of the peer; see [forward.Buffered].
type Buffered struct {
	Bytes uint64 `json:"bytes"`
}

// SinkCertificate is the certificate that a sink shows to its peer.
type SinkCertificate struct {
	Expires time.Time `json:"expires"`
}

// Failing is the time since which a sink fails, and its latest error.
type Failing struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"`
}

// Account returns the account of the records. Losses that this version does not know are last.
func (s *Sink) Account() transform.Account {
	a := (&forward.SinkLedger{Offered: s.Offered, Resumed: s.Resumed, Delivered: s.Delivered, Written: s.Written, Queued: s.Queued,
		Spooled: s.Spooled}).Account()
	a.Parts = withValues(a.Parts, map[string]uint64{"filtered": s.Filtered})
	a.Lost.Rows = withValues(a.Lost.Rows, s.Lost)
	return a
}

// Filtering returns the filtered records by rule. Rules that this version does not know are last.
func (s *Sink) Filtering() transform.Group {
	g := new(forward.FilterCounts).Group()
	g.Rows = withValues(g.Rows, s.FilteredBy)
	return g
}

// Rows returns the sink's counts that are not part of the sum.
func (s *Sink) Rows() []transform.Row {
	l := forward.SinkLedger{QueueBytes: s.QueueBytes, QueueMax: s.QueueMax, OnRotate: forward.CommandRuns(s.OnRotate), Files: forward.Files(s.Files),
		Network: forward.NetworkErrors(s.Network), Sent: forward.Sent{Containers: s.Containers, Datagrams: s.Datagrams, Bytes: s.Bytes}}
	rows := slices.Concat(l.Rows(), prefixed("on_rotate_", l.OnRotate.Rows()), prefixed("files_", l.Files.Rows()),
		prefixed("network_errors_", l.Network.Rows()))
	if s.Spool != nil {
		rows = append(rows, prefixed("spool_", (*forward.SpoolState)(s.Spool).Rows())...)
	}
	if s.Buffered != nil {
		rows = append(rows, (*forward.Buffered)(s.Buffered).Rows()...)
	}
	if s.RRsets != nil {
		rows = slices.Concat(rows, prefixed("rrsets_", s.RRsets.Rows()), prefixed("rrsets_withheld_", s.RRsets.ByReason().Rows))
	}
	return rows
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
		Target:     l.Target,
		From:       l.From,
		Removed:    l.Removed,
		Draining:   l.Draining,
		Offered:    l.Offered,
		Resumed:    l.Resumed,
		Delivered:  l.Delivered,
		Written:    l.Written,
		Queued:     l.Queued,
		Spooled:    l.Spooled,
		Filtered:   l.Filtered.Sum(),
		FilteredBy: byName(l.Filtered.Group().Rows),
		Lost:       byName(l.Account().Lost.Rows),
		QueueBytes: l.QueueBytes,
		QueueMax:   l.QueueMax,
		Containers: l.Sent.Containers,
		Datagrams:  l.Sent.Datagrams,
		Bytes:      l.Sent.Bytes,
		OnRotate:   OnRotate(l.OnRotate),
		Files:      Files(l.Files),
		Network:    NetworkErrors(l.Network),
	}
	if l.Spool != nil {
		spool := Spool(*l.Spool)
		spool.Oldest = spool.Oldest.UTC()
		s.Spool = &spool
	}
	if l.Peer != nil {
		s.Peer = &Peer{l.Peer.Last.UTC()}
	}
	if l.Buffered != nil {
		s.Buffered = &Buffered{l.Buffered.Bytes}
	}
	if !l.Expires.IsZero() {
		s.Certificate = &SinkCertificate{l.Expires.UTC()}
	}
	if l.RRsets != nil {
		s.RRsets = rrsetsOf(l.RRsets)
	}
	if !l.FailingSince.IsZero() {
		s.Failing = &Failing{Since: l.FailingSince.UTC(), Error: oneLine(l.Error)}
	}
	return s
}
