package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// well returns the ledger of a sensor without problems.
func well() *Ledger {
	return &Ledger{
		Time:    noon,
		Started: noon.Add(-time.Hour),
		Reload:  Reload{OK: true, Time: noon.Add(-time.Hour), InForceSince: noon.Add(-time.Hour)},
		Sources: []Source{{
			Name: "local", Kind: KindDnstap,
			LastOutward: noon.Add(-time.Second), MessageClock: noon.Add(-2 * time.Second),
			Dnstap: &Dnstap{
				Connections: []Connection{{Number: 3, Since: noon.Add(-time.Hour)}},
				Certificate: &Certificate{Expires: noon.Add(15 * 24 * time.Hour)},
			},
		}, {
			Name: "span", Kind: KindPcap, LastOutward: noon.Add(-time.Second), MessageClock: noon.Add(-time.Second),
			Pcap: &Packets{Capturing: true, Interfaces: []Interface{{Name: "eth1", Up: true, Received: 9990}}},
		}, {
			Name: "old", Kind: KindRemoved,
		}},
		Sinks:    []Sink{{Name: "out", Offered: 10, Delivered: 9, Queued: 1, QueueMax: 1000}},
		Resolver: &Resolver{Known: 2, Public: true},
	}
}

// collects makes l the ledger of a collection that read 10,000 containers in an hour, and returns its
// source.
func (l *Ledger) collects() *Kafka {
	k := &Kafka{CommitInterval: 600}
	k.Containers, k.Commits, k.Partitions, k.Committed = 9990, 6, 16, noon.Add(-time.Minute)
	l.Sources = []Source{{Name: "topic", Kind: KindKafka, LastOutward: noon.Add(-time.Minute), Kafka: k}}
	l.Resolver = &Resolver{}
	return k
}

func TestASensorWithoutProblemsHasNoWarnings(t *testing.T) {
	if got := well().Warnings(); got != nil {
		t.Errorf("got %q", got)
	}
}

func TestWarnings(t *testing.T) {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	for name, tt := range map[string]struct {
		breaks func(*Ledger)
		want   string // the problem; empty: no warning
		do     string // a part of the remedy
	}{
		"no resolver": {func(l *Ledger) { l.Sources[0].Dnstap.Connections = nil },
			`source "local": no resolver is connected`, "dnstap-pdns check"},
		"a handshake failed": {func(l *Ledger) {
			l.Sources[0].Dnstap.Failure = &HandshakeFailure{ago(9 * time.Minute), "an HTTP request"}
		}, `source "local": a handshake failed 2026-11-24T11:51:00Z (9m ago): an HTTP request`, "address"},
		"a handshake failed long ago": {func(l *Ledger) {
			l.Sources[0].Dnstap.HandshakesFailed = 3
			l.Sources[0].Dnstap.Failure = &HandshakeFailure{ago(10 * time.Minute), "an HTTP request"}
		}, "", ""},
		"frames above the limit": {func(l *Ledger) {
			l.Sources[0].Messages = Messages{Read: 200, Records: 198, Dropped: map[string]uint64{"oversize": 2}}
			l.Total = l.Sources[0].Messages
		}, `source "local": 2 frames were longer than max_frame since the start, 1.00 %`, "max_frame"},
		"broken framing": {func(l *Ledger) { l.Sources[0].Dnstap.Broken = 2 },
			`source "local": 2 connections were closed because of broken framing since the start`, "log"},
		"socket file is gone": {func(l *Ledger) {
			l.Sources[0].Dnstap.Problem = &Problem{"the socket file was removed or replaced", "Restart it."}
		}, `source "local": resolvers cannot connect: the socket file was removed or replaced`, "Restart it."},
		"socket file was gone": {func(l *Ledger) { l.Sources[0].Dnstap.SocketsRestored = 2 },
			`source "local": the socket file was removed or replaced 2 times since the start, and created again`, "RuntimeDirectory"},
		"only client messages": {func(l *Ledger) {
			l.Sources[0].Dnstap.Connections[0].Remedy = &Remedy{"Unbound", "set this: yes"}
			l.Sources[0].LastOutward = time.Time{} // the remedy replaces this warning
		}, `source "local": connection 3 brings nothing outward, from Unbound`, "set this: yes."},
		"silent": {func(l *Ledger) { l.Sources[0].LastOutward = ago(6 * time.Minute) },
			`source "local": nothing outward has come for 6m, though a resolver is connected`, "Ask the resolver"},
		"silent from the start": {func(l *Ledger) { l.Sources[0].LastOutward, l.Sources[0].MessageClock = time.Time{}, time.Time{} },
			`source "local": nothing outward has come for 60m, though a resolver is connected`, ""},
		"silent, but connected just now": {func(l *Ledger) {
			l.Sources[0].LastOutward = ago(time.Hour)
			l.Sources[0].Dnstap.Connections[0].Since = ago(time.Minute)
		}, "", ""},
		"silent for less than five minutes": {func(l *Ledger) {
			l.Sources[0].LastOutward, l.Sources[0].MessageClock = ago(4*time.Minute), ago(4*time.Minute)
		}, "", ""},
		"no address of the resolver": {func(l *Ledger) { *l.Resolver = Resolver{} },
			"no public address of the resolver is known: messages contain none, and the configuration names none", "scrub.resolvers"},
		"private addresses only, of messages and of the configuration": {func(l *Ledger) {
			*l.Resolver, l.ResolversConfigured, l.Sources[0].ResolverKnown = Resolver{Known: 3}, true, true
			l.Sources[0].LastOutward, l.Sources[0].MessageClock = time.Time{}, time.Time{} // the other source has messages
			l.Sources[0].Dnstap.Connections[0].Since = ago(time.Minute)
		}, "no public address of the resolver is known: messages contain none, and the configuration names none", "NAT"},
		"no address, and nothing outward so far": {func(l *Ledger) {
			*l.Resolver, l.Started = Resolver{}, ago(time.Minute)
			for i := range l.Sources {
				l.Sources[i].LastOutward, l.Sources[i].MessageClock = time.Time{}, time.Time{}
			}
			l.Sources[0].Dnstap.Connections[0].Since = ago(time.Minute)
		}, "", ""},
		"an undecided configuration": {func(l *Ledger) {
			l.ConfigWarnings = []ConfigWarning{{"local_names_undecided", "scrub.local_names is not set", "Name your own domains."}}
		}, "scrub.local_names is not set", "Name your own domains."},
		"no configured address of the resolver, but messages contained some": {func(l *Ledger) {
			l.ConfigWarnings = []ConfigWarning{{conf.ResolverUnknown, "scrub.resolvers has none", ""}}
		}, "", ""},
		"too many addresses": {func(l *Ledger) { l.Resolver.Full = true },
			"more than 4,096 addresses of the resolver were seen, and the oldest are forgotten", "prefix in scrub.resolvers"},
		"a sensor of a version that reports no addresses": {func(l *Ledger) { l.Resolver = nil }, "", ""},
		"certificate ends": {func(l *Ledger) { l.Sources[0].Dnstap.Certificate.Expires = noon.Add(13 * 24 * time.Hour) },
			`source "local": its certificate expires on 2026-12-07`, "Renew"},
		"certificate ended": {func(l *Ledger) { l.Sources[0].Dnstap.Certificate.Expires = ago(time.Hour) },
			`source "local": its certificate expired on 2026-11-24`, "Renew"},
		"TLS files are bad": {func(l *Ledger) { l.Sources[0].Dnstap.Certificate.Problem = "a.pem is cut off" },
			`source "local": its TLS files cannot be used, and the certificate read before stays in force: a.pem is cut off`, "Fix"},
		"kernel drops": {func(l *Ledger) { l.Sources[1].Pcap.Interfaces[0].Dropped = 10 },
			`source "span": the kernel has dropped 10 packets at eth1 since the start, 0.10 %`, "ring"},
		"capture fails": {func(l *Ledger) { l.Sources[1].Pcap.Failed, l.Sources[1].Pcap.Broken = 2, 1 },
			`source "span": capturing failed 3 times since the start`, "log"},
		"kernel drops of a source that is gone": {func(l *Ledger) {
			l.Sources[1].Kind, l.Sources[1].Pcap.Interfaces[0].Dropped = KindRemoved, 10
		}, "", ""},
		"all tunnels refused": {func(l *Ledger) {
			l.Sources[1].Pcap.Counts = map[string]uint64{"packets": 7, "tunnels_refused": 7}
		}, `source "span": few records: all 7 tunnels were refused because of their addresses`, "decapsulate_from"},
		"unlisted resolver, which the warning about silence would report too": {func(l *Ledger) {
			l.Sources[1].LastOutward = ago(3 * time.Hour)
			l.Sources[1].Pcap.Counts = map[string]uint64{"unlisted_queries": 7}
		}, `source "span": few records: eth1 carries 7 queries to port 53 from addresses that resolvers does not list`, "status shows the addresses"},
		"only forwarded messages over dnstap": {func(l *Ledger) {
			l.Sources[0].Messages = Messages{Read: 20, Paired: 10, Dropped: map[string]uint64{"forwarded": 10}}
			l.Total = l.Sources[0].Messages
		}, `source "local": few records: 10 of 10 transactions were dropped as forwarded: the resolver forwards to another one`, "outward.forwarded"},
		"some tunnels refused": {func(l *Ledger) {
			l.Sources[1].Pcap.Counts = map[string]uint64{"packets": 20, "tunnels_refused": 7, "tunnelled": 13}
			l.Sources[1].Messages = Messages{Read: 13, Records: 13}
			l.Total = l.Sources[1].Messages
		}, "", ""},
		"interface down": {func(l *Ledger) { l.Sources[1].Pcap.Interfaces[0].Up = false },
			`source "span": interface eth1 is down`, ""},
		"packets are silent": {func(l *Ledger) { l.Sources[1].LastOutward = ago(3 * time.Hour) },
			`source "span": nothing outward has been seen for 3h`, "resolvers"},
		"silent packets of a source that captures only while dnstap is silent": {func(l *Ledger) {
			l.Sources[1].LastOutward, l.Sources[1].Pcap.WhenIdle = time.Time{}, true
		}, "", ""},
		"clock slow": {func(l *Ledger) { l.Sources[0].MessageClock = ago(2 * time.Minute) },
			`source "local": the messages' times are 119s behind this machine's clock`, "NTP"},
		"clock ahead": {func(l *Ledger) { l.Sources[1].MessageClock = noon.Add(2 * time.Hour) },
			`source "span": the messages' times are 2h ahead of this machine's clock`, ""},
		"clock a little off": {func(l *Ledger) { l.Sources[0].MessageClock = ago(50 * time.Second) }, "", ""},
		"sink fails": {func(l *Ledger) {
			l.Sinks[0].Failing, l.Sinks[0].QueueBytes = &Failing{ago(90 * time.Second), "no space left on device"}, 250
		}, `sink "out": failing since 2026-11-24T11:58:30Z (90s ago): no space left on device`, "25.0 % of its queue"},
		"sink lost": {func(l *Ledger) {
			l.Sinks[0].Lost, l.Sinks[0].Delivered = map[string]uint64{"queue_full": 1}, 8
		}, `sink "out": it has lost 1 records since the start, 10.0 %`, "By reason: queue_full: the destination is slower"},
		"sink lost for two reasons": {func(l *Ledger) {
			l.Sinks[0].Lost, l.Sinks[0].Delivered = map[string]uint64{"spool_full": 1, "spool_damaged": 1}, 7
		}, `sink "out": it has lost 2 records since the start, 20.0 %`, "increase max_bytes of the spool; spool_damaged: the log names"},
		"sink lost for a reason of another version": {func(l *Ledger) {
			l.Sinks[0].Lost, l.Sinks[0].Delivered = map[string]uint64{"eaten": 1}, 8
		}, `sink "out": it has lost 1 records since the start, 10.0 %`, "The ledger shows the reasons."},
		"sink with a spool fails": {func(l *Ledger) {
			l.Sinks[0].Failing, l.Sinks[0].Spool = &Failing{ago(90 * time.Second), "connection refused"}, &Spool{Bytes: 100, MaxBytes: 1000}
			l.Sinks[0].Peer = &Peer{}
		}, `sink "out": failing since 2026-11-24T11:58:30Z (90s ago): connection refused`, "10.0 % of its spool"},
		"a spool that is used": {func(l *Ledger) {
			l.Sinks[0].Spool = &Spool{Bytes: 800, MaxBytes: 1000, Oldest: ago(59 * time.Minute)}
			l.Sinks[0].Peer = &Peer{ago(4 * time.Minute)}
		}, "", ""},
		"a spool fills": {func(l *Ledger) { l.Sinks[0].Spool = &Spool{Bytes: 801, MaxBytes: 1000} },
			`sink "out": 80.1 % of its spool is in use`, "increase max_bytes"},
		"a spool is old": {func(l *Ledger) { l.Sinks[0].Spool = &Spool{Bytes: 1, MaxBytes: 1000, Oldest: ago(61 * time.Minute)} },
			`sink "out": the oldest records in its spool have waited for 61m`, "the peer is away"},
		"a spool's disk is full": {func(l *Ledger) { l.Sinks[0].Spool = &Spool{MaxBytes: 1000, Full: true} },
			`sink "out": its spool cannot be written, and records wait in memory`, "Make room"},
		"a spool is damaged": {func(l *Ledger) { l.Sinks[0].Spool = &Spool{MaxBytes: 1000, Damaged: 2} },
			`sink "out": 2 files of its spool were damaged and set aside since the start`, ".damaged"},
		"a peer is silent": {func(l *Ledger) { l.Sinks[0].Peer = &Peer{ago(6 * time.Minute)} },
			`sink "out": its peer has acknowledged nothing for 6m, and 1 records wait`, "overloaded"},
		"a peer is silent from the start": {func(l *Ledger) { l.Sinks[0].Peer = &Peer{} },
			`sink "out": its peer has acknowledged nothing for 60m, and 1 records wait`, ""},
		"a peer is silent, and gets nothing": {func(l *Ledger) {
			l.Sinks[0].Peer, l.Sinks[0].Delivered, l.Sinks[0].Queued = &Peer{ago(time.Hour)}, 10, 0
		}, "", ""},
		"a client certificate ends": {func(l *Ledger) { l.Sinks[0].Certificate = &SinkCertificate{noon.Add(29 * 24 * time.Hour)} },
			`sink "out": its client certificate expires on 2026-12-23`, "Renew"},
		"a client certificate ended": {func(l *Ledger) { l.Sinks[0].Certificate = &SinkCertificate{ago(time.Hour)} },
			`sink "out": its client certificate expired on 2026-11-24`, "Renew"},
		"a client certificate is good": {func(l *Ledger) { l.Sinks[0].Certificate = &SinkCertificate{noon.Add(31 * 24 * time.Hour)} }, "", ""},
		"a removed sink": {func(l *Ledger) {
			l.Sinks[0].Removed, l.Sinks[0].Certificate, l.Sinks[0].Spool = true, &SinkCertificate{ago(time.Hour)}, &Spool{Full: true}
		}, "", ""},
		"files are retried": {func(l *Ledger) { l.Sinks[0].Files.Retried = 2 },
			`sink "out": 2 files cannot be completed, and are retried`, "The log contains the first error"},
		"on_rotate fails": {func(l *Ledger) { l.Sinks[0].OnRotate = OnRotate{Failed: 1, Skipped: 2} },
			`sink "out": on_rotate failed or was skipped for 3 files since the start`, "log"},
		"a Kafka source that works": {func(l *Ledger) { l.collects() }, "", ""},
		"a Kafka source fails": {func(l *Ledger) { l.collects().Failing = &Failing{ago(90 * time.Second), "SASL_AUTHENTICATION_FAILED"} },
			`source "topic": reading from Kafka fails since 2026-11-24T11:58:30Z (90s ago): SASL_AUTHENTICATION_FAILED`, "the password"},
		"a Kafka source without partitions": {func(l *Ledger) { l.collects().Partitions = 0 },
			`source "topic": no partition is assigned to it, and it reads nothing`, "stop this one"},
		"a Kafka source that fails has no partitions": {func(l *Ledger) {
			k := l.collects()
			k.Partitions, k.Failing = 0, &Failing{ago(90 * time.Second), "no broker answers"}
		}, `source "topic": reading from Kafka fails since 2026-11-24T11:58:30Z (90s ago): no broker answers`, "brokers"},
		"a Kafka source does not commit": {func(l *Ledger) { l.collects().Uncommitted = ago(33 * time.Minute) },
			`source "topic": what it has read has not been committed for 33m`, "which one fails"},
		"a Kafka source commits late": {func(l *Ledger) { l.collects().Uncommitted = ago(31 * time.Minute) }, "", ""},
		"a Kafka source lags": {func(l *Ledger) { l.collects().Lag = 2000 },
			`source "topic": 2000 messages of its partitions are not read yet, which take about 12m at its rate so far`, "start more members"},
		"a Kafka source lags a little": {func(l *Ledger) { l.collects().Lag = 1500 }, "", ""},
		"a Kafka source missed messages": {func(l *Ledger) { l.collects().OutOfRange = 2 },
			`source "topic": messages had been deleted before they were read 2 times since the start, or the topic was made anew`, "retention.ms"},
		"others write to the topic": {func(l *Ledger) { l.collects().NotNMSG = 10 },
			`source "topic": 10 messages were not one NMSG container since the start, 0.10 %`, "who else writes"},
		"a sink of a collection fails": {func(l *Ledger) {
			l.collects()
			l.Sinks[0].Failing = &Failing{ago(90 * time.Second), "no space left on device"}
		}, `sink "out": failing since 2026-11-24T11:58:30Z (90s ago): no space left on device`, "The Kafka source waits"},
		"a Kafka source that a reload removed": {func(l *Ledger) {
			l.collects().OutOfRange = 1
			l.Sources[0].Kind = KindRemoved
		}, "", ""},
		"reload failed": {func(l *Ledger) {
			l.Reload = Reload{Time: ago(5 * time.Minute), Error: "c.hcl:3: no such type", Advice: "Fix it."}
		}, `the reload 2026-11-24T11:55:00Z (5m ago) failed, and the configuration before it stays in force: c.hcl:3: no such type`, "Fix it."},
		"reload failed, of a sensor that gives no advice": {func(l *Ledger) {
			l.Reload = Reload{Time: ago(5 * time.Minute), Error: "c.hcl:3: no such type"}
		}, `the reload 2026-11-24T11:55:00Z (5m ago) failed, and the configuration before it stays in force: c.hcl:3: no such type`, "dnstap-pdns check"},
		"sums are wrong": {func(l *Ledger) { l.Sinks[0].Delivered-- },
			`the ledger does not add up: sink "out": 9 are accounted for, of 10`, "report"},
	} {
		l := well()
		tt.breaks(l)
		var problems, remedies []string
		for _, w := range l.Warnings() {
			problems, remedies = append(problems, w.Problem), append(remedies, w.Remedy)
		}
		if got := strings.Join(problems, "\n"); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, tt.want)
		}
		if do := strings.Join(remedies, "\n"); !strings.Contains(do, tt.do) || (do == "") != (tt.want == "") {
			t.Errorf("%s: remedy %q, want %q in it", name, do, tt.do)
		}
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		n, of uint64
		want  string
	}{{0, 0, "0 %"}, {5, 0, "0 %"}, {0, 5, "0 %"}, {5, 5, "100.0 %"}, {997, 1000, "99.7 %"}, {1, 3, "33.3 %"}, {1, 30, "3.33 %"}, {1, 100_000, "under 0.01 %"}} {
		if got := Share(c.n, c.of); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.n, c.of, got, c.want)
		}
	}
}

func TestEveryLossHasARemedy(t *testing.T) {
	for _, loss := range forward.Losses() {
		if lossRemedies[loss] == "" {
			t.Errorf("%v has no remedy", loss)
		}
	}
}
