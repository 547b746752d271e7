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

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/leaving"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// stage is a sensor that does as it is told, and a server that asks it.
type stage struct {
	leaving.Tap
	taps   int // that watch
	client *http.Client
	dial   func() net.Conn

	mu        sync.Mutex
	trace     func(string) transform.Trace
	forbidden map[string]transform.Reason // by first label
	sinks     []forward.SinkLedger
}

func (s *stage) JudgeName(name []byte) transform.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forbidden[string(name[1:1+name[0]])]
}

func (s *stage) Trace(of func(string) transform.Trace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = of
}

func (s *stage) Ledger() forward.Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return forward.Ledger{Sinks: s.sinks}
}

func (s *stage) Watch(o forward.Observer) (stop func()) {
	s.count(1)
	end := s.Tap.Watch(o)
	return func() { end(); s.count(-1) }
}

func (s *stage) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps += n
}

func (s *stage) watched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trace != nil || s.taps != 0
}

// tell is a lane's verdict on the name, or the decoy.
func (s *stage) tell(t *testing.T, name string, r transform.Reason) {
	t.Helper()
	target, err := parseTarget(name)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace("tap").Verdict(&transform.Verdict{Name: target.name, Message: aMessage, Response: true, Reason: r})
}

func (s *stage) send(t *testing.T, sink, name string) {
	t.Helper()
	target, err := parseTarget(name)
	if err != nil {
		t.Fatal(err)
	}
	s.Sent(sink, containerOf(t, nmsg.DNSQR, false, target.name))
}

// pipes is a listener whose connections are in memory, so that time is the bubble's.
type pipes struct {
	made   chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.made <- far
	return near
}

// onStage runs a test in a bubble with a sensor of one sink, whose server has limits as
// the sensor's own has.
func onStage(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{sinks: []forward.SinkLedger{{Name: "out"}}, forbidden: map[string]transform.Reason{
			strings.Split(aDecoy, ".")[0]: transform.SpecialName}}
		p := &pipes{make(chan net.Conn), make(chan struct{})}
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
		time.Sleep(time.Second) // for connections that linger
		if s.watched() {
			t.Error("it watches after the end")
		}
	})
}

// An asking is one request under way.
type asking struct {
	*http.Response
	lines *json.Decoder
}

func (s *stage) request(t *testing.T, body string, headers ...string) asking {
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
	return asking{response, json.NewDecoder(response.Body)}
}

// begin returns when the sensor watches.
func (s *stage) begin(t *testing.T) asking {
	t.Helper()
	e := s.request(t, aRequest)
	if l := e.line(t); l.Watching == nil || l.Verdict != nil {
		t.Fatalf("the first line is %+v", l)
	}
	if !s.watched() {
		t.Fatal("it says that it watches, and does not")
	}
	return e
}

func (e asking) line(t *testing.T) (l Line) {
	t.Helper()
	if err := e.lines.Decode(&l); err != nil {
		t.Fatal(err)
	}
	return l
}

func (e asking) verdict(t *testing.T) *Verdict {
	t.Helper()
	l := e.line(t)
	if l.Verdict == nil || l.Watching != nil {
		t.Fatalf("the second line is %+v", l)
	}
	if rest, err := io.ReadAll(io.MultiReader(e.lines.Buffered(), e.Body)); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("behind the verdict: %q, %v", rest, err)
	}
	e.Body.Close()
	return l.Verdict
}

func TestVerdictComesAsSoonAsBothAreProven(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		began := time.Now()
		e := s.begin(t)
		time.Sleep(3 * time.Second)
		s.tell(t, aDecoy, transform.SpecialName)
		s.tell(t, aName, transform.Kept)
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

func TestVerdictComesWhenBothHaveEnded(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		e := s.begin(t)
		s.tell(t, aDecoy, transform.SpecialName)
		time.Sleep(time.Minute / 10)
		s.tell(t, aName, transform.Truncated)
		time.Sleep(quietTime - time.Second)
		s.tell(t, aName, transform.Rcode) // the retry
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

// TestVerdictComesInTime: what leaves too late has not left, and a command that waits
// for it ends within half a minute.
func TestVerdictComesInTime(t *testing.T) {
	for what, told := range map[string]func(t *testing.T, s *stage){
		"nothing":             func(*testing.T, *stage) {},
		"the decoy alone":     func(t *testing.T, s *stage) { s.tell(t, aDecoy, transform.LocalName) },
		"the name alone":      func(t *testing.T, s *stage) { s.tell(t, aName, transform.Kept); s.send(t, "out", aName) },
		"a record that waits": func(t *testing.T, s *stage) { s.tell(t, aDecoy, transform.LocalName); s.tell(t, aName, transform.Kept) },
	} {
		onStage(t, func(t *testing.T, s *stage) {
			began := time.Now()
			e := s.begin(t)
			told(t, s)
			if v := e.verdict(t); v.Passed() {
				t.Errorf("%s: got %+v", what, v)
			}
			if took := time.Since(began); took < watchTime || took > watchTime+time.Second {
				t.Errorf("%s: after %v", what, took)
			}
		})
	}
}

// TestReloadsChangeWhichSinksCount: one that came is none yet, one that went is none
// any more.
func TestReloadsChangeWhichSinksCount(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.sinks = append(s.sinks, forward.SinkLedger{Name: "old"})
		e := s.begin(t)
		s.mu.Lock()
		s.sinks = []forward.SinkLedger{{Name: "new"}, {Name: "out"}, {Name: "old", Removed: true}}
		s.mu.Unlock()
		s.tell(t, aDecoy, transform.SpecialName)
		s.tell(t, aName, transform.Kept)
		s.send(t, "out", aName)
		if v := e.verdict(t); !v.Passed() || len(v.Sinks) != 1 {
			t.Errorf("got %+v", v)
		}
	})
}

func TestNameThatCannotLeaveIsSaidAtOnce(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.forbidden[strings.Split(aName, ".")[0]] = transform.LocalName
		e := s.request(t, aRequest)
		if l := e.line(t); l.Watching == nil || l.Watching.NameForbidden != "local_name" {
			t.Errorf("got %+v", l.Watching)
		}
		e.Body.Close()
		synctest.Wait()
	})
}

func TestWatchingEndsWithWhoAsked(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		e := s.begin(t)
		time.Sleep(12 * time.Second) // behind every limit of the server's own
		if !s.watched() {
			t.Error("it ended by itself")
		}
		e.Body.Close()
		synctest.Wait()
		if s.watched() {
			t.Error("it goes on")
		}
		s.begin(t).Body.Close() // and leaves room
		synctest.Wait()
	})
}

// TestSlowReaderHoldsNothingUp: one that reads nothing keeps the place of others for no
// longer than a line may take.
func TestSlowReaderHoldsNothingUp(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		conn := s.dial()
		defer conn.Close()
		io.WriteString(conn, "POST /selftest HTTP/1.1\r\nHost: sensor\r\nContent-Type: application/json\r\nContent-Length: "+
			"139\r\n\r\n"+aRequest+strings.Repeat(" ", 139-len(aRequest)))
		synctest.Wait()
		if !s.watched() {
			t.Fatal("it was not taken")
		}
		time.Sleep(writeTime + time.Second)
		synctest.Wait()
		if s.watched() {
			t.Error("it watches for who does not read")
		}
		s.begin(t).Body.Close()
		synctest.Wait()
	})
}

func TestRefusals(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		const json = "application/json"
		kept := strings.ReplaceAll(aRequest, "fedcba", "abcdef")
		for what, tt := range map[string]struct {
			body    string
			headers []string
			status  int
			says    string
		}{
			"a form of another site":     {aRequest, []string{"Content-Type", "text/plain"}, 415, "application/json"},
			"no type":                    {aRequest, []string{"Content-Type", ""}, 415, "application/json"},
			"a script of another site":   {aRequest, []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross-origin"},
			"a script of a sister site":  {aRequest, []string{"Sec-Fetch-Site", "same-site"}, 403, "cross-origin"},
			"a browser of another time":  {aRequest, []string{"Origin", "http://evil.example"}, 403, "cross-origin"},
			"what users ask":             {badRequests["another's name"], nil, 400, "name: \"www.example.com.\" is not "},
			"what users ask, as a decoy": {badRequests["another's decoy"], nil, 400, "decoy: \"printer.corp.example.\" is not "},
			"no JSON":                    {"name=x", nil, 400, "no JSON object"},
			"much":                       {aRequest + strings.Repeat(" ", 1<<10), nil, 413, "too large"},
			"a decoy that would leave":   {kept, nil, 422, "would let the decoy leave"},
			"a type with a parameter":    {aRequest, []string{"Content-Type", json + "; charset=utf-8"}, 200, "watching"},
			"a page of its own":          {aRequest, []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://sensor"}, 200, "watching"},
		} {
			e := s.request(t, tt.body, tt.headers...)
			said := make([]byte, 512)
			n, _ := io.ReadAtLeast(e.Body, said, 1)
			e.Body.Close()
			synctest.Wait()
			if e.StatusCode != tt.status || !strings.Contains(string(said[:n]), tt.says) {
				t.Errorf("%s: got %d %q, want %d %q", what, e.StatusCode, said[:n], tt.status, tt.says)
			}
			if s.watched() {
				t.Errorf("%s: is watched for", what)
			}
		}
	})
}

func TestOneRunsAtATime(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		e := s.begin(t)
		second := s.request(t, aRequest)
		said, err := io.ReadAll(second.Body)
		if err != nil || second.StatusCode != http.StatusConflict || !strings.Contains(string(said), "another selftest is under way") {
			t.Errorf("got %s %q, %v", second.Status, said, err)
		}
		second.Body.Close()
		e.verdict(t)
		s.begin(t).Body.Close()
		synctest.Wait()
	})
}
