package sensor

import (
	"reflect"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A packetChange is the difference that a reload makes to the packet sources.
type packetChange struct {
	exactChange[*packetSource, pcap.Config]
}

func comparePackets(old []*packetSource, wanted []pcap.Config) packetChange {
	return packetChange{compareExactly(old, wanted, func(src *packetSource, c pcap.Config) bool { return reflect.DeepEqual(src.config, c) })}
}

// transitional returns the policy that is in force until the removed captures have ended: the
// new policy and their resolvers, whose addresses must not leave in the last responses that
// the captures read.
func (ch *packetChange) transitional(policy transform.Config) transform.Config {
	policy.Resolvers = slices.Clone(policy.Resolvers)
	for _, src := range ch.removed {
		policy.Resolvers = append(policy.Resolvers, src.config.Resolvers...)
	}
	return policy
}

// replacePackets stops the removed captures and starts the added ones. An added capture gets
// no packets from before its start. The caller holds s.mu.
func (s *Sensor) replacePackets(ch packetChange, added []*packetSource) {
	for _, src := range ch.removed {
		src.stop()
		stats := src.stats()
		stats.Removed = true
		s.removed = addStats(s.removed, stats)
	}
	s.packets = append(ch.kept, added...)
	for _, src := range added {
		src.task = s.start(src.config.Name, src.capture.Run)
	}
}
