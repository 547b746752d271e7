package forward

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A TransportConfig is the configuration of one kind of transport, and makes the
// transport. Its fields are data only, because reflect.DeepEqual compares configurations.
type TransportConfig interface {
	// New returns the transport of the sink that c describes, not yet opened.
	New(c *SinkConfig, env Env) (Transport, error)
}

// Env is the environment that a Forwarder gives to its transports.
type Env struct {
	Mode   Mode
	Log    *slog.Logger // with the sink's name
	Stdout io.Writer    // safe for concurrent use; nil: there is no standard output
	Settle Settle
}

// A Transport sends batches to their target. Only one goroutine calls it, and all calls
// have the same context. When that ends, a call returns soon.
// A transport may have optional methods: see [CommandRunner], [Divider] and [Pacer].
type Transport interface {
	// Open prepares the transport. It is called at the start, and before the next Send
	// after an error.
	Open(ctx context.Context) error

	// Send sends the units of bs, in order, from unit number from of the first batch.
	// It borrows bs until it returns. It may return without an error before the last
	// unit: the sink calls it again with the rest. After an error the sink tries the
	// rest again, unless the error is a [BrokenError].
	Send(ctx context.Context, bs []*Batch, from int) (Result, error)

	// Rest does due work while there is nothing to send, and returns the time at which it
	// should be called again if nothing is sent until then; the zero time: never. A
	// [TroubleError] concerns units that were sent before and are not sent again.
	Rest(ctx context.Context) (next time.Time, err error)

	// Close releases the resources of the transport and waits for its goroutines; when
	// ctx ends, it ends them at once. An error states what was delivered and may be
	// incomplete.
	Close(ctx context.Context) error
}

// A CommandRunner is a transport that runs a command for each file that it finishes.
// CommandRuns returns their account. Any goroutine may call it.
type CommandRunner interface{ CommandRuns() CommandRuns }

// A Divider is a transport whose target depends on the time of a record. Divides reports
// whether records of these times have different targets; then lanes put them into different
// batches. Lanes call it in Replay only, and concurrently.
type Divider interface {
	Divides(a, b transform.Time) bool
}

// A Pacer is a transport whose Send waits by design. MayTake returns the longest time that
// a Send of these batches waits.
type Pacer interface {
	MayTake(bs []*Batch) time.Duration
}

// A Result is the outcome of a Send. The zero Result: the transport handled no unit.
type Result struct {
	Units     int         // sent or lost
	Delivered uint64      // records in them
	Tentative StateCounts // records in them, which Settle moves later
	Lost      LossCounts  // records in them
	Sent      Sent        // volume that the transport sent
	Trouble   error       // why records were lost although Send returned no error; nil: none were lost
}

// Deliver counts as delivered the units of b, from number from on, that are whole within
// their first n bytes.
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

// Sent is the volume that a sink's transports sent.
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

// A State is the state of tentative records: a transport has taken them, but they are
// neither delivered nor lost yet.
type State uint8

const (
	Written   State = iota // in a file that is not complete
	Spooled                // in a spool
	numStates              // the number of states
)

// StateCounts is the number of tentative records by State.
type StateCounts [numStates]uint64

// A Fate is the final outcome of tentative records. The zero Fate: delivered.
type Fate struct {
	Lost bool
	Why  Loss // meaningless unless Lost
}

// Settle counts tentative records of a sink in that state under their final outcome. Any
// goroutine may call it.
type Settle func(from State, records uint64, to Fate)

// A BrokenError is a permanent failure of a transport: a retry is useless.
type BrokenError struct{ Err error }

// Error returns the text of Err.
func (e BrokenError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e BrokenError) Unwrap() error { return e.Err }

// A TroubleError is the reason why records that were counted as delivered may not
// have arrived.
type TroubleError struct{ Err error }

// Error returns the text of Err.
func (e TroubleError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e TroubleError) Unwrap() error { return e.Err }

// A sharedWriter serialises the writes of several sinks to standard output.
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
