package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/selftest"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/udp"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"gotest.tools/v3/golden"
)

// Verdicts, and parts of them.
var (
	stays = selftest.Seen{Queries: 1, Dropped: []selftest.Drop{{Reason: "special_name", Rule: "special_use"}}}
	made  = selftest.Seen{Queries: 1, Records: 1}
	left  = selftest.Sink{Name: "files", Stage: selftest.Left}
)

func droppedAs(reason string) selftest.Seen {
	return selftest.Seen{Queries: 1, Dropped: []selftest.Drop{{Reason: reason}}}
}

// reports are changes to the report of a selftest that passed, so that each finding occurs.
var reports = []struct {
	what   string
	change func(r *report)
}{
	{"passed", func(*report) {}},
	{"passed, and sinks filter it", func(r *report) {
		r.Sinks = append(r.Sinks, selftest.Sink{Name: "obs", Stage: selftest.Filtered, FilteredBy: []string{"format"}},
			selftest.Sink{Name: "narrow", Stage: selftest.Filtered, FilteredBy: []string{"types", "rcodes"}},
			selftest.Sink{Name: "some", Stage: selftest.Left, FilteredBy: []string{"types"}})
	}},
	{"passed, and sinks keep it", func(r *report) {
		r.Sinks = append(r.Sinks, selftest.Sink{Name: "sie", Stage: selftest.Spooled},
			selftest.Sink{Name: "away", Stage: selftest.Spooled, Error: "dial sie.example: connection refused"},
			selftest.Sink{Name: "late", Stage: selftest.Held})
	}},
	{"only sinks of RRsets", func(r *report) {
		r.Sinks = []selftest.Sink{{Name: "rrsets", Stage: selftest.InWindow}, {Name: "cof", From: "rrsets", Stage: selftest.InWindow},
			{Name: "database", From: "rrsets", Stage: selftest.InWindow, Error: "no space left on device"}, {Name: "insertions", From: "rrsets", Stage: selftest.Left}}
	}},
	{"an aggregate filters it", func(r *report) {
		r.Sinks = append(r.Sinks, selftest.Sink{Name: "rrsets", Stage: selftest.Filtered, FilteredBy: []string{"types"}},
			selftest.Sink{Name: "cof", From: "rrsets", Stage: selftest.Filtered})
	}},
	{"the only sink has it in its spool, and fails", func(r *report) {
		r.Sinks = []selftest.Sink{{Name: "sie", Stage: selftest.Spooled, Error: "dial sie.example: connection refused"}}
	}},
	{"the resolver does not answer", func(r *report) {
		r.answers[0].rcode, r.answers[0].err = "", errors.New("no answer in 9s")
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
	}},
	{"the resolver's name is unknown", func(r *report) {
		r.answers[0].rcode, r.answers[0].err = "", &net.DNSError{Err: "no such host", Name: "resolver.example"}
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
	}},
	{"the resolver refuses", func(r *report) {
		r.answers[0].rcode, r.Name, r.Decoy, r.Sinks[0].Stage = "REFUSED", selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
	}},
	{"no resolver is connected", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		r.ledger.Sources[0].Dnstap.Connections = nil
	}},
	{"clients only", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		r.ledger.Sources[0].Dnstap.Connections[0].Outward = 0
	}},
	{"a thread without queries", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		d := r.ledger.Sources[0].Dnstap
		d.Connections = append(d.Connections, admin.Connection{Since: r.ledger.Time, Version: "unbound 1.17.1", Frames: 9})
	}},
	{"packets only", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		r.ledger.Sources[0] = admin.Source{Name: "span", Kind: admin.KindPcap, LastOutward: r.ledger.Time, MessageClock: r.ledger.Time,
			Pcap: &admin.Packets{Capturing: true}}
	}},
	{"packets of an unlisted resolver", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		r.ledger.Sources[0] = admin.Source{Name: "span", Kind: admin.KindPcap, Pcap: &admin.Packets{Capturing: true,
			Interfaces: []admin.Interface{{Name: "eth0", Up: true}}, Counts: map[string]uint64{"unlisted_queries": 352}}}
	}},
	{"no responses", func(r *report) {
		r.Name, r.Sinks[0].Stage = selftest.Seen{Queries: 2}, selftest.NoRecord
	}},
	{"a local name", func(r *report) {
		r.forbidden, r.Sinks[0].Stage = "local_name", selftest.NoRecord
		r.Name = selftest.Seen{Dropped: []selftest.Drop{{Reason: "local_name", Rule: "local_name_in_name"}}}
	}},
	{"forwarded", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = droppedAs("forwarded"), droppedAs("forwarded"), selftest.NoRecord
	}},
	{"an unknown reason", func(r *report) { r.Name, r.Sinks[0].Stage = droppedAs("unknown_reason"), selftest.NoRecord }},
	{"sinks at each stage", func(r *report) {
		r.Sinks = []selftest.Sink{
			{Name: "slow", Stage: selftest.Held}, {Name: "paced", Stage: selftest.Held}, {Name: "busy", Stage: selftest.Held},
			{Name: "full", Stage: selftest.Held, Error: "no space left on device"},
			{Name: "away", Stage: selftest.Left, Error: "connection refused"},
			{Name: "odd", Stage: selftest.Missing},
			{Name: "lossy", Stage: selftest.Lost, Lost: map[string]uint64{"failed": 2, "unknown_reason": 1}, Error: "connection refused"},
		}
		r.config.Sinks = []forward.SinkConfig{{Name: "slow", Flush: 10 * time.Minute}, {Name: "paced", Transport: udp.Config{Rate: 1}}, {Name: "busy"}}
	}},
	{"a failing sink without a record", func(r *report) {
		r.Name = selftest.Seen{Queries: 1}
		r.Sinks[0] = selftest.Sink{Name: "files", Stage: selftest.NoRecord, Error: "no space left on device"}
	}},
	{"the decoy never seen", func(r *report) { r.Decoy = selftest.Seen{} }},
	{"the decoy not answered", func(r *report) { r.Decoy = selftest.Seen{Queries: 1} }},
	{"a record of the decoy", func(r *report) { r.Decoy = made }},
	{"the decoy left", func(r *report) { r.Decoy, r.Sinks[0].DecoyLeft = made, true }},
	{"the decoy left, and the sensor was stopped", func(r *report) {
		r.Decoy, r.Sinks[0].DecoyLeft = made, true
		r.ledger, r.noLedger = nil, errors.New("no sensor answers at 127.0.0.1:9353")
	}},
	{"nothing seen, and the sensor was stopped", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		r.ledger, r.noLedger = nil, errors.New("no sensor answers at 127.0.0.1:9353")
	}},
}

// passedReport returns the report of a selftest that passed.
func passedReport() *report {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	t := &trial{config: &conf.File{}, resolver: "192.0.2.53:53", decoys: "ipv4only.arpa"}
	return &report{
		trial:   t,
		answers: [2]answer{{resolver: t.resolver, rcode: "NXDOMAIN"}, {resolver: t.resolver, rcode: "NXDOMAIN"}},
		Verdict: &selftest.Verdict{Name: made, Decoy: stays, Sinks: []selftest.Sink{left}},
		ledger: &admin.Ledger{Time: now, Started: now.Add(-time.Hour), Reload: admin.Reload{OK: true}, ResolversConfigured: true,
			Sources: []admin.Source{{Name: "tap", Kind: admin.KindDnstap, LastOutward: now, MessageClock: now,
				Dnstap: &admin.Dnstap{Connections: []admin.Connection{{Since: now, Version: "unbound 1.17.1", Frames: 9, Outward: 5}}}}}},
	}
}

func TestSelftestOutput(t *testing.T) {
	var got bytes.Buffer
	for _, c := range reports {
		r := passedReport()
		c.change(r)
		fmt.Fprintf(&got, "== %s\n", c.what)
		if err := r.print(plainWriter{&got}); err != nil {
			fmt.Fprintf(&got, "error: %v\n", err)
		}
		got.WriteString("\n")
	}
	golden.Assert(t, got.String(), "selftest.txt")
}

func TestEveryReasonHasASelftestRemedy(t *testing.T) {
	for _, r := range transform.Reasons() {
		if selftestRemedies[r] == "" {
			t.Errorf("%v has no remedy", r)
		}
	}
}

// The table need not be full: many queries with one ID have another remedy.
func TestBothRemediesOfPairingFull(t *testing.T) {
	got := dropRemedy(transform.PairingFull.String())
	for _, want := range []string{"pairing table is full, increase pairing.max_queries", "Otherwise more than 64 queries to one server with the same DNS ID"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}

func TestPortOfTheResolverIsOptional(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1": "127.0.0.1:53", "127.0.0.1:5353": "127.0.0.1:5353", "::1": "[::1]:53", "[::1]:5353": "[::1]:5353",
		"unbound": "unbound:53", "ns.example:5353": "ns.example:5353", "fe80::1%eth0": "[fe80::1%eth0]:53",
		"": "", ":53": "", "unbound:": "", "[::1": "", "[::1]": "", "a b": "", "::1:": "",
	} {
		if got, err := withPort(address); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", address, got, err)
		}
	}
}

func TestDecoyZoneIsOneThatThePolicyDrops(t *testing.T) {
	local := []string{"Corp.Example.", "campus.example"}
	for what, tt := range map[string]struct {
		named  string
		policy transform.Config
		want   string
	}{
		"special names": {"", transform.Config{SpecialNames: true, LocalNames: local}, specialDecoy},
		"local names":   {"", transform.Config{LocalNames: local}, "corp.example"},
		"nothing":       {"", transform.Config{}, ""},
		"named":         {"bücher.example", transform.Config{}, "xn--bcher-kva.example"},
		"invalid":       {"a..b", transform.Config{SpecialNames: true}, ""},
	} {
		if got, err := decoyZone(tt.named, &tt.policy); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %q, %v", what, got, err)
		}
	}
}

// TestSelftestErrorsOfTheServer runs selftest against servers with other answers.
func TestSelftestErrorsOfTheServer(t *testing.T) {
	watching, err := json.Marshal(selftest.Line{Watching: &selftest.Watching{}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		status     int
		text, want string
		exit       int
	}{
		"an older sensor":                {405, "Method Not Allowed", "does not support selftest: check that a sensor of this version listens there", exitFailed},
		"another server":                 {404, "not found", "does not support selftest", exitFailed},
		"a page":                         {200, "<html>", "did not start a selftest", exitFailed},
		"other JSON":                     {200, "{}", "did not start a selftest", exitFailed},
		"a busy sensor":                  {409, "another selftest is under way\n", "refuses (409 Conflict): another selftest is under way", exitFailed},
		"a bad decoy":                    {422, "it would leave\n", "refuses (422 Unprocessable Entity): it would leave", exitUsage},
		"a sensor that stops":            {200, string(watching), "ended without a result: it was stopped, or its admin.listen changed", exitFailed},
		"an empty line":                  {200, string(watching) + "{}", "ended without a result", exitFailed},
		"a sensor that stops afterwards": {200, string(watching) + `{"verdict":{"decoy":{"records":1}}}`, "the decoy left", exitFailed},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.text)
		}))
		trial := trial{admin: server.Listener.Addr().String(), resolver: "127.93.53.9:9", request: selftest.Request{Name: "a.", Decoy: "b."}}
		err := trial.run(t.Context(), io.Discard)
		server.Close()
		var errs bytes.Buffer
		if exit := exitCode("selftest", err, stdio{err: &errs}); exit != tt.exit || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%s: exit %d, %q; want %d, %q", name, exit, errs.String(), tt.exit, tt.want)
		}
	}
}
