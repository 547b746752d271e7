package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/observers"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A fakeSensor is a sensor that a test controls, and a client of its handler.
type fakeSensor struct {
	observers.Set
	observing int // subscribed observers
	client    *http.Client
	dial      func() net.Conn

	mu        sync.Mutex
	trace     func(string) transform.Trace
	forbidden map[string]transform.Reason // by first label
	sinks     []forward.SinkLedger
}

func (s *fakeSensor) JudgeName(name []byte) transform.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forbidden[string(name[1:1+name[0]])]
}

func (s *fakeSensor) Trace(of func(string) transform.Trace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = of
}

func (s *fakeSensor) Ledger() forward.Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return forward.Ledger{Sinks: s.sinks}
}

func (s *fakeSensor) Watch(o forward.Observer) (stop func()) {
	s.count(1)
	end := s.Set.Subscribe(o)
	return func() { end(); s.count(-1) }
}

func (s *fakeSensor) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observing += n
}

// observed reports whether the handler observes lanes or sinks.
func (s *fakeSensor) observed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trace != nil || s.observing != 0
}

// judge reports a verdict of a lane about the name or the decoy.
func (s *fakeSensor) judge(t *testing.T, name string, r transform.Reason) {
	t.Helper()
	target, err := parseTarget(name)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	trace := s.trace("tap")
	trace.Verdict(&transform.Verdict{Name: target.name, Message: aMessage, Response: true, Reason: r})
	if r == transform.Kept {
		for i := range s.sinks {
			trace.(forward.SinkTrace).Offered(s.sinks[i].Name, recordOf(target.name), 0, false)
		}
	}
}

// send reports a container with the name.
func (s *fakeSensor) send(t *testing.T, sink, name string) {
	t.Helper()
	target, err := parseTarget(name)
	if err != nil {
		t.Fatal(err)
	}
	s.Sent(sink, containerOf(t, nmsg.DNSQR, false, target.name), false)
}

// A pipeListener accepts connections in memory, which work with the fake clock of synctest.
type pipeListener struct {
	made   chan net.Conn
	closed chan struct{}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error   { close(p.closed); return nil }
func (p *pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

func (p *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	p.made <- server
	return client
}

// withSensor runs a test in a synctest bubble with a sensor of one sink. The HTTP server has
// limits like the server of a real sensor.
func withSensor(t *testing.T, test func(t *testing.T, s *fakeSensor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSensor{sinks: []forward.SinkLedger{{Name: "out"}}, forbidden: map[string]transform.Reason{
			strings.Split(aDecoy, ".")[0]: transform.SpecialName}}
		p := &pipeListener{make(chan net.Conn), make(chan struct{})}
		s.dial = p.dial
		s.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil }}}
		server := &http.Server{
			Handler:     http.MaxBytesHandler(New(func() Sensor { return s }, s), 1<<10),
			ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 5 * time.Second,
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(p) }()
		test(t, s)
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		time.Sleep(time.Second) // until the connections are closed
		if s.observed() {
			t.Error("it observes after the end")
		}
	})
}

// A pendingRequest is a request whose answer the test reads.
type pendingRequest struct {
	*http.Response
	lines *json.Decoder
}

func (s *fakeSensor) request(t *testing.T, body string, headers ...string) pendingRequest {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://sensor/selftest", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return pendingRequest{response, json.NewDecoder(response.Body)}
}

// begin requests a selftest, and returns when the sensor observes both names.
func (s *fakeSensor) begin(t *testing.T) pendingRequest {
	t.Helper()
	e := s.request(t, aRequest)
	if l := e.line(t); l.Watching == nil || l.Verdict != nil {
		t.Fatalf("the first line is %+v", l)
	}
	if !s.observed() {
		t.Fatal("it reports that it observes, and does not")
	}
	return e
}

func (p pendingRequest) line(t *testing.T) (l Line) {
	t.Helper()
	if err := p.lines.Decode(&l); err != nil {
		t.Fatal(err)
	}
	return l
}

func (p pendingRequest) verdict(t *testing.T) *Verdict {
	t.Helper()
	l := p.line(t)
	if l.Verdict == nil || l.Watching != nil {
		t.Fatalf("the second line is %+v", l)
	}
	if rest, err := io.ReadAll(io.MultiReader(p.lines.Buffered(), p.Body)); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("after the verdict: %q, %v", rest, err)
	}
	p.Body.Close()
	return l.Verdict
}

func TestVerdictIsSentWhenBothAreProven(t *testing.T) {
	withSensor(t, func(t *testing.T, s *fakeSensor) {
		began := time.Now()
		e := s.begin(t)
		time.Sleep(3 * time.Second)
		s.judge(t, aDecoy, transform.SpecialName)
		s.judge(t, aName, transform.Kept)
		time.Sleep(8 * time.Second)
		s.send(t, "out", aName)
		if v := e.verdict(t); !v.Passed() {
			t.Errorf("got %+v", v)
		}
		if took := time.Since(began); took < 11*time.Second || took > 12*time.Second {
			t.Errorf("after %v", took)
		}
	})
}

func TestVerdictIsSentWhenBothWereDropped(t *testing.T) {
	withSensor(t, func(t *testing.T, s *fakeSensor) {
		e := s.begin(t)
		s.judge(t, aDecoy, transform.SpecialName)
		time.Sleep(time.Minute / 10)
		s.judge(t, aName, transform.Truncated)
		time.Sleep(quietTime - time.Second)
		s.judge(t, aName, transform.Rcode) // the retry
		began := time.Now()
		v := e.verdict(t)
		if v.Passed() || len(v.Name.Dropped) != 2 || v.Sinks[0].Stage != NoRecord {
			t.Errorf("got %+v", v)
		}
		if took := time.Since(began); took < quietTime || took > quietTime+time.Second {
			t.Errorf("after %v", took)
		}
	})
}

// TestVerdictIsSentAfterObserveTime: the command that waits for it has a timeout.
func TestVerdictIsSentAfterObserveTime(t *testing.T) {
	for what, report := range map[string]func(t *testing.T, s *fakeSensor){
		"nothing":         func(*testing.T, *fakeSensor) {},
		"the decoy alone": func(t *testing.T, s *fakeSensor) { s.judge(t, aDecoy, transform.LocalName) },
		"the name alone":  func(t *testing.T, s *fakeSensor) { s.judge(t, aName, transform.Kept); s.send(t, "out", aName) },
		"a record that no sink has": func(t *testing.T, s *fakeSensor) {
			s.judge(t, aDecoy, transform.LocalName)
			s.judge(t, aName, transform.Kept)
		},
	} {
		withSensor(t, func(t *testing.T, s *fakeSensor) {
			began := time.Now()
			e := s.begin(t)
			report(t, s)
			if v := e.verdict(t); v.Passed() {
				t.Errorf("%s: got %+v", what, v)
			}
			if took := time.Since(began); took < observeTime || took > observeTime+time.Second {
				t.Errorf("%s: after %v", what, took)
			}
		})
	}
}

// TestVerdictOmitsSinksThatAReloadAddedOrRemoved passes although neither sent the name.
func TestVerdictOmitsSinksThatAReloadAddedOrRemoved(t *testing.T) {
	withSensor(t, func(t *testing.T, s *fakeSensor) {
		s.sinks = append(s.sinks, forward.SinkLedger{Name: "old"})
		e := s.begin(t)
		s.mu.Lock()
		s.sinks = []forward.SinkLedger{{Name: "new"}, {Name: "out"}, {Name: "old", Removed: true}}
		s.mu.Unlock()
		s.judge(t, aDecoy, transform.SpecialName)
		s.judge(t, aName, transform.Kept)
		s.send(t, "out", aName)
		if v := e.verdict(t); !v.Passed() || len(v.Sinks) != 1 {
			t.Errorf("got %+v", v)
		}
	})
}

// TestHeldNameIsWaitedFor passes, after the time in which it may still leave.
func TestHeldNameIsWaitedFor(t *testing.T) {
	withSensor(t, func(t *testing.T, s *fakeSensor) {
		s.sinks = append(s.sinks, forward.SinkLedger{Name: "slow", Queued: 1})
		began := time.Now()
		e := s.begin(t)
		s.judge(t, aDecoy, transform.SpecialName)
		s.judge(t, aName, transform.Kept)
		s.send(t, "out", aName)
		if v := e.verdict(t); !v.Passed() || v.Sinks[1].Stage != Held {
			t.Errorf("got %+v", v)
		}
		if took := time.Since(began); took < observeTime {
			t.Errorf("after %v", took)
		}
	})
}

func TestForbiddenNameIsReportedInTheFirstLine(t *testing.T) {
	withSensor(t, func(t *testing.T, s *fakeSensor) {
		s.forbidden[strings.Split(aName, ".")[0]] = transform.LocalName
		e := s.request(t, aRequest)
		if l := e.line(t); l.Watching == nil || l.Watching.NameForbidden != "local_name" {
			t.Errorf("got %+v", l.Watching)
		}
		e.Body.Close()
		synctest.Wait()
	})
}

func TestObservingEndsWithTheRequest(t *testing.T) {
	withSensor(t, func(t *testing.T, s *fakeSensor) {
		e := s.begin(t)
		time.Sleep(12 * time.Second) // longer than every limit of the server
		if !s.observed() {
			t.Error("it ended by itself")
		}
		e.Body.Close()
		synctest.Wait()
		if s.observed() {
			t.Error("it still observes")
		}
		s.begin(t).Body.Close() // another selftest can begin
		synctest.Wait()
	})
}

// TestSelftestOfAClientThatReadsNothingEnds after writeTime, so that another can begin.
func TestSelftestOfAClientThatReadsNothingEnds(t *testing.T) {
	withSensor(t, func(t *testing.T, s *fakeSensor) {
		conn := s.dial()
		defer conn.Close()
		io.WriteString(conn, "POST /selftest HTTP/1.1\r\nHost: sensor\r\nContent-Type: application/json\r\nContent-Length: "+
			"139\r\n\r\n"+aRequest+strings.Repeat(" ", 139-len(aRequest)))
		synctest.Wait()
		if !s.observed() {
			t.Fatal("the request was not accepted")
		}
		time.Sleep(writeTime + time.Second)
		synctest.Wait()
		if s.observed() {
			t.Error("it observes for a client that does not read")
		}
		s.begin(t).Body.Close()
		synctest.Wait()
	})
}

func TestRefusals(t *testing.T) {
	withSensor(t, func(t *testing.T, s *fakeSensor) {
		const json = "application/json"
		kept := strings.ReplaceAll(aRequest, "fedcba", "abcdef")
		for what, tt := range map[string]struct {
			body    string
			headers []string
			status  int
			want    string
		}{
			"a form of another site":    {aRequest, []string{"Content-Type", "text/plain"}, 415, "application/json"},
			"no type":                   {aRequest, []string{"Content-Type", ""}, 415, "application/json"},
			"a script of another site":  {aRequest, []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross-origin"},
			"a script of a sister site": {aRequest, []string{"Sec-Fetch-Site", "same-site"}, 403, "cross-origin"},
			"an old browser":            {aRequest, []string{"Origin", "http://evil.example"}, 403, "cross-origin"},
			"a query of a user":         {badRequests["another's name"], nil, 400, "name: \"www.example.com.\" is not "},
			"a query of a user, decoy":  {badRequests["another's decoy"], nil, 400, "decoy: \"printer.corp.example.\" is not "},
			"no JSON":                   {"name=x", nil, 400, "not a JSON object"},
			"a long request":            {aRequest + strings.Repeat(" ", 1<<10), nil, 413, "too large"},
			"a decoy that would leave":  {kept, nil, 422, "would let the decoy leave"},
			"a type with a parameter":   {aRequest, []string{"Content-Type", json + "; charset=utf-8"}, 200, "watching"},
			"a page of its own":         {aRequest, []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://sensor"}, 200, "watching"},
		} {
			e := s.request(t, tt.body, tt.headers...)
			answer := make([]byte, 512)
			n, _ := io.ReadAtLeast(e.Body, answer, 1)
			e.Body.Close()
			synctest.Wait()
			if e.StatusCode != tt.status || !strings.Contains(string(answer[:n]), tt.want) {
				t.Errorf("%s: got %d %q, want %d %q", what, e.StatusCode, answer[:n], tt.status, tt.want)
			}
			if s.observed() {
				t.Errorf("%s: is observed", what)
			}
		}
	})
}

func TestSecondSelftestIsRefused(t *testing.T) {
	withSensor(t, func(t *testing.T, s *fakeSensor) {
		e := s.begin(t)
		second := s.request(t, aRequest)
		answer, err := io.ReadAll(second.Body)
		if err != nil || second.StatusCode != http.StatusConflict || !strings.Contains(string(answer), "another selftest is running") {
			t.Errorf("got %s %q, %v", second.Status, answer, err)
		}
		second.Body.Close()
		e.verdict(t)
		s.begin(t).Body.Close()
		synctest.Wait()
	})
}
