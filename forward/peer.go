package forward

import (
	"sync/atomic"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An Acknowledger is a transport whose peer acknowledges what it has read. Acknowledged returns
// when it did so last; zero: not yet. Any goroutine may call it.
type Acknowledger interface{ Acknowledged() time.Time }

// An Expirer is a transport with a certificate that expires. Expires returns when; zero: it has
// none. Any goroutine may call it.
type Expirer interface{ Expires() time.Time }

// A Bufferer is a transport that keeps what it has sent until the peer acknowledges it. Buffered
// returns its volume; nil: a transport that this one wraps keeps nothing. Any goroutine may call
// it.
type Bufferer interface{ Buffered() *Buffered }

// Buffered is the volume that waits for an acknowledgement of the peer.
type Buffered struct{ Bytes uint64 }

// Rows returns a row for the volume.
func (b *Buffered) Rows() []transform.Row {
	return []transform.Row{
		{Name: "buffered_bytes", Metric: "sink_buffered_bytes", Meaning: "bytes that were given to the client of the peer and wait for its acknowledgement", Kind: transform.Gauge, Value: b.Bytes},
	}
}

// An AtomicTime is a time, to the microsecond, that several goroutines read and set. The zero value
// is the zero time.
type AtomicTime struct{ micros atomic.Int64 } // since the Unix epoch; 0: the zero time

// Load returns the time.
func (t *AtomicTime) Load() time.Time {
	n := t.micros.Load()
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n)
}

// Store sets the time.
func (t *AtomicTime) Store(at time.Time) {
	var n int64
	if !at.IsZero() {
		n = at.UnixMicro()
	}
	t.micros.Store(n)
}

// A Spooler is a transport with a spool. Spool returns its state. Any goroutine may call it.
type Spooler interface{ Spool() SpoolState }

// SpoolState is the state of a spool on disk.
type SpoolState struct {
	Bytes    uint64
	MaxBytes uint64
	Oldest   time.Time // when the oldest container entered; zero: it is empty
	Full     bool      // the disk is full: records wait in memory
	Damaged  uint64    // files that were set aside, since the transport was opened
}

// Rows returns a row for each number.
func (s *SpoolState) Rows() []transform.Row {
	var full uint64
	if s.Full {
		full = 1
	}
	return []transform.Row{
		{Name: "bytes", Metric: "sink_spool_bytes", Meaning: "bytes in the spool", Kind: transform.Gauge, Value: s.Bytes},
		{Name: "max_bytes", Metric: "sink_spool_limit_bytes", Meaning: "bytes that may be in the spool before the oldest records are dropped", Kind: transform.Gauge, Value: s.MaxBytes},
		{Name: "disk_full", Metric: "sink_spool_disk_full", Meaning: "whether the disk is full, so that records wait in memory", Kind: transform.Gauge, Value: full},
		{Name: "damaged", Metric: "sink_spool_damaged_files_total", Meaning: "files of the spool that were set aside because they were damaged or of an unknown version", Value: s.Damaged},
	}
}

// stateOf adds to the sink's ledger what the transport knows about its peer, its certificate, its
// buffer and its spool.
func (s *sender) stateOf(l *SinkLedger) {
	if a, ok := s.transport.(Acknowledger); ok {
		l.Peer = &Acknowledgement{a.Acknowledged()}
	}
	if e, ok := s.transport.(Expirer); ok {
		l.Expires = e.Expires()
	}
	if b, ok := s.transport.(Bufferer); ok {
		l.Buffered = b.Buffered()
	}
	if p, ok := s.transport.(Spooler); ok {
		state := p.Spool()
		l.Spool = &state
	}
}
