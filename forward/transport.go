package forward

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A TransportConfig is the configuration of one kind of transport, and makes it. Its
// fields are data only: two of them are compared with reflect.DeepEqual.
type TransportConfig interface {
	// New returns the transport of the sink that c describes. It opens nothing.
	New(c *SinkConfig, env Env) (Transport, error)
}

// Env is what a Forwarder gives to its transports.
type Env struct {
	Mode   Mode
	Log    *slog.Logger // with the sink's name
	Stdout io.Writer    // several transports may write to it at once; nil: there is none
	Settle Settle
}

// A Transport takes batches to their target. Only one goroutine calls it, and
// all calls have the same context. When that ends, a call returns soon.
// A transport may have optional methods: see [CommandRunner], [Divider] and [Pacer].
type Transport interface {
	// Open prepares the transport. It is called at the start, and before the Send that
	// follows an error.
	Open(ctx context.Context) error

	// Send sends the units of bs, in order, from unit number from of the first batch.
	// It borrows bs until it returns. It may return without an error before the last
	// unit: the sink calls it again with the rest. After an error the sink tries the
	// rest again, unless the error is a [BrokenError].
	Send(ctx context.Context, bs []*Batch, from int) (Result, error)

	// Rest does what is due while there is nothing to send, and returns the time at
	// which it should be called again if nothing was sent until then; the zero time:
	// never. A [TroubleError] is about what was sent before and is not sent again.
	Rest(ctx context.Context) (next time.Time, err error)

	// Close releases what the transport holds, and ends its goroutines; when ctx ends,
	// at once. An error says what was delivered and may be incomplete.
	Close(ctx context.Context) error
}

// A CommandRunner is a transport that runs a command for each file that it finishes. CommandRuns
// returns what became of these. Any goroutine may call it.
type CommandRunner interface{ CommandRuns() CommandRuns }

// A Divider is a transport that sends records of different times to different
// places. Divides reports whether it does so with two records of these times; lanes
// then put them into different batches. Lanes ask in Replay only, and at once.
type Divider interface {
	Divides(a, b transform.Time) bool
}

// A Pacer is a transport whose Send waits by design. MayTake returns how long, at most,
// a Send of these batches waits.
type Pacer interface {
	MayTake(bs []*Batch) time.Duration
}

// A Result is what became of units. The zero Result: the transport is done with none.
type Result struct {
	Units     int         // that the transport is done with
	Delivered uint64      // records in them
	Tentative StateCounts // records in them, which Settle moves later
	Lost      LossCounts  // records in them
	Sent      Sent        // what the transport took
	Trouble   error       // why records were lost although Send had no error; nil: none were
}

// Deliver counts the units of b, from number from on, that are whole in the first n
// bytes of them.
func (r *Result) Deliver(b *Batch, from, n int) {
	start := b.Start(from)
	for _, u := range b.Units[from:] {
		if u.End-start > n {
			return
		}
		r.Units++
		r.Delivered += uint64(u.Records)
		r.Sent.Containers++
		r.Sent.Bytes += uint64(u.End - b.Start(from))
		from++
	}
}

// Lose counts unit i of b as lost.
func (r *Result) Lose(b *Batch, i int, why Loss) {
	r.Units++
	r.Lost[why] += uint64(b.Units[i].Records)
	b.Units[i].lost = true
}

// Sent is what a sink's transports took.
type Sent struct {
	Containers uint64
	Datagrams  uint64 // UDP; fragments count one by one
	Bytes      uint64
}

func (s *Sent) add(o *Sent) {
	s.Containers += o.Containers
	s.Datagrams += o.Datagrams
	s.Bytes += o.Bytes
}

// A State is where tentative records are: a transport is done with them, but they are
// neither delivered nor lost yet.
type State uint8

const (
	Written   State = iota // in a file that is not complete
	Spooled                // in a spool
	numStates              // how many there are
)

// StateCounts are records by the state that they are in.
type StateCounts [numStates]uint64

// A Fate is what tentative records become. The zero Fate: delivered.
type Fate struct {
	Lost bool
	Why  Loss // where they are lost
}

// Settle moves tentative records of a sink from a state to their fate. Any goroutine
// may call it.
type Settle func(from State, records uint64, to Fate)

// A BrokenError ends a transport for good: trying again is useless.
type BrokenError struct{ Err error }

// Error returns the text of the error inside.
func (e BrokenError) Error() string { return e.Err.Error() }

// Unwrap returns the error inside.
func (e BrokenError) Unwrap() error { return e.Err }

// A TroubleError is the reason why records that were counted as delivered may not
// have arrived.
type TroubleError struct{ Err error }

// Error returns the text of the error inside.
func (e TroubleError) Error() string { return e.Err.Error() }

// Unwrap returns the error inside.
func (e TroubleError) Unwrap() error { return e.Err }

// A sharedWriter keeps the writes of several sinks to standard output whole.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(p) && err == nil {
		var m int
		m, err = s.w.Write(p[n:])
		n += m
		if m == 0 && err == nil {
			err = io.ErrShortWrite
		}
	}
	return n, err
}
