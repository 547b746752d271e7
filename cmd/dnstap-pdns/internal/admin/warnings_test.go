package admin

import (
	"strings"
	"testing"
	"time"
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
		"all tunnels refused": {func(l *Ledger) { l.Sources[1].Pcap.Counts = map[string]uint64{"tunnels_refused": 7} },
			`source "span": all 7 tunnels since the start were refused`, "decapsulate_from"},
		"some tunnels refused": {func(l *Ledger) {
			l.Sources[1].Pcap.Counts = map[string]uint64{"tunnels_refused": 7, "tunnelled": 1}
		}, "", ""},
		"interface down": {func(l *Ledger) { l.Sources[1].Pcap.Interfaces[0].Up = false },
			`source "span": interface eth1 is down`, ""},
		"packets are silent": {func(l *Ledger) { l.Sources[1].LastOutward = ago(3 * time.Hour) },
			`source "span": nothing outward has been seen for 3h`, "resolvers"},
		"silent packets of a source that captures only while dnstap is silent": {func(l *Ledger) {
			l.Sources[1].LastOutward, l.Sources[1].Pcap.StandsIn = time.Time{}, true
		}, "", ""},
		"clock slow": {func(l *Ledger) { l.Sources[0].MessageClock = ago(2 * time.Minute) },
			`source "local": the messages' times are 119s behind this machine's clock`, "NTP"},
		"clock ahead": {func(l *Ledger) { l.Sources[1].MessageClock = noon.Add(2 * time.Hour) },
			`source "span": the messages' times are 2h ahead of this machine's clock`, ""},
		"clock a little off": {func(l *Ledger) { l.Sources[0].MessageClock = ago(50 * time.Second) }, "", ""},
		"sink fails": {func(l *Ledger) {
			l.Sinks[0].Failing, l.Sinks[0].QueueBytes = &Failing{ago(90 * time.Second), "no space left on device"}, 250
		}, `sink "out": it fails since 2026-11-24T11:58:30Z (90s ago): no space left on device`, "25.0 % of its queue"},
		"sink lost": {func(l *Ledger) {
			l.Sinks[0].Lost, l.Sinks[0].Delivered = map[string]uint64{"queue_full": 1}, 8
		}, `sink "out": it has lost 1 records since the start, 10.0 %`, ""},
		"on_rotate fails": {func(l *Ledger) { l.Sinks[0].OnRotate = OnRotate{Failed: 1, Skipped: 2} },
			`sink "out": on_rotate failed or was skipped for 3 files since the start`, "log"},
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
			problems, remedies = append(problems, w.Says), append(remedies, w.Do)
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
