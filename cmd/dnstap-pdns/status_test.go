package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
)

// TestStatusOutput prints the ledger in the golden file of package admin, which has a value for
// every row.
func TestStatusOutput(t *testing.T) {
	raw, err := os.ReadFile("internal/admin/testdata/ledger.json")
	if err != nil {
		t.Fatal(err)
	}
	var l admin.Ledger
	if err := json.Unmarshal(raw, &l); err != nil {
		t.Fatal(err)
	}
	l.Sources[0].Dropped["of_tomorrow"] = 0
	l.Sources[1].Dropped["of_tomorrow"], l.Sources[1].Read, l.Total.Read = 5, l.Sources[1].Read+5, l.Total.Read+5
	l.Total.Dropped["of_tomorrow"] = 5
	var got bytes.Buffer
	printStatus(plainWriter{&got}, &l, nil)
	printDomains(plainWriter{&got}, []admin.Domain{
		{Domain: "evil.example", ResolverAddress: 1234, LocalNameInside: 5},
		{Domain: "dnsbl.example", Lookup: 1000},
		{Domain: `hostile\009\027.example`, ResolverAddress: 1},
	})
	golden.Assert(t, got.String(), "status.txt")
}

// TestStatusNamesTheCausesOfFewRecords prints the ledger of a packet source with wrong resolvers. It
// prints addresses only if they come from /domains, which answers on loopback only.
func TestStatusNamesTheCausesOfFewRecords(t *testing.T) {
	started := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	l := admin.Ledger{Time: started.Add(time.Minute), Started: started, Reload: admin.Reload{OK: true}, Sources: []admin.Source{{
		Name: "span", Kind: admin.KindPcap, Pcap: &admin.Packets{Capturing: true, Interfaces: []admin.Interface{{Name: "eth0", Up: true}},
			Counts: map[string]uint64{"unlisted_queries": 352}},
	}}}
	var got bytes.Buffer
	printStatus(&got, &l, []admin.PacketSenders{{Source: "span", Queries: []packet.Sender{{Addr: netip.MustParseAddr("192.0.2.53"), Packets: 352}}}})
	fmt.Fprintln(&got, "--")
	printStatus(&got, &l, nil)
	golden.Assert(t, got.String(), "fewrecords-status.txt")
}

func TestUnspecifiedAddressesAreReachedOnLoopback(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:9353":   "127.0.0.1:9353",
		"0.0.0.0:9353":     "127.0.0.1:9353",
		"[::]:9353":        "[::1]:9353",
		"192.0.2.1:80":     "192.0.2.1:80",
		"sensor.example:1": "sensor.example:1",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}

func TestTimeoutIsReportedAsAHangingSensor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = call(ctx, http.MethodGet, l.Addr().String(), "/ledger", nil)
	if want := "the server at " + l.Addr().String() + " did not answer in time: if it is the sensor, it hangs: see its log, and restart it"; fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
}

func TestAnswersOfOtherServersAreErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		status     int
		text, want string
	}{
		"no ledger there": {404, "not found", "answered 404 Not Found: check that a sensor listens there"},
		"a page":          {200, "<html>", "invalid character '<' looking for beginning of value: check that a sensor listens there"},
		"other JSON":      {200, "{}", "is not a ledger: check that a sensor listens there"},
		"cut off":         {200, `{"started": "2026-11-24T12:00:00Z"`, "unexpected EOF"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.text)
		}))
		_, err := fetchLedger(t.Context(), server.Listener.Addr().String())
		server.Close()
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestDomainsAreFetchedOnLoopbackOnly(t *testing.T) {
	const some = `{"domains": [{"domain": "evil.example", "resolver_address": 2}]}`
	for name, tt := range map[string]struct {
		status int
		text   string
		want   admin.Domains
		err    string
	}{
		"some":                  {200, some, admin.Domains{Domains: []admin.Domain{{Domain: "evil.example", ResolverAddress: 2}}}, ""},
		"none":                  {200, `{"domains": []}`, admin.Domains{Domains: []admin.Domain{}}, ""},
		"others can reach it":   {403, "no", admin.Domains{}, ""},
		"of an earlier version": {404, "no", admin.Domains{}, ""},
		"broken":                {500, "no", admin.Domains{}, "answered 500 Internal Server Error"},
		"cut off":               {200, some[:20], admin.Domains{}, "reading /domains from "},
	} {
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.text)
		}))
		got, err := fetchDomains(t.Context(), server.Listener.Addr().String())
		server.Close()
		if diff := cmp.Diff(tt.want, got); diff != "" || requests != 1 {
			t.Errorf("%s: %d requests (-want +got):\n%s", name, requests, diff)
		}
		if text := fmt.Sprint(err); err == nil && tt.err != "" || err != nil && (tt.err == "" || !strings.Contains(text, tt.err)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.err)
		}
	}
	if got, err := fetchDomains(t.Context(), "192.0.2.1:9353"); got.Domains != nil || err != nil {
		t.Errorf("elsewhere: got %v, %v", got, err)
	}
}

func TestNothingIsPrintedWithoutDomains(t *testing.T) {
	var got bytes.Buffer
	if printDomains(&got, nil); got.Len() > 0 {
		t.Errorf("got %q", &got)
	}
}
