// Package sensor connects sources, lanes and sinks as a configuration says. It starts them,
// applies another configuration while they run, and stops them in an order that loses
// nothing.
//
// It does not know how these parts work, and does not read configuration files, flags or
// signals.
package sensor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Sensor is a sensor that runs, will run or has run.
type Sensor struct {
	log       *slog.Logger
	budget    *transform.Budget
	forwarder *forward.Forwarder

	inherited inherited
	senders   *pcap.DnstapSenders // the resolvers that connect to dnstap sources

	mu      sync.Mutex // held by Reload, and while Run starts sources
	policy  *transform.Policy
	ids     func(source string) nmsg.IDs
	sources []*source
	packets []*packetSource
	kafka   []*kafkaSource
	removed []PacketStats   // of packet sources that a reload removed
	running context.Context // of the sources; nil before Run and after it
	failed  chan error      // receives the error of the first source that fails

	join         func(kafka.Config, kafka.Inlet) member // makes the member that a Kafka source is; tests replace it
	removedKafka []KafkaStats                           // of Kafka sources that a reload removed

	namesResolvers bool // the configuration has addresses of resolvers

	naming sync.Mutex // held while lanes are made and sources renamed
}

// Options contains what is not in a configuration.
type Options struct {
	Log    *slog.Logger
	Stdout io.Writer // where sinks to stdout: write

	// Observer, unless nil, gets the containers that sinks have sent.
	Observer forward.Observer

	// Inherited contains listening sockets from the service manager. A dnstap source at the
	// address of one uses it. The caller closes them after Run.
	Inherited []*os.File
}

// New builds a sensor and opens its sources, so that resolvers can connect. Run serves them.
func New(c *conf.Config, o Options) (*Sensor, error) {
	policy, err := transform.NewPolicy(c.Policy)
	if err != nil {
		return nil, err
	}
	sockets, err := inherit(o.Inherited)
	if err != nil {
		return nil, err
	}
	budget := transform.NewBudget(c.MaxQueries)
	s := &Sensor{
		log:       o.Log,
		budget:    budget,
		forwarder: forward.New(forward.Live, budget, o.Log, forward.WithStdout(o.Stdout), forward.WithObserver(o.Observer)),
		policy:    policy,
		ids:       c.IDsOf,
		inherited: sockets,
		senders:   pcap.NewSenders(),
		failed:    make(chan error, 1),
		join:      func(c kafka.Config, inlet kafka.Inlet) member { return kafka.New(c, inlet, o.Log) },

		namesResolvers: namesResolvers(c),
	}
	if s.sources, s.packets, err = s.openAll(c.Sources, c.Packets); err != nil {
		return nil, err
	}
	if err := s.forwarder.Apply(policy, c.Sinks, c.IDsOf); err != nil {
		return nil, errors.Join(err, closeAll(s.sources, s.packets))
	}
	for _, k := range c.Kafka {
		s.kafka = append(s.kafka, s.newKafka(k, c.SourceIDs[k.Name]))
	}
	s.inherited.warnUnused(s.log, s.sources)
	return s, nil
}

func namesResolvers(c *conf.Config) bool {
	return len(c.Policy.Resolvers) > 0
}

// Run serves until ctx ends or a source or all sinks fail permanently. It stops sources and
// their connections first, then lanes, queues and sinks, so that every message read is
// delivered or accounted for. A Kafka source ends when it has confirmed and committed what it read,
// for which the sinks still run. started, unless nil, is called when all parts run.
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
	for _, src := range s.kafka {
		src.task = s.start(src.config.Name, src.member.Run)
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
	sources, packets, kafka := s.sources, s.packets, s.kafka
	s.mu.Unlock()
	for _, src := range sources {
		<-src.done
	}
	for _, src := range packets {
		<-src.done
	}
	for _, src := range kafka {
		<-src.done
	}
	stopForwarding()
	return errors.Join(failure, <-forwarded)
}

// Ledger returns the account of every message and record, exact at one instant.
func (s *Sensor) Ledger() forward.Ledger { return s.forwarder.Ledger() }

// Domains returns the n registered domains with the most drops that a [transform.DomainCount]
// counts.
func (s *Sensor) Domains(n int) []transform.DomainCount { return s.forwarder.Domains(n) }
