package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// serverOf returns a server without an address, whose handler tests call.
func serverOf(t *testing.T, v *View) *Server {
	t.Helper()
	s, err := Listen(conf.Admin{}, v, Options{
		Page: &fakePage{}, Selftest: http.NotFoundHandler(),
		Ready: func() error { return nil }, Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(s *Server, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
	return w
}

func TestLedgerAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := get(serverOf(t, viewOf(fullState)), "/ledger")
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("content type %q", got)
		}
		text := w.Body.String()
		golden.Assert(t, text, "ledger.json")
		if strings.Contains(text, "192.0.2.1") {
			t.Error("it contains a peer's address")
		}
		var again Ledger
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(viewOf(fullState).Ledger(), again); diff != "" {
			t.Errorf("read again (-want +got):\n%s", diff)
		}
	})
}

// TestAnEmptyLedgerHasEmptyLists: its readers need not handle null.
func TestAnEmptyLedgerHasEmptyLists(t *testing.T) {
	v := viewOf(func() sensor.State { return sensor.State{Dnstap: []sensor.DnstapState{{Name: "a"}}} })
	if text := get(serverOf(t, v), "/ledger").Body.String(); strings.Contains(text, "null") {
		t.Errorf("null in\n%s", text)
	}
}

func TestMetricsOfAFullState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		golden.Assert(t, get(serverOf(t, viewOf(fullState)), "/metrics").Body.String(), "metrics.txt")
	})
}

func TestMetricsFollowTheNamingGuide(t *testing.T) {
	problems, err := testutil.CollectAndLint(NewCollector(viewOf(fullState)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestScrapeReadsTheStateOnce: counts from two states would not add up.
func TestScrapeReadsTheStateOnce(t *testing.T) {
	reads := 0
	s := serverOf(t, viewOf(func() sensor.State { reads++; return fullState() }))
	for i, path := range []string{"/metrics", "/ledger", "/metrics"} {
		if get(s, path); reads != i+1 {
			t.Errorf("%s: read %d times, want %d", path, reads, i+1)
		}
	}
}

// TestScrapeAllocationsDoNotDependOnCounts: they depend on the number of sources and sinks only.
func TestScrapeAllocationsDoNotDependOnCounts(t *testing.T) {
	cost := func(n uint64) float64 {
		state := fullState()
		for i := range state.Ledger.Sources {
			state.Ledger.Sources[i].Counts = counts(n)
		}
		c := NewCollector(viewOf(func() sensor.State { return state }))
		metrics := make(chan prometheus.Metric, 1<<12)
		return testing.AllocsPerRun(10, func() {
			c.Collect(metrics)
			for len(metrics) > 0 {
				<-metrics
			}
		})
	}
	if few, many := cost(1), cost(1<<40); few != many {
		t.Errorf("%v allocations after a few messages, %v after many", few, many)
	}
}

func TestImbalancesAreReported(t *testing.T) {
	l := viewOf(fullState).Ledger()
	if got := l.Imbalances(); got != nil {
		t.Errorf("got %q of a ledger that adds up", got)
	}
	l.Sources[0].Read++
	l.Sinks[1].Lost["failed"]++
	l.Total.Held--
	want := []string{
		`source "local": 223 are accounted for, of 224`,
		`messages: 1264 are accounted for, of 1265`,
		`messages of all sources: 1266 are accounted for, of 1265`,
		`sink "out": 120 are accounted for, of 119`,
	}
	if diff := cmp.Diff(want, l.Imbalances()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
