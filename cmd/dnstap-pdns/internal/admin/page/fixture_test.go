package page

import (
	"log/slog"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/observers"
	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// hostile is a text that a peer may send.
const hostile = `<img src=x onerror=alert(1)>"'&`

func mustPage(t *testing.T, ledger func() admin.Ledger) *Page {
	t.Helper()
	p, err := New("sensor1"+hostile, ledger, new(observers.Set), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// messages returns the account of n records, and if all is true of messages of every other kind.
func messages(n uint64, all bool) admin.Messages {
	c := transform.Counts{Records: n}
	if all {
		c.Paired, c.Held = n+1, 2
		for _, r := range transform.Reasons() {
			c.Dropped[r] = 1000 + uint64(r)
		}
		for _, r := range transform.Rules() {
			c.Scrubbed[r] = 2_000_000 + uint64(r)
		}
	}
	c.Read = c.Sum()
	return admin.MessagesOf(&c)
}

// full returns a ledger with entries and counts of every kind, and with hostile texts.
func full() admin.Ledger {
	now, uid := time.Now(), uint32(104)
	l := admin.Ledger{Time: now, Version: "v1.2.3", GoVersion: "go1.26", Started: now.Add(-time.Hour),
		Reload:  admin.Reload{Time: now.Add(-time.Minute), InForceSince: now.Add(-time.Hour), Error: hostile},
		Total:   messages(1_234_567, true),
		Pairing: admin.Pairing{Used: 12, Max: 131072},
		Sources: []admin.Source{
			{Name: hostile, Kind: admin.KindDnstap, Messages: messages(1_234_567, true), LastOutward: now, Dnstap: &admin.Dnstap{Connections: []admin.Connection{
				{Number: 3, UID: &uid, PID: 4711, Since: now.Add(-time.Hour), Identity: hostile, Version: hostile, Frames: 5678, Outward: 4567},
				{Number: 4, Client: hostile, Since: now, Remedy: &admin.Remedy{Sender: "Unbound", Advice: "set this"}},
			}}},
			{Name: "span", Kind: admin.KindPcap, Pcap: &admin.Packets{Capturing: true, WhenIdle: true, Counts: map[string]uint64{"packets": 8765},
				Interfaces: []admin.Interface{{Name: "eth1", Up: true, Received: 7654, Dropped: 6543}, {Name: "eth2"}}}},
			{Name: "topic", Kind: admin.KindKafka, Kafka: &admin.Kafka{Failing: &admin.Failing{Since: now.Add(-time.Minute), Error: hostile}, Stats: kafka.Stats{
				Containers: 11_111, Lag: 22_222, Partitions: 16, OutOfRange: 33_333, Committed: now.Add(-2 * time.Minute), Uncommitted: now.Add(-90 * time.Second)}}},
			{Name: "reserve", Kind: admin.KindKafka, Kafka: &admin.Kafka{}},
			{Name: "before", Kind: admin.KindRemoved},
		},
	}
	l.Sources[0].Dnstap.Accepted = 3
	for _, s := range []forward.SinkLedger{{Name: hostile, Error: hostile, FailingSince: now.Add(-time.Minute)}, {Name: "files", Draining: true,
		Spooled: 6, Filtered: forward.FilterCounts{forward.ByTypes: 7}, Spool: &forward.SpoolState{Bytes: 2 << 20, MaxBytes: 1 << 30, Oldest: now.Add(-time.Minute), Full: true},
		Peer: &forward.Acknowledgement{Last: now.Add(-time.Second)}, Buffered: &forward.Buffered{Bytes: 3 << 20}, Expires: now.Add(90 * 24 * time.Hour)}, {Name: "past", Removed: true}} {
		s.Delivered, s.Written, s.Queued, s.QueueMax = 98765, 4321, 5, 1<<20
		for _, why := range forward.Losses() {
			s.Lost[why] = 3000 + uint64(why)
		}
		s.Offered = s.Sum()
		l.Sinks = append(l.Sinks, admin.SinkOf(&s))
	}
	return l
}

// empty returns the ledger of a sensor that has just started.
func empty() admin.Ledger {
	now := time.Now()
	return admin.Ledger{Time: now, Started: now, Reload: admin.Reload{OK: true, Time: now, InForceSince: now}, Total: messages(0, false),
		Sources: []admin.Source{{Name: "local", Kind: admin.KindDnstap, Dnstap: &admin.Dnstap{}}},
		Sinks:   []admin.Sink{admin.SinkOf(&forward.SinkLedger{Name: "files"})}}
}
