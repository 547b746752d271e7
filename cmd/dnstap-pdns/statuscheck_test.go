package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
)

// checkedLedger returns the ledger of a sensor without problems.
func checkedLedger() *admin.Ledger {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	messages := admin.Messages{Read: 20, Records: 9, Paired: 9, Held: 1, Dropped: map[string]uint64{"rcode": 1}}
	return &admin.Ledger{Time: now, Started: now.Add(-time.Hour), Reload: admin.Reload{OK: true}, ResolversConfigured: true,
		Total: messages, Pairing: admin.Pairing{Used: 1, Max: 131072},
		Sources: []admin.Source{{Name: "tap", Kind: admin.KindDnstap, Messages: messages, LastOutward: now, MessageClock: now,
			Dnstap: &admin.Dnstap{Connections: []admin.Connection{{Since: now.Add(-time.Hour)}}}}},
		Sinks: []admin.Sink{{Name: "it's=a|pipe", Offered: 9, Delivered: 8, Queued: 1, QueueBytes: 250, QueueMax: 1000}},
	}
}

// performanceOf is the performance data of checkedLedger.
const performanceOf = " | uptime=3600s read=20c records=9c dropped=1c pairing=1;;;0;131072 " +
	"'it_s_a_pipe delivered'=8c 'it_s_a_pipe lost'=0c 'it_s_a_pipe queue'=250B;;;0;1000\n"

func TestStatusCheckPrintsOneLine(t *testing.T) {
	for name, tt := range map[string]struct {
		breaks func(*admin.Ledger)
		want   string
		exit   int
	}{
		"well": {func(*admin.Ledger) {}, "OK: 9 records from 20 messages" + performanceOf, checkOK},
		"a warning": {func(l *admin.Ledger) { l.Sinks[0].OnRotate.Failed = 1 },
			`WARNING: sink "it's=a/pipe": on_rotate failed or was skipped for 1 files since the start` + performanceOf, checkWarning},
		"a failing sink with an error in two lines": {func(l *admin.Ledger) {
			l.Sinks[0].Failing = &admin.Failing{Since: l.Time, Error: "no\nspace"}
		}, `CRITICAL: sink "it's=a/pipe": failing since 2026-11-28T12:00:00Z (0s ago): no; space` + performanceOf, checkCritical},
	} {
		l := checkedLedger()
		tt.breaks(l)
		var got bytes.Buffer
		exit := exitCode("status", checkStatus(plainWriter{&got}, l), stdio{err: &bytes.Buffer{}})
		if diff := cmp.Diff(tt.want, got.String()); diff != "" || exit != tt.exit {
			t.Errorf("%s: exit %d, want %d (-want +got):\n%s", name, exit, tt.exit, diff)
		}
	}
}

// TestStatusCheckOfSensors runs the command against servers.
func TestStatusCheckOfSensors(t *testing.T) {
	well := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(checkedLedger()) }))
	defer well.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, tt := range map[string]struct {
		address, want string
		exit          int
	}{
		"well":       {well.Listener.Addr().String(), "OK: 9 records", checkOK},
		"gone":       {gone.Addr().String(), "CRITICAL: no sensor answers at " + gone.Addr().String(), checkCritical},
		"no address": {"nowhere", `UNKNOWN: "nowhere" is not an address`, checkUnknown},
	} {
		var out, errs bytes.Buffer
		std := stdio{out: &out, err: &errs, secrets: new(secrets)}
		exit := exitCode("status", status(t.Context(), []string{"--check", tt.address}, std), std)
		if exit != tt.exit || !strings.HasPrefix(out.String(), tt.want) || strings.Count(out.String(), "\n") != 1 || errs.Len() > 0 {
			t.Errorf("%s: exit %d, %q and errors %q; want %d, %q", name, exit, &out, &errs, tt.exit, tt.want)
		}
	}
}

func TestStatusAsJSON(t *testing.T) {
	l := checkedLedger()
	l.Sinks[0].OnRotate.Failed = 1
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/domains" {
			json.NewEncoder(w).Encode(admin.Domains{Domains: []admin.Domain{{Domain: "evil.example", Lookup: 1}}})
			return
		}
		json.NewEncoder(w).Encode(l)
	}))
	defer server.Close()
	var out bytes.Buffer
	std := stdio{out: &out, err: &bytes.Buffer{}, secrets: new(secrets)}
	if err := status(t.Context(), []string{"--json", server.Listener.Addr().String()}, std); err != nil {
		t.Fatal(err)
	}
	var got statusDocument
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, got.Ledger); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	if len(got.Warnings) != 1 || got.Warnings[0].Remedy == "" || got.Domains == nil || got.Domains.Domains[0].Domain != "evil.example" {
		t.Errorf("got %s", &out)
	}
	err := status(t.Context(), []string{"--json", "--check"}, std)
	if _, ok := errors.AsType[*usageError](err); !ok || !strings.Contains(err.Error(), "exclude each other") {
		t.Errorf("both options: got %v", err)
	}
}
