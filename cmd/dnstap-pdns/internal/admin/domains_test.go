package admin

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

func TestDomainsAreAnsweredOnLoopbackOnly(t *testing.T) {
	s := serverOf(t, viewOf(fullState))
	s.allow(conf.Admin{HostNames: []string{"sensor.example"}})
	for _, row := range []struct {
		listen, peer, host string
		want               int
	}{
		{"127.0.0.1:9353", "127.0.0.1:5", "127.0.0.1:9353", 200},
		{"127.93.53.1:9353", "127.0.0.1:5", "localhost:9353", 200},
		{"[::1]:9353", "[::1]:5", "[::1]:9353", 200},
		{"[::1]:9353", "[::1]:5", "localhost", 200},
		{"0.0.0.0:9353", "127.0.0.1:5", "127.0.0.1:9353", 403},
		{"[::]:9353", "[::1]:5", "[::1]:9353", 403},
		{"192.0.2.1:9353", "127.0.0.1:5", "127.0.0.1:9353", 403},
		{"", "127.0.0.1:5", "127.0.0.1:9353", 403},
		{"127.0.0.1:9353", "192.0.2.1:5", "127.0.0.1:9353", 403},
		{"127.0.0.1:9353", "", "127.0.0.1:9353", 403},
		{"127.0.0.1:9353", "127.0.0.1:5", "192.0.2.1:9353", 403},
		{"127.0.0.1:9353", "127.0.0.1:5", "evil.example", 421},
		{"127.0.0.1:9353", "127.0.0.1:5", "localhost.evil.example:9353", 421},
		{"127.0.0.1:9353", "127.0.0.1:5", "sensor.example", 403}, // in host_names
		{"127.0.0.1:9353", "127.0.0.1:5", "", 403},
	} {
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), listenKey{}, row.listen), "GET", "/domains", nil)
		r.RemoteAddr, r.Host = row.peer, row.host
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if holds := strings.Contains(w.Body.String(), "evil.example"); w.Code != row.want || holds != (row.want == 200) {
			t.Errorf("%+v: got %d %q", row, w.Code, w.Body)
		}
	}
}

// TestDomainsAreRefusedIfOtherHostsCanReachTheServer queries such a server over loopback.
func TestDomainsAreRefusedIfOtherHostsCanReachTheServer(t *testing.T) {
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, conf.Admin{Listen: "0.0.0.0:" + port})
	at := "127.0.0.1:" + port
	if status, text := r.get(at, "/domains"); status != http.StatusForbidden || text != "this is shown on loopback only\n" {
		t.Errorf("got %d %q", status, text)
	}
	if status, _ := r.get(at, "/healthz"); status != http.StatusOK {
		t.Errorf("another path: got %d", status)
	}
}

func TestDomainsAsJSON(t *testing.T) {
	s := serverOf(t, viewOf(fullState))
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), listenKey{}, "127.0.0.1:1"), "GET", "/domains", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:2", "localhost"
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	golden.Assert(t, w.Body.String(), "domains.json")
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

// TestOtherPathsContainNoDomains searches their responses for a domain that is counted, and for
// the address of a sender.
func TestOtherPathsContainNoDomains(t *testing.T) {
	s := serverOf(t, viewOf(fullState))
	for _, path := range []string{"/ledger", "/metrics"} {
		if text := get(s, path).Body.String(); strings.Contains(text, "evil.example") || strings.Contains(text, "192.0.2.54") || !strings.Contains(text, "local") {
			t.Errorf("%s contains a domain or address, or is not a full response:\n%s", path, text)
		}
	}
}

func TestNoDomainsAreAnEmptyList(t *testing.T) {
	if got := DomainsOf(nil, nil); got.Domains == nil || got.Senders == nil {
		t.Errorf("got %v, want two lists", got)
	}
}
