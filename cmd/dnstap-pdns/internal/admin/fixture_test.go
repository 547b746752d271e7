package admin

import (
	"net/netip"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// counts returns counts with about n records, paired and held messages, and some dropped ones.
func counts(n uint64) (c transform.Counts) {
	c.Records, c.Paired, c.Held = n, n+1, n+2
	for _, r := range transform.Reasons() {
		c.Dropped[r] = uint64(r)
	}
	for _, r := range transform.Rules() {
		c.Scrubbed[r] = 100 * uint64(r)
	}
	c.Read = c.Sum()
	return c
}

// fullState returns a state with sources, sinks and counts of every kind. Two are equal only in a
// synctest bubble, where the time is fixed.
func fullState() sensor.State {
	now := time.Now()
	s := sensor.State{QueryRoom: 12, QueryRoomMax: 131072}
	s.Ledger.Resolver = forward.ResolverLedger{Known: 4096, Full: true}
	for i, name := range []string{"gone", "local", "remote", "span", "topic"} {
		l := forward.SourceLedger{Name: name, Lanes: i, Counts: counts(uint64(10 * i))}
		if name == "local" {
			l.LastOutward, l.Clock, l.ResolverKnown = now.Add(-time.Second), transform.Time(now.Add(-2*time.Second).UnixNano()), true
		}
		s.Ledger.Sources = append(s.Ledger.Sources, l)
		s.Ledger.Total.Add(&l.Counts)
	}
	s.Dnstap = []sensor.DnstapState{{
		Name:    "local",
		Stats:   collector.Stats{Open: 2, Accepted: 7, Refused: 1, Displaced: 2, AcceptErrors: 3, HandshakesFailed: 4, Broken: 5, SocketsRestored: 6},
		Problem: collector.SocketProblem{Says: "the socket file was removed or replaced", Do: "Restart it."},
		Failure: collector.HandshakeFailure{Time: now.Add(-time.Minute), Error: "STOP instead of START"},
		Connections: []collector.Connection{
			{Number: 3, Peer: collector.Peer{UID: 104, PID: 4711}, Since: now.Add(-time.Hour), Identity: "ns\x1b[2J", Version: "unbound 1.17.1",
				Bidirectional: true, Frames: 500, Outward: 400},
			{Number: 7, Peer: collector.Peer{UID: 0}, Since: now.Add(-time.Minute), Remedy: collector.RemedyFor("unbound")},
		},
	}, {
		Name: "remote", TLS: true, Certificate: certs.Certificate{Expires: now.Add(24 * time.Hour), Problem: "it is cut off"},
		Connections: []collector.Connection{
			{Number: 1, Peer: collector.Peer{Address: netip.MustParseAddrPort("192.0.2.1:5"), Name: "resolver.example"}, Since: now.Add(-time.Hour)}},
	}, {
		Name: "unused",
	}}
	rings := ring.Stats{Counts: ring.Counts{Packets: 1000, Drops: 10, Damaged: 1}, Interfaces: []ring.InterfaceStats{
		{Name: "eth1", Up: true, Counts: ring.Counts{Packets: 990, Drops: 10}}, {Name: "eth2", Counts: ring.Counts{Packets: 10}}}}
	s.Packets = []sensor.PacketStats{{Name: "before", Removed: true}, {Name: "remote", Removed: true}, {Name: "span", Stats: pcap.Stats{
		Captures: 1, Capturing: true, Packets: packet.Stats{Packets: 1000, Other: 3}, Rings: rings}}}
	queries := &s.Packets[2].Packets.Queries
	queries.Unlisted = 5
	queries.Senders.Add(netip.MustParseAddr("192.0.2.54"), 5)
	s.Kafka = []sensor.KafkaStats{{Name: "earlier", Removed: true, Commit: time.Minute, Stats: kafka.Stats{Containers: 5, Commits: 1, Partitions: 2, Error: "away", Failing: now}}, {
		Name: "topic", Commit: 10 * time.Minute, Stats: kafka.Stats{
			Containers: 1000, Bytes: 200_000, NotNMSG: 7, Repeated: 6, Commits: 5, Failures: 4, OutOfRange: 3, Rebalances: 2, Partitions: 16, Lag: 123_456,
			Committed: now.Add(-41 * time.Minute), Uncommitted: now.Add(-40 * time.Minute), Error: "no broker\nanswers", Failing: now.Add(-30 * time.Second)}}}
	s.Ledger.Sinks = []forward.SinkLedger{
		sinkLedger("files", 0),
		sinkLedger("out", 100),
		sinkLedger("past", 1000),
	}
	s.Ledger.Sinks[1].Error, s.Ledger.Sinks[1].FailingSince = "connection refused\nno address", now.Add(-time.Minute)
	s.Ledger.Sinks[0].Draining, s.Ledger.Sinks[2].Removed = true, true
	sie := sinkLedger("sie", 200)
	sie.Target = "wss://sie.example/session/campus"
	sie.Spooled, sie.Resumed = 30, 30
	sie.Filtered = forward.FilterCounts{forward.ByNames: 7, forward.ByTypes: 5}
	sie.Lost = forward.LossCounts{forward.SpoolFull: 4, forward.SpoolDamaged: 2}
	sie.Offered = sie.Sum() - sie.Resumed
	sie.Spool = &forward.SpoolState{Bytes: 5000, MaxBytes: 1 << 30, Oldest: now.Add(-time.Hour), Full: true, Damaged: 2}
	sie.Peer, sie.Expires = &forward.Acknowledgement{Last: now.Add(-time.Minute)}, now.Add(24*time.Hour)
	s.Ledger.Sinks = append(s.Ledger.Sinks, sie)
	rrsets := sinkLedger("rrsets", 300)
	rrsets.Target, rrsets.Sent = forward.Target{Scheme: forward.Aggregate}.String(), forward.Sent{}
	rrsets.Written, rrsets.OnRotate, rrsets.Files = 0, forward.CommandRuns{}, forward.Files{}
	rrsets.Offered = rrsets.Sum()
	rrsets.RRsets = &forward.RRsets{
		Outcomes: rrset.Counts{Held: 5, By: [...]uint64{rrset.Exact: 900, rrset.OutOfZone: 80, rrset.Unverified: 15, rrset.Malformed: 5}},
		Refused:  1, Emitted: 700, Evicted: 2, Lost: 3, Entries: 200, Bytes: 1 << 20, SaveFailures: 4, Saved: now.Add(-30 * time.Second),
		Received: 40, Unreleased: 9, Waiting: 8, FullDomains: 1,
		Withheld: transform.ReasonCounts{transform.LocalName: 6, transform.ResolverAddress: 1},
	}
	dedupe := sinkLedger("dedupe", 70)
	dedupe.From = "rrsets"
	buffers := sinkLedger("buffers", 400)
	buffers.Target, buffers.Buffered, buffers.Peer = "kafka://broker.example:9092/dns.rrsets", &forward.Buffered{Bytes: 65536}, &forward.Acknowledgement{Last: now.Add(-2 * time.Second)}
	s.Ledger.Sinks = append(s.Ledger.Sinks, rrsets, dedupe, buffers)
	return s
}

// sinkLedger returns the ledger of a sink that delivered n records.
func sinkLedger(name string, n uint64) forward.SinkLedger {
	l := forward.SinkLedger{Name: name, Target: "udp://192.0.2.80:9430", Delivered: n, Queued: n / 10, Filtered: forward.FilterCounts{forward.ByFormat: n / 100}, QueueBytes: int64(n), QueueMax: 16 << 20,
		Sent: forward.Sent{Containers: n / 50, Datagrams: n / 20, Bytes: n * 100}}
	if n > 0 {
		l.Lost[forward.QueueFull], l.OnRotate.Failed = 3, 1
		l.Files.Deleted, l.Files.Retried, l.Written = n/100, n/1000, n/20
	}
	l.Offered = l.Sum()
	return l
}

// viewOf returns a view of a state, of a sensor that started an hour ago.
func viewOf(state func() sensor.State) *View {
	started := time.Now().Add(-time.Hour)
	return &View{
		Version: "v1.2.3", GoVersion: "go1.26", Started: started, State: state,
		Domains: func(n int) []transform.DomainCount {
			return []transform.DomainCount{{Domain: "evil.example", ResolverAddress: 3, Lookup: 2, LocalNameInside: uint64(n)}}
		},
		Warnings: func() []conf.Warning {
			return []conf.Warning{{Name: "public_suffix", Problem: "a suffix", Advice: "Name it."}, {Name: "public_suffix", Problem: "another", Advice: "Name it."}}
		},
		Reload: func() Reload {
			return Reload{OK: false, Time: started.Add(time.Minute), InForceSince: started, Error: "no such sink\nno such source", Advice: "Fix it."}
		},
	}
}
