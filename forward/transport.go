package forward

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
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

	// CountErrors adds to the sink's NetworkErrors. Any goroutine may call it.
	CountErrors func(NetworkErrors)

	// CountSent adds to the sink's Sent what no Result has: a spool sends between the calls of
	// the sink too. Any goroutine may call it.
	CountSent func(Sent)

	// Resume counts records that the transport found in a spool: they are spooled from then
	// on. It does not count again those that an earlier transport of the sink spooled. Any
	// goroutine may call it.
	Resume func(records uint64)

	// Doubt states that tentative records may not survive a crash, although none is
	// lost yet: a sync failed, which a later sync does not repeat. A Confirm of an inlet then
	// fails. Any goroutine may call it.
	Doubt func()

	// HalfFull contains an element while the sink's queue is at least half full. It gets
	// another one after each Send, and when a batch enters the queue.
	HalfFull <-chan struct{}

	// Emit passes an RRset, which it borrows, to the sinks whose From is the sink's name, and then waits for
	// room in their queues; not when ctx has ended. It passes nothing, and returns the reason, if the policy
	// in force forbids the RRset. at is the record time that selects the file in Replay. Any goroutine
	// may call it, until the transport is closed. Only aggregate sinks have it.
	Emit func(ctx context.Context, a *rrset.Aggregate, at transform.Time) transform.Reason

	// Stop is closed when the sink stops or a reload replaces the transport. Calls must
	// then return soon: there is stopTime for the last batches of the queue and Close.
	Stop <-chan struct{}
}

// A Transport sends batches to their target. Only one goroutine calls it, and all calls
// have the same context. When that ends, a call returns soon.
// A transport may have optional methods: see [CommandRunner], [FileWriter],
// [Acknowledger], [Bufferer], [Spooler], [Expirer], [Divider], [Pacer], [Confirmer] and
// [Aggregator].
type Transport interface {
	// Open prepares the transport. It is called at the start, and before the next Send
	// after an error.
	Open(ctx context.Context) error

	// Send sends the units of bs, in order, from unit number from of the first batch.
	// It borrows bs until it returns. It may return without an error before the last
	// unit: the sink calls it again with the rest. After an error the sink tries the
	// rest again, unless the error is a [PermanentError].
	Send(ctx context.Context, bs []*Batch, from int) (Result, error)

	// Idle does due work while there is nothing to send, and returns the time at which it
	// should be called again if nothing is sent until then; the zero time: never. An error
	// means that the transport fails, and no error that it works.
	Idle(ctx context.Context) (next time.Time, err error)

	// Close releases the resources of the transport and waits for its goroutines; when
	// ctx ends, it ends them at once. An error states what was delivered and may be
	// incomplete.
	Close(ctx context.Context) error
}

// A CommandRunner is a transport that runs a command for each file that it finishes.
// CommandRuns returns their account. Any goroutine may call it.
type CommandRunner interface{ CommandRuns() CommandRuns }

// A FileWriter is a transport that writes files. Files returns their account. Any goroutine
// may call it.
type FileWriter interface{ Files() Files }

// A Divider is a transport whose target depends on the time of a record. Divides reports
// whether records of these times have different targets; then lanes put them into different
// batches. Lanes call it in Replay only, and concurrently.
type Divider interface {
	Divides(a, b transform.Time) bool
}

// A Pacer is a transport that waits by design. MayTake returns the longest time that a Send
// of these batches waits; for no batches, that Open or Idle waits.
type Pacer interface {
	MayTake(bs []*Batch) time.Duration
}

// A Confirmer is a transport whose records become final later than its Send returns: they are
// written or spooled, or counted in a table. Confirm makes final what all calls of Send took: files are
// completed, synced and get their names, a spool is synced, a table is emitted. The sink's
// goroutine calls it between two calls of Send. An error states that it has to be called again.
// Other transports have delivered what Send took when it returns.
type Confirmer interface {
	Confirm(ctx context.Context) error
}

// A Result is the outcome of a Send. The zero Result: the transport handled no unit.
type Result struct {
	Units     int         // sent, spooled or lost
	Spooled   int         // of Units, the last ones, which are in a spool
	Delivered uint64      // records in them
	Tentative StateCounts // records in them, which Settle moves later
	Lost      LossCounts  // records in them
	Sent      Sent        // volume that the transport sent
	LossCause error       // why records were lost although Send returned no error; nil: none were lost
	dropped   Dropped     // units that were lost
	Trouble   error       // why the peer could not be reached although Send returned no error, because records were spooled; nil: no trouble
}

// Deliver counts as delivered the units of b that were written whole, when n bytes were
// written from the start of unit from on.
func (r *Result) Deliver(b *Batch, from, n int) { r.Delivered += r.whole(b, from, n) }

// Write is Deliver for units in a file that is not complete.
func (r *Result) Write(b *Batch, from, n int) { r.Tentative[Written] += r.whole(b, from, n) }

// whole counts the units that were written whole, and returns the number of their records.
func (r *Result) whole(b *Batch, from, n int) (records uint64) {
	start := b.Start(from)
	for _, u := range b.Units[from:] {
		if u.End-start > n {
			break
		}
		r.Units++
		records += uint64(u.Records)
		r.Sent.Containers++
		r.Sent.Bytes += uint64(u.End - b.Start(from))
		from++
	}
	return records
}

// Lose counts unit i of b as lost.
func (r *Result) Lose(b *Batch, i int, why Loss) {
	r.Units++
	r.dropped.add(Dropped{1, uint64(len(b.Bytes(i)))})
	if i == 0 {
		r.dropped.add(b.Dropped)
		b.Dropped = Dropped{}
	}
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

// An Outcome is the final outcome of tentative records. The zero Outcome: delivered.
type Outcome struct {
	Lost bool
	Why  Loss // meaningless unless Lost
}

// Settle moves tentative records of a sink from a state to their final outcome. Any
// goroutine may call it, but only after the transport's next call has begun: until then the
// sink has not counted the records that Send returned.
type Settle func(from State, records uint64, to Outcome)

// A PermanentError is a permanent failure of a transport: a retry is useless.
type PermanentError struct{ Err error }

// Error returns the text of Err.
func (e PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e PermanentError) Unwrap() error { return e.Err }

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
