package sensor

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

func kafkaBlock(topic string) string {
	return `source "kafka" "topic" {
		brokers = ["127.0.0.1:1"]
		topic   = "` + topic + `"
		group   = "collection"
	}
`
}

// A fakeMember reads nothing. Where the real one confirms and commits, it calls atEnd.
type fakeMember struct{ atEnd func() }

func (m *fakeMember) Run(ctx context.Context) error {
	<-ctx.Done()
	m.atEnd()
	return nil
}

func (m *fakeMember) Stats() kafka.Stats { return kafka.Stats{Commits: 1} }

// startFake starts a sensor with a sink "old" and a Kafka source of the topic "dns", whose members are
// fakes. joined are the topics of all members so far.
func startFake(t *testing.T, atEnd func(*testSensor)) (h *testSensor, joined *[]string) {
	t.Helper()
	h, joined = start(t, sourceBlock("one", "one.sock")+sinkBlock("old")), new([]string)
	h.mu.Lock()
	h.join = func(c kafka.Config, inlet kafka.Inlet) member {
		*joined = append(*joined, c.Topic)
		return &fakeMember{func() { atEnd(h) }}
	}
	h.mu.Unlock()
	h.reload(t, kafkaBlock("dns")+sinkBlock("old"))
	return h, joined
}

func TestAKafkaSourceEndsBeforeTheSinks(t *testing.T) {
	errs := make(chan error, 1)
	h, _ := startFake(t, func(h *testSensor) { errs <- h.forwarder.Apply(h.policy, nil, h.ids) })
	h.stop()
	if err := <-errs; err != nil {
		t.Errorf("when the source committed: %v", err)
	}
}

func TestAReloadStopsAKafkaSourceBeforeItChangesSinks(t *testing.T) {
	var sinks []string
	h, joined := startFake(t, func(h *testSensor) {
		for _, s := range h.Ledger().Sinks {
			if !s.Removed {
				sinks = append(sinks, s.Name)
			}
		}
	})
	h.reload(t, kafkaBlock("raw")+sinkBlock("new"))
	if diff := cmp.Diff([]string{"old"}, sinks); diff != "" {
		t.Errorf("sinks when the source committed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"dns", "raw"}, *joined); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]KafkaStats{{Name: "topic", Commit: 10 * time.Minute, Stats: kafka.Stats{Commits: 2}}}, h.Kafka()); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	h.reload(t, sourceBlock("one", "one.sock")+sinkBlock("new"))
	if diff := cmp.Diff([]KafkaStats{{Name: "topic", Removed: true, Commit: 10 * time.Minute, Stats: kafka.Stats{Commits: 2}}}, h.State().Kafka); diff != "" {
		t.Errorf("accounts without the source (-want +got):\n%s", diff)
	}
}

func TestAnUnchangedKafkaSourceContinues(t *testing.T) {
	ended := make(chan struct{})
	h, joined := startFake(t, func(*testSensor) { close(ended) })
	h.reload(t, kafkaBlock("dns")+sinkBlock("new"))
	select {
	case <-ended:
		t.Error("the source was stopped")
	default:
	}
	if len(*joined) != 1 {
		t.Errorf("%d members joined, want 1", len(*joined))
	}
}

// TestAFailedReloadResumesAKafkaSource, which had to stop before the sinks were changed.
func TestAFailedReloadResumesAKafkaSource(t *testing.T) {
	h, joined := startFake(t, func(*testSensor) {})
	without := `aggregate "a" {
		root_zone = "/none/root.zone"
	}
`
	if err := h.Reload(h.config(t, kafkaBlock("raw")+without+sinkBlock("new"))); err == nil {
		t.Fatal("a configuration with a root zone that does not exist is in force")
	}
	if diff := cmp.Diff([]string{"dns", "dns"}, *joined); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]KafkaStats{{Name: "topic", Commit: 10 * time.Minute, Stats: kafka.Stats{Commits: 2}}}, h.Kafka()); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	if err := h.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

func TestChangesOfKafkaSources(t *testing.T) {
	old := []*kafkaSource{{config: kafka.Config{Name: "topic", Topic: "dns"}, ids: nmsg.IDs{Source: 7}}}
	for name, tt := range map[string]struct {
		wanted kafka.Config
		ids    nmsg.IDs
		kept   bool
	}{
		"the same":    {kafka.Config{Name: "topic", Topic: "dns"}, nmsg.IDs{Source: 7}, true},
		"other name":  {kafka.Config{Name: "other", Topic: "dns"}, nmsg.IDs{Source: 7}, false},
		"other topic": {kafka.Config{Name: "topic", Topic: "raw"}, nmsg.IDs{Source: 7}, false},
		"other ids":   {kafka.Config{Name: "topic", Topic: "dns"}, nmsg.IDs{}, false},
	} {
		ch := compareKafka(old, &conf.Config{Kafka: []kafka.Config{tt.wanted}, SourceIDs: map[string]nmsg.IDs{tt.wanted.Name: tt.ids}})
		kept, changed := len(ch.kept), len(ch.added)
		if (kept == 1) != tt.kept || (changed == 0) != tt.kept || len(ch.removed) != changed {
			t.Errorf("%s: %d kept, %d added, %d removed", name, kept, changed, len(ch.removed))
		}
	}
	if ch := compareKafka(old, &conf.Config{}); len(ch.removed) != 1 || len(ch.kept)+len(ch.added) != 0 {
		t.Errorf("without the source: %+v", ch)
	}
}

// TestCountersOfAKafkaSourceNeverDecrease: a changed source is another one of the same name.
func TestCountersOfAKafkaSourceNeverDecrease(t *testing.T) {
	at := time.Unix(1, 0)
	earlier := kafka.Stats{Containers: 1, Bytes: 2, NotNMSG: 3, Repeated: 4, Commits: 5, Failures: 6, Rebalances: 7, OutOfRange: 8, Partitions: 8, Lag: 9, Committed: at, Error: "failed"}
	later := kafka.Stats{Containers: 10, Bytes: 20, NotNMSG: 30, Repeated: 40, Commits: 50, Failures: 60, Rebalances: 70, OutOfRange: 80, Partitions: 80, Lag: 90}
	all := addKafka(nil, KafkaStats{Name: "topic", Removed: true, Stats: earlier})
	all = addKafka(all, KafkaStats{Name: "other", Stats: later})
	all = addKafka(all, KafkaStats{Name: "topic", Stats: later})
	want := []KafkaStats{
		{Name: "topic", Stats: kafka.Stats{Containers: 11, Bytes: 22, NotNMSG: 33, Repeated: 44, Commits: 55, Failures: 66, Rebalances: 77, OutOfRange: 88, Partitions: 80, Lag: 90, Committed: at}},
		{Name: "other", Stats: later},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPayloadKeepsItsOwnIDs(t *testing.T) {
	i := kafkaInlet{ids: nmsg.IDs{Source: 1, Operator: 2}}
	for ids, want := range map[nmsg.IDs]nmsg.IDs{
		{}:                                 {Source: 1, Operator: 2},
		{Source: 9}:                        {Source: 9, Operator: 2},
		{Source: 9, Operator: 8, Group: 7}: {Source: 9, Operator: 8, Group: 7},
	} {
		if got := i.complete(ids); got != want {
			t.Errorf("%+v: got %+v, want %+v", ids, got, want)
		}
	}
}

// A failingMember cannot reach its brokers.
type failingMember struct{ fakeMember }

func (*failingMember) Stats() kafka.Stats { return kafka.Stats{Error: "no broker answers"} }

func TestASensorIsNotReadyWhileItsKafkaSourceFails(t *testing.T) {
	h, _ := startFake(t, func(*testSensor) {})
	h.mu.Lock()
	h.kafka[0].member = &failingMember{}
	h.mu.Unlock()
	if err := h.Ready(); err == nil || err.Error() != `source "topic": reading from Kafka fails` {
		t.Errorf("got %v", err)
	}
}
