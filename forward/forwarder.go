package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
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
	mode   Mode
	budget *transform.Budget
	log    *slog.Logger
	stdout *sharedWriter
	open   func(*SinkConfig) (transport, error)

	failed chan *sink // the first that cannot go on

	mu      sync.Mutex
	plan    *plan
	lanes   []*Lane
	sources []*source
	sinks   []*sink         // the plan's, in the order of the configuration
	leaving []*sink         // removed, and not yet drained
	sending context.Context // of the sinks' goroutines; nil before Run
	stopped bool

	rationed bool // lanes are held to equal shares of the budget
}

// A source is what lanes of one name have in common.
type source struct {
	name  string
	gone  transform.Counts // of lanes that are closed
	known []netip.Addr     // the resolver's addresses, as lanes that are closed were told
}

// An Option is what a configuration does not say.
type Option func(*Forwarder)

// WithStdout says where stdout: leads.
func WithStdout(w io.Writer) Option {
	return func(f *Forwarder) { f.stdout = &sharedWriter{w: w} }
}

// New returns a Forwarder whose lanes hold queries within the budget. It does
// nothing before Apply and Run.
func New(mode Mode, budget *transform.Budget, log *slog.Logger, options ...Option) *Forwarder {
	f := &Forwarder{mode: mode, budget: budget, log: log, failed: make(chan *sink, 1)}
	f.open = f.openTransport
	for _, o := range options {
		o(f)
	}
	return f
}

// Apply puts policy and sinks in force, for all lanes. A sink whose configuration
// is the same as before lives on; one that is gone delivers what it holds, and
// ends by itself. With an error nothing has changed.
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
	f.plan = newPlan(policy, sinks)
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
		sinks = append(sinks, newSink(c, f.mode, t, f.log))
	}
	return sinks, nil
}

// Lane returns a new lane of the source, which works by what was last applied:
// Apply comes first.
func (f *Forwarder) Lane(name string) *Lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &Lane{forwarder: f, source: f.source(name), pairer: transform.NewPairer(f.budget)}
	f.teach(l)
	l.emit = l.record
	l.adopt(f.plan)
	f.lanes = append(f.lanes, l)
	return l
}

// teach gives a new lane what messages to its source have told of the resolver's
// addresses: a resolver that connects anew, or once more, is the same.
func (f *Forwarder) teach(l *Lane) {
	l.pairer.Learn(l.source.known)
	for _, other := range f.lanes {
		if other.source == l.source {
			other.mu.Lock()
			l.pairer.Learn(other.pairer.Known())
			other.mu.Unlock()
		}
	}
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
	l.pairer.Learn(l.source.known)
	l.source.known = l.pairer.Known()
	counts := l.retire()
	l.source.gone.Add(&counts)
	f.lanes = slices.Delete(f.lanes, i, i+1)
}

// Run delivers until ctx ends or a sink cannot go on. Then it seals what lanes
// hold (their owners have closed them, where ctx ended), and returns when the
// sinks have delivered all of it and closed what they hold. In Live they have
// stopTime for that. The error says which sink failed for good, or is not done.
func (f *Forwarder) Run(ctx context.Context) error {
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	f.startAll(sending)
	f.keepHouse(ctx)
	return f.drain(f.shut(), cut)
}

func (f *Forwarder) startAll(sending context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sending = sending
	for _, s := range slices.Concat(f.sinks, f.leaving) {
		f.start(s)
	}
}

// start runs the sink. drain waits for it.
func (f *Forwarder) start(s *sink) {
	sending := f.sending
	go func() {
		defer close(s.done)
		s.run(sending)
		f.ended(s)
	}()
}

// ended takes note of a sink that a reload removed, or that cannot go on.
func (f *Forwarder) ended(s *sink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.leaving, s) {
		s.logClosing()
		f.leaving = slices.DeleteFunc(f.leaving, func(o *sink) bool { return o == s })
		return
	}
	if s.err != nil && slices.Contains(f.sinks, s) {
		select {
		case f.failed <- s:
		default:
		}
	}
}

// shut ends what lanes hold, lets nothing more enter the queues, and returns the
// sinks that have something to deliver yet.
func (f *Forwarder) shut() []*sink {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for _, l := range f.lanes {
		l.finish()
	}
	for _, s := range f.sinks {
		s.queue.close()
	}
	return slices.Concat(f.sinks, f.leaving)
}

const (
	// stopTime is what sinks have to deliver what they hold when a sensor stops.
	stopTime = 3 * time.Second
	// graceTime is what a system call has to return after that.
	graceTime = 500 * time.Millisecond
)

// drain waits for the sinks. When their time is up, cut makes them give up.
func (f *Forwarder) drain(sinks []*sink, cut context.CancelFunc) error {
	late := context.Background()
	if f.mode == Live {
		defer time.AfterFunc(stopTime, cut).Stop()
		ctx, cancel := context.WithTimeout(late, stopTime+graceTime)
		defer cancel()
		late = ctx
	}
	var errs []error
	for _, s := range sinks {
		select {
		case <-s.done:
		case <-late.Done():
		}
		errs = append(errs, s.leaveBehind())
	}
	return errors.Join(errs...)
}
