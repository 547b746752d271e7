package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// A fakePage responds with the path of the request.
type fakePage struct {
	runs  atomic.Int32
	inUse conf.Admin
}

func (*fakePage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "the page's "+r.URL.Path)
}

func (p *fakePage) Run(ctx context.Context) {
	p.runs.Add(1)
	<-ctx.Done()
	p.runs.Add(-1)
}

func (p *fakePage) Adopt(c conf.Admin) { p.inUse = c }

// running is a running server, and whether its sensor is ready.
type running struct {
	*Server
	client  *http.Client
	page    fakePage
	unready atomic.Bool
	ended   atomic.Int32 // selftests
	stop    func()
}

// freeAddress returns a free address of a range that nothing else uses.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.93.53.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func serve(t *testing.T, c conf.Admin) *running {
	t.Helper()
	r := &running{client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	var err error
	r.Server, err = Listen(c, viewOf(func() sensor.State { return sensor.State{} }), Options{
		Page:     &r.page,
		Selftest: http.HandlerFunc(r.longSelftest),
		Ready:    r.ready,
		Registry: prometheus.NewRegistry(),
		Log:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *running) ready() error {
	if r.unready.Load() {
		return errors.New("the sensor is starting or stopping")
	}
	return nil
}

// longSelftest handles a request until the client disconnects or the server ends.
func (r *running) longSelftest(w http.ResponseWriter, q *http.Request) {
	http.NewResponseController(w).Flush()
	<-q.Context().Done()
	r.ended.Add(1)
}

// do returns the status and text of the response; 0 if there is none.
func (r *running) do(method, url string, body io.Reader, host string) (int, string) {
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return 0, err.Error()
	}
	request.Host = host
	response, err := r.client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

func (r *running) get(address, path string) (int, string) {
	return r.do("GET", "http://"+address+path, nil, "")
}

func TestServerServesThesePathsOnly(t *testing.T) {
	at := freeAddress(t)
	r := serve(t, conf.Admin{Listen: at})
	url := "http://" + at
	for name, tt := range map[string]struct {
		method, path, host string
		body               string
		status             int
		says               string
	}{
		"metrics":          {"GET", "/metrics", "", "", 200, "dnstap_pdns_build_info{"},
		"ledger":           {"GET", "/ledger", "", "", 200, `"started": "`},
		"alive":            {"GET", "/healthz", "", "", 200, "alive"},
		"ready":            {"GET", "/readyz", "", "", 200, "ready"},
		"page":             {"GET", "/", "", "", 200, "the page's /"},
		"of the page":      {"GET", "/page/page.css", "", "", 200, "the page's /page/page.css"},
		"head":             {"HEAD", "/ledger", "", "", 200, ""},
		"localhost":        {"GET", "/healthz", "localhost:9353", "", 200, "alive"},
		"no such path":     {"GET", "/ledger/", "", "", 404, ""},
		"a way up":         {"GET", "/../etc/passwd", "", "", 404, ""},
		"profiles, unless": {"GET", "/debug/pprof/", "", "", 404, "not found"},
		"a change":         {"POST", "/ledger", "", "x", 405, ""},
		"another's name":   {"GET", "/ledger", "evil.example", "", 421, "use an address"},
		"selftest for it":  {"POST", "/selftest", "evil.example", "", 421, "admin.host_names"},
		"domains":          {"GET", "/domains", "localhost", "", 200, `"domain": "evil.example"`},
	} {
		status, text := r.do(tt.method, url+tt.path, strings.NewReader(tt.body), tt.host)
		if status != tt.status || !strings.Contains(text, tt.says) {
			t.Errorf("%s: got %d %q, want %d %q", name, status, text, tt.status, tt.says)
		}
	}
	r.unready.Store(true)
	if status, text := r.get(at, "/readyz"); status != 503 || !strings.Contains(text, "starting or stopping") {
		t.Errorf("not ready: got %d %q", status, text)
	}
	if status, _ := r.get(at, "/healthz"); status != 200 {
		t.Errorf("not ready, but alive: got %d", status)
	}
}

func TestAChangeMovesTheServer(t *testing.T) {
	first, second := freeAddress(t), freeAddress(t)
	r := serve(t, conf.Admin{Listen: first})
	change := func(c conf.Admin) {
		t.Helper()
		to, err := r.Prepare(c)
		if err != nil {
			t.Fatal(err)
		}
		to.Adopt()
	}
	expect := func(when string, here, gone string) {
		t.Helper()
		if here != "" {
			if status, text := r.get(here, "/healthz"); status != 200 {
				t.Errorf("%s: got %d %q", when, status, text)
			}
		}
		if status, _ := r.get(gone, "/healthz"); status != 0 {
			t.Errorf("%s: it answers at the old address still", when)
		}
	}
	change(conf.Admin{Listen: first, Pprof: true})
	if status, _ := r.get(first, "/debug/pprof/goroutine"); status != 200 {
		t.Errorf("profiles: got %d", status)
	}
	if !r.page.inUse.Pprof {
		t.Error("the page did not get a change")
	}
	change(conf.Admin{Listen: second})
	expect("moved", second, first)
	if status, _ := r.get(second, "/debug/pprof/goroutine"); status != 404 {
		t.Errorf("profiles afterwards: got %d", status)
	}

	occupied, err := net.Listen("tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prepare(conf.Admin{Listen: first}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("an address in use: got %v", err)
	}
	occupied.Close()
	expect("after a change that failed", second, first)

	to, err := r.Prepare(conf.Admin{Listen: first})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Discard(); err != nil {
		t.Error(err)
	}
	expect("after a change that was discarded", second, first)
	if r.page.inUse.Listen != second {
		t.Errorf("the page got a change that was not made: %+v", r.page.inUse)
	}

	change(conf.Admin{})
	expect("off", "", second)
	change(conf.Admin{Listen: first})
	expect("on again", first, second)
	if n := r.page.runs.Load(); n != 1 {
		t.Errorf("the page runs %d times", n)
	}
	r.stop()
	if n := r.page.runs.Load(); n != 0 {
		t.Errorf("the page runs %d times after the end", n)
	}
	if status, _ := r.get(first, "/healthz"); status != 0 {
		t.Error("it answers after its end")
	}
	change(conf.Admin{Listen: second}) // must have no effect
	expect("after the end", "", second)
}

// TestSelftestsEndWithTheirServer: a selftest, which runs for half a minute, delays neither a stop
// nor a change of address.
func TestSelftestsEndWithTheirServer(t *testing.T) {
	first, second := freeAddress(t), freeAddress(t)
	r := serve(t, conf.Admin{Listen: first})
	begin := func(at string) {
		t.Helper()
		response, err := r.client.Post("http://"+at+"/selftest", "application/json", nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(response, err)
		}
		t.Cleanup(func() { response.Body.Close() })
	}
	if status, _ := r.get(first, "/selftest"); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %d", status)
	}
	begin(first)
	to, err := r.Prepare(conf.Admin{Listen: second})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	to.Adopt()
	if status, _ := r.get(second, "/healthz"); status != http.StatusOK || r.ended.Load() != 1 {
		t.Errorf("moved: got %d, %d selftests have ended", status, r.ended.Load())
	}
	begin(second)
	r.stop()
	if n, took := r.ended.Load(), time.Since(began); n != 2 || took >= 2*shutdownTime {
		t.Errorf("stopped: %d selftests have ended, after %v", n, took)
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	at := freeAddress(t)
	occupied, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	_, err = Listen(conf.Admin{Listen: at}, viewOf(fullState), Options{Page: &fakePage{}, Selftest: http.NotFoundHandler(), Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	want := fmt.Sprintf("admin: listening on %s: bind: address already in use; if no other sensor runs here, name another address in admin.listen, or \"\" for none", at)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestAFailedListenerEndsTheServerWithAnError(t *testing.T) {
	s, err := Listen(conf.Admin{Listen: freeAddress(t)}, viewOf(fullState), Options{
		Page: &fakePage{}, Selftest: http.NotFoundHandler(), Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "admin: serving on") {
		t.Errorf("got %v", err)
	}
}

// TestHostNamesAreCheckedOnEveryAddress: requests through a port that a container engine publishes do
// not arrive on loopback.
func TestHostNamesAreCheckedOnEveryAddress(t *testing.T) {
	_, port, _ := net.SplitHostPort(freeAddress(t))
	r := serve(t, conf.Admin{Listen: "0.0.0.0:" + port, HostNames: []string{"sensor.example"}})
	url := "http://127.0.0.1:" + port + "/ledger"
	if addresses, err := net.InterfaceAddrs(); err == nil { // one that is not on loopback, if there is any
		for _, a := range addresses {
			if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
				url = "http://" + net.JoinHostPort(ip.IP.String(), port) + "/ledger"
			}
		}
	}
	for host, want := range map[string]int{"": 200, "localhost": 200, "sensor.example:" + port: 200, "evil.example": 421} {
		if status, text := r.do("GET", url, nil, host); status != want {
			t.Errorf("host %q: got %d %q, want %d", host, status, text, want)
		}
	}
	to, err := r.Prepare(conf.Admin{Listen: "0.0.0.0:" + port})
	if err != nil {
		t.Fatal(err)
	}
	to.Adopt()
	if status, _ := r.do("GET", url, nil, "sensor.example"); status != 421 {
		t.Errorf("after a reload without the name: got %d", status)
	}
}

// TestTheUnspecifiedIPv4AddressIsIPv4Only: it must not listen on IPv6 too, which a firewall for
// IPv4 does not protect.
func TestTheUnspecifiedIPv4AddressIsIPv4Only(t *testing.T) {
	l, err := listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Addr().String(); !strings.HasPrefix(got, "0.0.0.0:") {
		t.Errorf("listens on %s", got)
	}
}

func TestHostsThatNameThisHost(t *testing.T) {
	names := []string{"sensor.example"}
	for host, want := range map[string]bool{
		"sensor.example": true, "Sensor.Example.:9353": true, "a.sensor.example": false, "127.0.0.1.evil.example": false, "localhost.": true,
		"0x7f.1": false, "[fe80::1%25eth0]:9353": true,
		"": true, "localhost": true, "localhost:9353": true, "127.0.0.1": true, "127.0.0.1:9353": true, "[::1]": true, "[::1]:9353": true,
		"evil.example": false, "evil.example:9353": false, "localhost.evil.example": false,
	} {
		if got := namesHost(host, names); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}
