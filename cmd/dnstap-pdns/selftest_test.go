package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// reports have something of everything that a selftest may say.
var reports = []struct {
	what   string
	change func(r *report)
}{
	{"all is well", func(*report) {}},
	{"well, and a sink has no form for it", func(r *report) {
		r.Sinks = append(r.Sinks, selftest.Sink{Name: "obs", Stage: selftest.Filtered})
	}},
	{"the resolver is not there", func(r *report) {
		r.asked[0].rcode, r.asked[0].err = "", errors.New("no answer in 9s")
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
	}},
	{"the resolver refuses", func(r *report) {
		r.asked[0].rcode, r.Name, r.Decoy, r.Sinks[0].Stage = "REFUSED", selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
	}},
	{"nobody is connected", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		r.ledger.Sources[0].Dnstap.Connections = nil
	}},
	{"clients only", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		r.ledger.Sources[0].Dnstap.Connections[0].Outward = 0
	}},
	{"a thread that has asked nothing yet", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		d := r.ledger.Sources[0].Dnstap
		d.Connections = append(d.Connections, admin.Connection{Since: r.ledger.Time, Version: "unbound 1.17.1", Frames: 9})
	}},
	{"packets alone", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		r.ledger.Sources[0] = admin.Source{Name: "span", Kind: admin.KindPcap, LastOutward: r.ledger.Time, MessageClock: r.ledger.Time,
			Pcap: &admin.Packets{Capturing: true}}
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
	{"a reason of tomorrow", func(r *report) { r.Name, r.Sinks[0].Stage = droppedAs("of_tomorrow"), selftest.NoRecord }},
	{"sinks each in their own way", func(r *report) {
		r.Sinks = []selftest.Sink{
			{Name: "slow", Stage: selftest.Waiting}, {Name: "paced", Stage: selftest.Waiting}, {Name: "behind", Stage: selftest.Waiting},
			{Name: "full", Stage: selftest.Waiting, Error: "no space left on device"},
			{Name: "away", Stage: selftest.Left, Error: "nobody listens where the datagrams go"},
			{Name: "lossy", Stage: selftest.Lost, Lost: map[string]uint64{"refused": 2, "of_tomorrow": 1}, Error: "nobody listens"},
		}
		r.config.Sinks = []forward.SinkConfig{{Name: "slow", Flush: 10 * time.Minute}, {Name: "paced", Transport: udp.Config{Rate: 1}}, {Name: "behind"}}
	}},
	{"a sink that fails where nothing came", func(r *report) {
		r.Name = selftest.Seen{Queries: 1}
		r.Sinks[0] = selftest.Sink{Name: "files", Stage: selftest.NoRecord, Error: "no space left on device"}
	}},
	{"the decoy never seen", func(r *report) { r.Decoy = selftest.Seen{} }},
	{"the decoy not answered", func(r *report) { r.Decoy = selftest.Seen{Queries: 1} }},
	{"the decoy recorded", func(r *report) { r.Decoy = made }},
	{"the decoy gone", func(r *report) { r.Decoy, r.Sinks[0].DecoyLeft = made, true }},
	{"the decoy gone, and the sensor stopped for it", func(r *report) {
		r.Decoy, r.Sinks[0].DecoyLeft = made, true
		r.ledger, r.noLedger = nil, errors.New("no sensor answers at 127.0.0.1:9353")
	}},
	{"nothing seen, and the sensor stopped", func(r *report) {
		r.Name, r.Decoy, r.Sinks[0].Stage = selftest.Seen{}, selftest.Seen{}, selftest.NoRecord
		r.ledger, r.noLedger = nil, errors.New("no sensor answers at 127.0.0.1:9353")
	}},
}

// freshReport is one of a sensor that is well.
func freshReport() *report {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	t := &trial{config: &conf.File{}, resolver: "192.0.2.53:53", decoys: "ipv4only.arpa"}
	return &report{
		trial:   t,
		asked:   [2]answer{{resolver: t.resolver, rcode: "NXDOMAIN"}, {resolver: t.resolver, rcode: "NXDOMAIN"}},
		Verdict: &selftest.Verdict{Name: made, Decoy: stays, Sinks: []selftest.Sink{left}},
		ledger: &admin.Ledger{Time: now, Started: now.Add(-time.Hour), Reload: admin.Reload{OK: true}, ResolversConfigured: true,
			Sources: []admin.Source{{Name: "tap", Kind: admin.KindDnstap, LastOutward: now, MessageClock: now,
				Dnstap: &admin.Dnstap{Connections: []admin.Connection{{Since: now, Version: "unbound 1.17.1", Frames: 9, Outward: 5}}}}}},
	}
}

func TestSelftestPrintsThis(t *testing.T) {
	var got bytes.Buffer
	for _, c := range reports {
		r := freshReport()
		c.change(r)
		fmt.Fprintf(&got, "== %s\n", c.what)
		if err := r.print(plainWriter{&got}); err != nil {
			fmt.Fprintf(&got, "error: %v\n", err)
		}
		got.WriteString("\n")
	}
	golden.Assert(t, got.String(), "selftest.txt")
}

func TestEveryReasonHasARemedyOfSelftest(t *testing.T) {
	for _, r := range transform.Reasons() {
		if selftestRemedies[r] == "" {
			t.Errorf("%v has none", r)
		}
	}
}

func TestResolversAreNamedWithAndWithoutPort(t *testing.T) {
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

func TestDecoysAreWhatThePolicyKeeps(t *testing.T) {
	local := []string{"Corp.Example.", "campus.example"}
	for what, tt := range map[string]struct {
		named  string
		policy transform.Config
		want   string
	}{
		"special names": {"", transform.Config{SpecialNames: true, LocalNames: local}, specialDecoy},
		"local names":   {"", transform.Config{LocalNames: local}, "corp.example"},
		"nothing":       {"", transform.Config{}, ""},
		"one's own":     {"bücher.example", transform.Config{}, "xn--bcher-kva.example"},
		"no name":       {"a..b", transform.Config{SpecialNames: true}, ""},
	} {
		if got, err := decoyZone(tt.named, &tt.policy); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %q, %v", what, got, err)
		}
	}
}

// TestWhatKnowsNoSelftestIsSaidToBe asks what answers something else.
func TestWhatKnowsNoSelftestIsSaidToBe(t *testing.T) {
	watching, err := json.Marshal(selftest.Line{Watching: &selftest.Watching{}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		status     int
		text, want string
		exit       int
	}{
		"an older sensor":                 {405, "Method Not Allowed", "knows no selftest: is it a sensor of this version?", exitFailed},
		"another server":                  {404, "not found", "knows no selftest", exitFailed},
		"a page":                          {200, "<html>", "does not say that it watches", exitFailed},
		"other JSON":                      {200, "{}", "does not say that it watches", exitFailed},
		"a busy sensor":                   {409, "another selftest is under way\n", "refuses (409 Conflict): another selftest is under way", exitFailed},
		"a bad decoy":                     {422, "it would leave\n", "refuses (422 Unprocessable Entity): it would leave", exitUsage},
		"one that stops":                  {200, string(watching), "came to no verdict: it was stopped, or its admin.listen changed", exitFailed},
		"no verdict at it":                {200, string(watching) + "{}", "came to no verdict", exitFailed},
		"one that stops with its verdict": {200, string(watching) + `{"verdict":{"decoy":{"records":1}}}`, "a decoy left the house", exitFailed},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.text)
		}))
		trial := trial{admin: server.Listener.Addr().String(), resolver: "127.93.53.9:9", request: selftest.Request{Name: "a.", Decoy: "b."}}
		err := trial.run(t.Context(), io.Discard)
		server.Close()
		var said bytes.Buffer
		if exit := exitCode("selftest", err, stdio{err: &said}); exit != tt.exit || !strings.Contains(said.String(), tt.want) {
			t.Errorf("%s: exit %d, %q; want %d, %q", name, exit, said.String(), tt.exit, tt.want)
		}
	}
}
