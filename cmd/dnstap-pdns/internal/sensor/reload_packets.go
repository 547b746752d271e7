package sensor

import (
	"reflect"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A packetChange is the difference that a reload makes to the packet sources. A source whose
// configuration changed in any way is removed and added.
type packetChange struct {
	kept    []*packetSource
	removed []*packetSource
	added   []pcap.Config
}

func comparePackets(old []*packetSource, wanted []pcap.Config) packetChange {
	var ch packetChange
	for _, c := range wanted {
		i := slices.IndexFunc(old, func(src *packetSource) bool { return reflect.DeepEqual(src.config, c) })
		if i < 0 {
			ch.added = append(ch.added, c)
		} else {
			ch.kept = append(ch.kept, old[i])
		}
	}
	for _, src := range old {
		if !slices.Contains(ch.kept, src) {
			ch.removed = append(ch.removed, src)
		}
	}
	return ch
}

// transitional returns the policy until the removed captures have ended. It also has their
// resolvers, because these addresses must not leave in the last responses of the captures.
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
