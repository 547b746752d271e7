package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Mode states whether the input waits for sinks.
type Mode uint8

const (
	// Live never blocks a source: a full queue drops its oldest batches. Batches are
	// sealed by size and age; files are named and rotated by the wall clock.
	Live Mode = iota
	// Replay blocks its input while a queue is full. Batches are sealed by size only;
	// files are named and rotated by record times. One lane and the same input make the
	// same bytes, except for the sequence ids. The first failure of a sink ends a Replay.
	Replay
)

// Forwarder owns lanes, sinks and their accounts. Apply sets policy and sinks, before Run
// and while it runs.
type Forwarder struct {
	mode       Mode
	replayWait context.Context // Replay: stopTime begins when it has ended
	budget     *transform.Budget
	log        *slog.Logger
	stdout     io.Writer // nil: there is none
	observer   Observer  // nil: none

	failed chan *sender // the first sender that failed permanently

	mu      sync.Mutex
	plan    *plan
	handed  *transform.Handover // of the plan; reloads keep it
	trace   func(source string) transform.Trace
	lanes   []*Lane
	sources []*source
	domains transform.DomainCounts // of closed lanes
	sinks   []*sink                // configured ones, in the order of the configuration
	removed []*sink                // removed by a reload
	sending context.Context        // of the sinks' goroutines; nil before Run
	stopped bool

	learned transform.Learned // the resolver's addresses that messages of any lane have shown
	shared  time.Time         // when lanes last got these

	rationed bool // lanes are limited to equal shares of the budget
}

// An Option sets what is not part of a configuration.
type Option func(*Forwarder)

// WithStdout sets the writer that stdout: writes to.
func WithStdout(w io.Writer) Option {
	return func(f *Forwarder) { f.stdout = &sharedWriter{w: w} }
}

// WithObserver makes every sink call o for each container that it has sent.
func WithObserver(o Observer) Option {
	return func(f *Forwarder) { f.observer = o }
}

// WithReplayWait limits the time for which the end of a Replay waits for its sinks: when ctx
// has ended too, they have stopTime, as in Live.
func WithReplayWait(ctx context.Context) Option {
	return func(f *Forwarder) { f.replayWait = ctx }
}

// New returns a Forwarder whose lanes hold queries within the budget. It does nothing
// until Apply and Run are called.
func New(mode Mode, budget *transform.Budget, log *slog.Logger, options ...Option) *Forwarder {
	f := &Forwarder{mode: mode, budget: budget, log: log, failed: make(chan *sender, 1), replayWait: context.Background()}
	for _, o := range options {
		o(f)
	}
	return f
}

// Apply sets policy and sinks for all lanes. A sink with an unchanged configuration
// continues. A sink with a changed configuration gets a new transport, which continues
// with the queued batches; if the format differs or the units are smaller, the old
// transport first sends the batches that were made for it. A sink that is no longer
// configured sends its queued batches and ends by itself. After an error nothing has
// changed.
func (f *Forwarder) Apply(policy *transform.Policy, configs []SinkConfig) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return errors.New("the forwarder has stopped")
	}
	var senders []*sender
	for i := range configs {
		c := &configs[i]
		if slices.ContainsFunc(senders, func(s *sender) bool { return s.config.Name == c.Name }) {
			return fmt.Errorf("two sinks are called %q", c.Name)
		}
		s, err := f.senderFor(c)
		if err != nil {
			return err
		}
		senders = append(senders, s)
	}
	for _, s := range senders {
		if s.sink.current() != s {
			s.queue.reopen()
		}
	}
	f.plan = newPlan(policy, f.handed, senders)
	for _, l := range f.lanes {
		l.setPlan(f.plan)
	}
	f.install(senders)
	return nil
}

// A plan is the policy and the senders of lanes. It is immutable; a reload gives each lane
// a new one.
type plan struct {
	policy    *transform.Policy
	handover  *transform.Handover // what packets have recorded already; nil: nothing
	senders   []*sender           // one for each sink; those of one form are adjacent
	encodings []encoding
}

// An encoding is a format with IDs. A record is encoded once for all senders that share it.
type encoding struct {
	format   Format
	ids      nmsg.IDs
	from, to int // its senders
}

func newPlan(policy *transform.Policy, handover *transform.Handover, senders []*sender) *plan {
	p := &plan{policy: policy, handover: handover}
	for _, s := range senders {
		if slices.Contains(p.senders, s) {
			continue // an earlier sender has the same encoding
		}
		f := encoding{format: s.config.Format, ids: s.config.IDs, from: len(p.senders)}
		for _, o := range senders {
			if o.config.Format == f.format && o.config.IDs == f.ids {
				p.senders = append(p.senders, o)
			}
		}
		f.to = len(p.senders)
		p.encodings = append(p.encodings, f)
	}
	return p
}
