package sensor

import (
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/collector/certs"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// State is the state of a sensor.
type State struct {
	Ledger  forward.Ledger // exact at one instant; the other fields are read right after
	Dnstap  []DnstapState  // in the order of the configuration
	Packets []PacketStats  // sources that a reload removed come first

	QueryRoom, QueryRoomMax int64 // queries in the pairing table, and their limit

	ResolversConfigured bool // the configuration has addresses of resolvers
}

// DnstapState is the state of a dnstap source.
type DnstapState struct {
	Name string
	collector.Stats
	Connections []collector.Connection // after START, the oldest first

	TLS         bool
	Certificate certs.Certificate // with TLS
}

// State returns the current state of the sensor. It waits for a reload in progress.
func (s *Sensor) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := State{Ledger: s.Ledger(), Packets: s.packetStats()}
	for _, src := range s.sources {
		d := DnstapState{
			Name:        src.config.Name,
			Stats:       src.listener.Stats(),
			Connections: src.listener.Connections(),
		}
		d.Certificate, d.TLS = src.listener.Certificate()
		state.Dnstap = append(state.Dnstap, d)
	}
	state.QueryRoom, state.QueryRoomMax = s.budget.Held(), int64(s.budget.Max())
	state.ResolversConfigured = s.namesResolvers
	return state
}

// Open reports whether the sensor runs: its sources are open, and not all sinks have failed
// permanently.
func (s *Sensor) Open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running != nil
}
