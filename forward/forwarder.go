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

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Mode is whether the input waits.
type Mode uint8

const (
	// Live never holds up a source: a queue that is full gives up its oldest. Batches
	// are sealed by size and age, files are named and rotated by the wall clock.
	Live Mode = iota
	// Replay holds up its input while a queue is full. Batches are sealed by size
	// only, files are named and rotated by record times: one lane and the same
	// input make the same bytes, but for the sequence ids. The first failure of a
	// sink ends it.
	Replay
)

// Forwarder owns lanes, sinks and the account of both. Apply gives it policy and
// sinks, before Run and while it runs.
type Forwarder struct {
	mode     Mode
	patience context.Context // Replay: while it lasts, sinks are waited for
	budget   *transform.Budget
	log      *slog.Logger
	stdout   *sharedWriter
	observer Observer // nil: none
	open     func(*SinkConfig) (transport, error)

	failed chan *sink // the first that cannot go on

	mu      sync.Mutex
	plan    *plan
	handed  *transform.Handover // the plan's, which reloads keep
	trace   func(source string) transform.Trace
	lanes   []*Lane
	sources []*source
	domains transform.DomainCounts // of lanes that are closed
	sinks   []*sink                // the plan's, in the order of the configuration
	leaving []*sink                // removed, and not yet drained
	gone    []SinkLedger           // of those that have, by name
	sending context.Context        // of the sinks' goroutines; nil before Run
	stopped bool

	learned transform.Learned // the resolver's addresses, as messages to any lane have shown
	shared  time.Time         // when lanes were last given those

	rationed bool // lanes are held to equal shares of the budget
}

// A source is what lanes of one name have in common.
type source struct {
	name string
	gone transform.Counts // of lanes that are closed
	last sighting         // of lanes that are closed

	logs []*transform.KeyLog // of lanes that are closed, until HandOver
}

// An Option is what a configuration does not say.
type Option func(*Forwarder)

// WithStdout says where stdout: leads.
func WithStdout(w io.Writer) Option {
	return func(f *Forwarder) { f.stdout = &sharedWriter{w: w} }
}

// WithObserver has every sink show o what has left.
func WithObserver(o Observer) Option {
	return func(f *Forwarder) { f.observer = o }
}

// WithPatience says how long a Replay's sinks are waited for: once ctx has ended, and
// the Replay too, they have stopTime, as in Live.
func WithPatience(ctx context.Context) Option {
	return func(f *Forwarder) { f.patience = ctx }
}

// New returns a Forwarder whose lanes hold queries within the budget. It does
// nothing before Apply and Run.
func New(mode Mode, budget *transform.Budget, log *slog.Logger, options ...Option) *Forwarder {
	f := &Forwarder{mode: mode, budget: budget, log: log, failed: make(chan *sink, 1), patience: context.Background()}
	f.open = f.openTransport
	for _, o := range options {
		o(f)
	}
	return f
}

// Apply puts policy and sinks in force, for all lanes. A sink whose configuration
// is the same as before lives on; one that is gone delivers what it holds, and
// ends by itself; what it cannot deliver is left to a new one of its name, if there is
// one and the form of records is the same. With an error nothing has changed.
func (f *Forwarder) Apply(policy *transform.Policy, configs []SinkConfig) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return errors.New("the forwarder has stopped")
	}
	sinks, err := f.sinksFor(configs)
	if err != nil {
		return err
	}
	f.plan = newPlan(policy, f.handed, sinks)
	for _, l := range f.lanes {
		l.adopt(f.plan)
	}
	f.replaceSinks(sinks)
	return nil
}

// replaceSinks starts those that are new and lets those go that are old: no lane
// knows them any more.
func (f *Forwarder) replaceSinks(sinks []*sink) {
	old := f.sinks
	f.sinks = sinks
	for _, s := range old {
		if !slices.Contains(sinks, s) {
			f.leaving = append(f.leaving, s)
			s.succeed(sinks)
			s.queue.close()
		}
	}
	for _, s := range sinks {
		if f.sending != nil && !slices.Contains(old, s) {
			f.start(s)
		}
	}
}

// sinksFor returns a sink for each configuration: the present one, or one that is
// not started.
func (f *Forwarder) sinksFor(configs []SinkConfig) ([]*sink, error) {
	var sinks []*sink
	for _, c := range configs {
		if slices.ContainsFunc(sinks, func(s *sink) bool { return s.config.Name == c.Name }) {
			return nil, fmt.Errorf("two sinks are called %q", c.Name)
		}
		if i := slices.IndexFunc(f.sinks, func(s *sink) bool { return s.config.Equal(&c) }); i >= 0 {
			sinks = append(sinks, f.sinks[i])
			continue
		}
		t, err := f.open(&c)
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, f.newSink(c, t))
	}
	return sinks, nil
}

// Lane returns a new lane of the source, which works by what was last applied:
// Apply comes first.
func (f *Forwarder) Lane(name string) *Lane { return f.lane(name, nil) }

// lane returns a lane that keeps a log, unless that is nil.
func (f *Forwarder) lane(name string, log *transform.KeyLog) *Lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &Lane{forwarder: f, source: f.source(name), pairer: transform.NewPairer(f.budget), log: log}
	l.pairer.Log(log)
	f.traceLane(l)
	l.pairer.Know(f.learned.Known())
	l.emit = l.record
	l.adopt(f.plan)
	f.lanes = append(f.lanes, l)
	return l
}

func (f *Forwarder) source(name string) *source {
	for _, s := range f.sources {
		if s.name == name {
			return s
		}
	}
	s := &source{name: name}
	f.sources = append(f.sources, s)
	return s
}

func (f *Forwarder) closeLane(l *Lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.lanes, l)
	if i < 0 {
		return // closed before
	}
	f.learned.See(l.pairer.Seen())
	counts := l.retire()
	l.source.gone.Add(&counts)
	f.domains.Merge(l.pairer.Domains())
	l.source.last = l.source.last.later(l.last)
	if l.log != nil {
		l.source.logs = append(l.source.logs, l.log)
	}
	f.lanes = slices.Delete(f.lanes, i, i+1)
}
