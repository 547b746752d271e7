package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
)

// TestClosingLineOfAKafkaSource: a source that ended has no partitions, so they are omitted.
func TestClosingLineOfAKafkaSource(t *testing.T) {
	var b bytes.Buffer
	logKafka(slog.New(slog.NewTextHandler(&b, nil)), []sensor.KafkaStats{
		{Name: "topic", Stats: kafka.Stats{Containers: 9, Bytes: 800, NotNMSG: 7, Repeated: 6, Commits: 5, Failures: 4, OutOfRange: 3, Rebalances: 2,
			Committed: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}},
		{Name: "unread"},
	})
	want := `level=INFO msg=kafka source=topic containers=9 bytes=800 not_nmsg=7 repeated=6 commits=5 failures=4 out_of_range=3 rebalances=2 last_commit=2026-11-24T12:00:00.000Z
level=INFO msg=kafka source=unread containers=0 bytes=0 not_nmsg=0 repeated=0 commits=0 failures=0 out_of_range=0 rebalances=0
`
	got := ""
	for line := range strings.Lines(b.String()) {
		_, line, _ = strings.Cut(line, " ")
		got += line
	}
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
