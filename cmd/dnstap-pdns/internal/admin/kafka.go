package admin

import (
	"fmt"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Kafka is the counts of a Kafka source, except messages, and its state as a member of its group.
type Kafka struct {
	kafka.Stats

	CommitInterval float64  `json:"commit_interval_seconds"`
	Failing        *Failing `json:"failing,omitempty"`
}

func kafkaOf(k *sensor.KafkaStats) *Kafka {
	shown := &Kafka{Stats: k.Stats, CommitInterval: k.Commit.Seconds()}
	shown.Committed, shown.Uncommitted = k.Committed.UTC(), k.Uncommitted.UTC()
	shown.Error, shown.Stats.Failing = "", time.Time{}
	if k.Error != "" && !k.Removed {
		shown.Failing = &Failing{k.Stats.Failing.UTC(), oneLine(k.Error)}
	}
	return shown
}

// metrics emits the counters, and the state unless a reload removed the source.
func (k *Kafka) metrics(e emit, removed bool, source label) {
	for _, r := range k.Rows() {
		if r.Kind == transform.Counter || !removed {
			e(r.Metric, r.Meaning, r.Kind, float64(r.Value), source)
		}
	}
	if removed {
		return
	}
	e.gauge("source_kafka_failing", "whether the member fails: it cannot reach the group or its messages, the sinks do not confirm, or it cannot commit", gaugeOf(k.Failing != nil), source)
	e.gauge("source_kafka_commit_interval_seconds", "the attribute commit of the source", k.CommitInterval, source)
	e.gauge("source_kafka_last_commit_timestamp_seconds", "when the member committed last; 0: it has not yet", seconds(k.Committed), source)
	e.gauge("source_kafka_uncommitted_timestamp_seconds", "when the member read the first message that is not committed; 0: all are", seconds(k.Uncommitted), source)
}

// hasKafka reports whether the configuration has a Kafka source, and so no source of a resolver.
func (l *Ledger) hasKafka() bool {
	for i := range l.Sources {
		if l.Sources[i].Kind == KindKafka {
			return true
		}
	}
	return false
}

func (l *Ledger) warnOfKafka(w *warnings, s *Source) {
	name, k := fmt.Sprintf("source %q: ", s.Name), s.Kafka
	switch {
	case k.Failing != nil:
		w.add(fmt.Sprintf("%sreading from Kafka fails since %s: %s", name, l.ago(k.Failing.Since), k.Failing.Error),
			"Fix what the error names: the brokers, the password, the rights to the topic and the group, or a sink that does not confirm. The source tries again by itself, and continues at its latest commit; what it has missed by then is in the topic for its retention.")
	case k.Partitions == 0:
		w.add(name+"no partition is assigned to it, and it reads nothing",
			"If the group has as many other members as the topic has partitions, stop this one: it reads only when another ends. Otherwise see that the topic exists, and what the brokers report about the group.")
	}
	if since := l.Time.Sub(k.Uncommitted); !k.Uncommitted.IsZero() && since > maxIntervals*k.interval()+commitNotice {
		w.add(fmt.Sprintf("%swhat it has read has not been committed for %s", name, rounded(since)),
			"A sink does not confirm: see which one fails, or has records that wait. Until then the source reads no more, and after a kill it reads again from its latest commit.")
	}
	if lag := l.lagTime(k); lag > maxLagTime {
		w.add(fmt.Sprintf("%s%d messages of its partitions are not read yet, which take about %s at its rate so far", name, k.Lag, rounded(lag)),
			"If the number shrinks, wait. Otherwise start more members of the group, up to the number of partitions, or find the sink that is slow: what exceeds the retention of the topic is lost.")
	}
	if n := k.OutOfRange; n > 0 {
		w.add(fmt.Sprintf("%smessages had been deleted before they were read %d times since the start, or the topic was made anew", name, n),
			"Increase the retention of the topic (retention.ms, retention.bytes), or start more members. The log contains the partitions and offsets.")
	}
	if n := k.NotNMSG; n > 0 {
		w.add(fmt.Sprintf("%s%d messages were not one NMSG container since the start, %s", name, n, Share(n, n+k.Containers)),
			"Find out who else writes to the topic, and give only sensors the right to do so.")
	}
}

func (k *Kafka) interval() time.Duration {
	return time.Duration(k.CommitInterval * float64(time.Second))
}

// lagTime returns how long the member needs for the messages that it has not read yet, at its rate since
// the start.
func (l *Ledger) lagTime(k *Kafka) time.Duration {
	read := k.Containers + k.NotNMSG
	if k.Lag <= 0 || read == 0 {
		return 0
	}
	return time.Duration(float64(l.Time.Sub(l.Started)) * float64(k.Lag) / float64(read))
}
