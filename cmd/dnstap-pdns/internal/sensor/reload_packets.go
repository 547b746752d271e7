package sensor

import (
	"reflect"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// packetChange is what a reload does to the packet sources: one that is not quite the
// same as before is another.
type packetChange struct {
	kept  []*packetSource
	gone  []*packetSource
	fresh []pcap.Config
}

func comparePackets(old []*packetSource, wanted []pcap.Config) packetChange {
	var ch packetChange
	for _, c := range wanted {
		i := slices.IndexFunc(old, func(src *packetSource) bool { return reflect.DeepEqual(src.config, c) })
		if i < 0 {
			ch.fresh = append(ch.fresh, c)
		} else {
			ch.kept = append(ch.kept, old[i])
		}
	}
	for _, src := range old {
		if !slices.Contains(ch.kept, src) {
			ch.gone = append(ch.gone, src)
		}
	}
	return ch
}

// meanwhile is a policy until the captures that go have ended: what they still bring
// is answers to their resolvers, whose addresses must not leave in them.
func (ch *packetChange) meanwhile(policy transform.Config) transform.Config {
	policy.Resolvers = slices.Clone(policy.Resolvers)
	for _, src := range ch.gone {
		policy.Resolvers = append(policy.Resolvers, src.config.Resolvers...)
	}
	return policy
}

// replacePackets stops the captures that are gone and starts the fresh ones, which
// have nothing of what came before. s.mu is held.
func (s *Sensor) replacePackets(ch packetChange, fresh []*packetSource) {
	for _, src := range ch.gone {
		src.stop()
		gone := src.stats()
		gone.Removed = true
		s.gone = addStats(s.gone, gone)
	}
	s.packets = append(ch.kept, fresh...)
	for _, src := range fresh {
		src.task = s.start(src.config.Name, src.capture.Run)
	}
}
