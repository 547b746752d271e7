package sensor

import (
	"reflect"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

func compareKafka(old []*kafkaSource, wanted *conf.Config) exactChange[*kafkaSource, kafka.Config] {
	return compareExactly(old, wanted.Kafka, func(src *kafkaSource, c kafka.Config) bool {
		return reflect.DeepEqual(src.config, c) && src.ids == wanted.SourceIDs[c.Name]
	})
}

// stopKafka stops sources, which confirm and commit what they have read. They do so before the
// sinks change: new sinks may not wait, and a source must not commit what they drop. The caller
// holds s.mu.
func (s *Sensor) stopKafka(sources []*kafkaSource) {
	for _, src := range sources {
		src.cancel()
	}
	for _, src := range sources {
		src.stop()
		s.removedKafka = addKafka(s.removedKafka, KafkaStats{Name: src.config.Name, Removed: true, Commit: src.config.Commit, Stats: src.member.Stats()})
		s.kafka = slices.DeleteFunc(s.kafka, func(o *kafkaSource) bool { return o == src })
	}
}

// restartKafka starts sources like those that stopKafka has stopped, after a reload that failed. The
// caller holds s.mu.
func (s *Sensor) restartKafka(stopped []*kafkaSource) {
	for _, src := range stopped {
		s.startKafka(s.newKafka(src.config, src.ids))
	}
}

// startKafka starts a source, after Run has started the others. The caller holds s.mu.
func (s *Sensor) startKafka(src *kafkaSource) {
	src.task = s.start(src.config.Name, src.member.Run)
	s.kafka = append(s.kafka, src)
}
