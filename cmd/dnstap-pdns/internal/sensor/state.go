package sensor

import (
	"errors"
	"fmt"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// State is the state of a sensor.
type State struct {
	Ledger  forward.Ledger // exact at one instant; the other fields are read right after
	Dnstap  []DnstapState  // in the order of the configuration
	Packets []PacketStats  // sources that a reload removed come first
	Kafka   []KafkaStats   // the same

	QueryRoom, QueryRoomMax int64 // queries in the pairing table, and their limit

	ResolversConfigured bool // the configuration has addresses of resolvers
}

// DnstapState is the state of a dnstap source.
type DnstapState struct {
	Name string
	collector.Stats
	Connections []collector.Connection  // after START, the oldest first
	Problem     collector.SocketProblem // zero: none
	Failure     collector.HandshakeFailure

	TLS         bool
	Certificate certs.Certificate // with TLS
}

// State returns the current state of the sensor. It waits for a reload in progress.
func (s *Sensor) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := State{Ledger: s.Ledger(), Packets: s.packetStats(), Kafka: s.kafkaStats()}
	for _, src := range s.sources {
		d := DnstapState{
			Name:        src.config.Name,
			Stats:       src.listener.Stats(),
			Connections: src.listener.Connections(),
		}
		d.Problem, d.Failure = src.listener.Problem(), src.listener.Failure()
		d.Certificate, d.TLS = src.listener.Certificate()
		state.Dnstap = append(state.Dnstap, d)
	}
	state.QueryRoom, state.QueryRoomMax = s.budget.Held(), int64(s.budget.Max())
	state.ResolversConfigured = s.namesResolvers
	return state
}

// Ready returns nil if the sensor can read and write: it runs with a configuration, every
// source can receive or waits as configured, and at least one sink works. Otherwise the error
// names each source that cannot receive, and all sinks if none works.
func (s *Sensor) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return errors.New("the sensor is starting or stopping")
	}
	var errs []error
	for _, src := range s.sources {
		if (src.listener.Problem() != collector.SocketProblem{}) {
			errs = append(errs, fmt.Errorf("source %q: resolvers cannot connect", src.config.Name))
		}
	}
	for _, src := range s.packets {
		if src.capture.Stats().Failing {
			errs = append(errs, fmt.Errorf("source %q: capturing fails", src.config.Name))
		}
	}
	for _, src := range s.kafka {
		if src.member.Stats().Error != "" {
			errs = append(errs, fmt.Errorf("source %q: reading from Kafka fails", src.config.Name))
		}
	}
	return errors.Join(append(errs, sinksReady(s.Ledger().Sinks))...)
}

// sinksReady returns an error for each sink if none of the configured ones works.
func sinksReady(sinks []forward.SinkLedger) error {
	var errs []error
	for i := range sinks {
		switch k := &sinks[i]; {
		case k.Removed:
		case k.FailingSince.IsZero():
			return nil
		default:
			errs = append(errs, fmt.Errorf("sink %q fails", k.Name))
		}
	}
	return errors.Join(errs...)
}
