package sensor

import (
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/collector/certs"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// State is what a sensor shows of itself.
type State struct {
	Ledger  forward.Ledger // exact at one instant; the rest is from right after that
	Dnstap  []DnstapState  // sources, in the order of the configuration
	Packets []PacketStats  // those that a reload removed first

	QueryRoom, QueryRoomMax int64 // of the pairing table: in use, and in all

	ResolversConfigured bool // the configuration names addresses of the resolver's
}

// DnstapState is that of a dnstap source.
type DnstapState struct {
	Name string
	collector.Stats
	Connections []collector.Connection // that have said START, the oldest first

	TLS         bool
	Certificate certs.Certificate // with TLS
}

// State returns the sensor's state as of now. It waits for a reload under way.
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

// Open reports whether the sensor runs: its sources are open then, and no sink has
// failed for good.
func (s *Sensor) Open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running != nil
}
