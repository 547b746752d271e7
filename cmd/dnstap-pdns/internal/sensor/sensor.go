// Package sensor puts the parts together: sources into lanes, lanes into sinks,
// as one configuration says. It starts them, gives them another configuration
// while they run, and stops them in the order that loses nothing.
//
// It knows how the parts fit and nothing of how they work; nor does it read
// configuration files, flags or signals.
package sensor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Sensor is a running sensor, or one that is about to run.
type Sensor struct {
	log       *slog.Logger
	budget    *transform.Budget
	forwarder *forward.Forwarder

	inherited inherited
	senders   *pcap.Senders // the resolvers that connect to dnstap sources

	mu      sync.Mutex // held by Reload, and while Run starts sources
	policy  *transform.Policy
	sources []*source
	packets []*packetSource
	gone    []PacketStats   // of packet sources that a reload removed
	running context.Context // of the sources; nil before Run and after it
	failed  chan error      // the first source that ends by itself

	namesResolvers bool // the configuration does: their addresses

	naming sync.Mutex // held while lanes get a name, or sources another one
}

// Options are what a configuration does not say.
type Options struct {
	Log    *slog.Logger
	Stdout io.Writer // where stdout: leads

	// Observer, unless nil, is shown what every sink has sent.
	Observer forward.Observer

	// Inherited are listening sockets that somebody else made. A dnstap source at the
	// address of one listens there. They are the caller's to close, when Run has ended.
	Inherited []*os.File
}

// New builds a sensor and opens its sources, so that resolvers can connect; they
// are served when Run is called.
func New(c *conf.Config, o Options) (*Sensor, error) {
	policy, err := transform.NewPolicy(c.Policy)
	if err != nil {
		return nil, err
	}
	sockets, err := takeOver(o.Inherited)
	if err != nil {
		return nil, err
	}
	budget := transform.NewBudget(c.MaxQueries)
	s := &Sensor{
		log:       o.Log,
		budget:    budget,
		forwarder: forward.New(forward.Live, budget, o.Log, forward.WithStdout(o.Stdout), forward.WithObserver(o.Observer)),
		policy:    policy,
		inherited: sockets,
		senders:   pcap.NewSenders(),
		failed:    make(chan error, 1),

		namesResolvers: namesResolvers(c),
	}
	if s.sources, s.packets, err = s.openAll(c.Sources, c.Packets); err != nil {
		return nil, err
	}
	if err := s.forwarder.Apply(policy, c.Sinks); err != nil {
		return nil, errors.Join(err, closeAll(s.sources, s.packets))
	}
	s.inherited.warnOfIdle(s.log, s.sources)
	return s, nil
}

func namesResolvers(c *conf.Config) bool {
	return len(c.Policy.Resolvers) > 0
}

// Run serves until ctx ends or a part fails for good. It stops in order: sources
// and their connections, lanes, queues, sinks; what was read until then is
// delivered or accounted for. started is called once everything runs, and may be nil.
func (s *Sensor) Run(ctx context.Context, started func()) error {
	forwarding, stopForwarding := context.WithCancel(context.Background())
	defer stopForwarding()
	forwarded := make(chan error, 1)
	go func() { forwarded <- s.forwarder.Run(forwarding) }()

	reading, stopReading := context.WithCancel(context.Background())
	defer stopReading()
	s.mu.Lock()
	s.running = reading
	for _, src := range s.sources {
		src.task = s.start(src.config.Name, src.listener.Run)
	}
	for _, src := range s.packets {
		src.task = s.start(src.config.Name, src.capture.Run)
	}
	s.mu.Unlock()
	if started != nil {
		started()
	}

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-s.failed:
	case failure = <-forwarded:
		forwarded <- nil
	}

	stopReading()
	s.mu.Lock()
	s.running = nil
	sources, packets := s.sources, s.packets
	s.mu.Unlock()
	for _, src := range sources {
		<-src.done
	}
	for _, src := range packets {
		<-src.done
	}
	stopForwarding()
	return errors.Join(failure, <-forwarded)
}

// Ledger is the account of every message and record, exact at this instant.
func (s *Sensor) Ledger() forward.Ledger { return s.forwarder.Ledger() }

// Domains returns the n registered domains that were dropped most.
func (s *Sensor) Domains(n int) []transform.DomainCount { return s.forwarder.Domains(n) }
