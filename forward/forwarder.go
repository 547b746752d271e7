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
	inlets  []*Inlet
	sources []*source
	domains transform.DomainCounts // of closed lanes
	sinks   []*sink                // configured ones, in the order of the configuration
	removed []*sink                // removed by a reload
	sending context.Context        // of the sinks' goroutines; nil before Run
	stopped bool

	learned transform.Learned // the resolver's addresses that messages of any lane have shown
	shared  time.Time         // when lanes last got these

	rationed bool // lanes are limited to fair shares of the budget
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

// WithReplayWait limits the time for which the end of a Replay waits for its sinks: after
// ctx has ended, they have stopTime, as in Live.
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

// Apply sets policy and sinks for all lanes, and the IDs of each source and, for the empty name, of the
// sensor, which ids returns; nil: zero IDs. A sink with an unchanged configuration
// continues. A sink with a changed configuration gets a new transport, which continues
// with the queued batches; if the format differs or the units are smaller, the old
// transport first sends the batches that were made for it. A sink that is no longer
// configured sends its queued batches and ends by itself. After an error nothing has
// changed.
func (f *Forwarder) Apply(policy *transform.Policy, configs []SinkConfig, ids func(source string) nmsg.IDs) error {
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
		if err := checkFeeder(c, configs); err != nil {
			return fmt.Errorf("sink %q: %w", c.Name, err)
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
	p := newPlan(policy, f.handed, fedBy("", senders), ids)
	f.setStages(senders, p)
	f.setPlan(p)
	f.install(senders)
	return nil
}

// setPlan gives every lane and inlet the plan. f.mu is held.
func (f *Forwarder) setPlan(p *plan) {
	f.plan = p
	for _, l := range f.lanes {
		l.setPlan(p)
	}
	for _, i := range f.inlets {
		i.setPlan(p)
	}
}

// checkFeeder checks that lanes or an aggregate sink can feed a sink, whichever it names.
func checkFeeder(c *SinkConfig, all []SinkConfig) error {
	_, takesRecords := c.Format.(RecordFormat)
	_, takesRRsets := c.Format.(RRsetFormat)
	isFeeder := func(o SinkConfig) bool { return o.Name == c.From && o.Target.Scheme == Aggregate }
	switch {
	case c.From == "" && !takesRecords:
		return errors.New("its format is one for RRsets: state with from which aggregate feeds it")
	case c.From == "":
		return nil
	case c.Target.Scheme == Aggregate:
		return fmt.Errorf("from = %q: an aggregate cannot feed another", c.From)
	case !takesRRsets:
		return fmt.Errorf("from = %q: its format is not one for RRsets", c.From)
	case !slices.ContainsFunc(all, isFeeder):
		return fmt.Errorf("from = %q: there is no aggregate of that name", c.From)
	case len(c.Filter.RCodes) > 0:
		return errors.New("RRsets have no rcode: remove rcodes from its policy")
	}
	return nil
}

// A plan is the policy, the IDs and the senders of lanes. It is immutable; a reload gives each
// lane a new one.
type plan struct {
	policy    *transform.Policy
	handover  *transform.Handover          // what packet lanes have recorded; nil: nothing
	ids       func(source string) nmsg.IDs // of a source; of the sensor if it is empty
	senders   []*sender                    // one for each sink that lanes and inlets feed; those with one format are adjacent
	encodings []encoding
}

// An encoding is a format. A record or RRset is encoded once for all senders that share it.
type encoding struct {
	format   Format
	records  RecordFormat // format, if it is one
	rrsets   RRsetFormat  // the same
	from, to int          // its senders
}

func newPlan(policy *transform.Policy, handover *transform.Handover, senders []*sender, ids func(source string) nmsg.IDs) *plan {
	if ids == nil {
		ids = func(string) nmsg.IDs { return nmsg.IDs{} }
	}
	p := &plan{policy: policy, handover: handover, ids: ids}
	p.senders, p.encodings = group(senders)
	return p
}

// group returns the senders in an order in which those with one format are adjacent, and their
// formats.
func group(senders []*sender) (grouped []*sender, encodings []encoding) {
	for _, s := range senders {
		if slices.Contains(grouped, s) {
			continue // an earlier sender has the same format
		}
		f := encoding{format: s.config.Format, from: len(grouped)}
		f.records, _ = f.format.(RecordFormat)
		f.rrsets, _ = f.format.(RRsetFormat)
		for _, o := range senders {
			if o.config.Format == f.format {
				grouped = append(grouped, o)
			}
		}
		f.to = len(grouped)
		encodings = append(encodings, f)
	}
	return grouped, encodings
}
