package sensor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A kafkaSource is a member of a consumer group and the goroutine that runs it.
type kafkaSource struct {
	config kafka.Config
	ids    nmsg.IDs // of payloads that have none
	member member
	task
}

// A member is a [kafka.Source].
type member interface {
	Run(context.Context) error
	Stats() kafka.Stats
}

// newKafka returns a source. The forwarder has to have sinks already.
func (s *Sensor) newKafka(c kafka.Config, ids nmsg.IDs) *kafkaSource {
	inlet := kafkaInlet{s.forwarder.Inlet(c.Name), ids}
	return &kafkaSource{config: c, ids: ids, member: s.join(c, inlet)}
}

// A kafkaInlet is the inlet of a source. Numbers that a payload lacks are those of the source.
type kafkaInlet struct {
	*forward.Inlet
	ids nmsg.IDs
}

func (i kafkaInlet) Record(ctx context.Context, r *transform.Record, ids nmsg.IDs) {
	i.Inlet.Record(ctx, r, i.complete(ids))
}

func (i kafkaInlet) RRset(ctx context.Context, a *rrset.Aggregate, ids nmsg.IDs) {
	i.Inlet.RRset(ctx, a, i.complete(ids))
}

func (i kafkaInlet) complete(ids nmsg.IDs) nmsg.IDs {
	return nmsg.IDs{
		Source:   cmp.Or(ids.Source, i.ids.Source),
		Operator: cmp.Or(ids.Operator, i.ids.Operator),
		Group:    cmp.Or(ids.Group, i.ids.Group),
	}
}

// KafkaStats contains the account of a Kafka source that is not in the account of messages. Its
// counters include those of earlier sources of the same name.
type KafkaStats struct {
	Name    string
	Removed bool          // by a reload
	Commit  time.Duration // the interval of commits
	kafka.Stats
}

// Kafka returns the accounts of the Kafka sources. Sources that a reload removed come first.
func (s *Sensor) Kafka() []KafkaStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kafkaStats()
}

// kafkaStats is Kafka for callers that hold s.mu.
func (s *Sensor) kafkaStats() []KafkaStats {
	all := slices.Clone(s.removedKafka)
	for _, src := range s.kafka {
		all = addKafka(all, KafkaStats{Name: src.config.Name, Commit: src.config.Commit, Stats: src.member.Stats()})
	}
	return all
}

// addKafka adds the counters of a source to those of earlier sources of its name, which it replaces.
func addKafka(all []KafkaStats, k KafkaStats) []KafkaStats {
	i := slices.IndexFunc(all, func(earlier KafkaStats) bool { return earlier.Name == k.Name })
	if i < 0 {
		return append(all, k)
	}
	earlier := &all[i].Stats
	k.Containers += earlier.Containers
	k.Bytes += earlier.Bytes
	k.NotNMSG += earlier.NotNMSG
	k.Repeated += earlier.Repeated
	k.Commits += earlier.Commits
	k.Failures += earlier.Failures
	k.OutOfRange += earlier.OutOfRange
	k.Rebalances += earlier.Rebalances
	if k.Committed.IsZero() {
		k.Committed = earlier.Committed
	}
	all[i] = k
	return all
}
