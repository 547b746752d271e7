package collector

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A scriptedListener returns its failures, then its connections, then waits for Close.
type scriptedListener struct {
	failures []error
	calls    []time.Time
	conns    []net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	l.calls = append(l.calls, time.Now())
	if len(l.failures) > 0 {
		err := l.failures[0]
		l.failures = l.failures[1:]
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: err}
	}
	if len(l.conns) > 0 {
		nc := l.conns[0]
		l.conns = l.conns[1:]
		return nc, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *scriptedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *scriptedListener) Addr() net.Addr { return &net.UnixAddr{Name: "scripted", Net: "unix"} }

func scriptedSource(l *scriptedListener, log *logBuffer) *Source {
	l.closed = make(chan struct{})
	return &Source{
		log: log.logger(), open: func() transform.Lane { return &recorder{} },
		listener: l, close: sync.OnceValue(l.Close),
		config: testConfig("unix", "/x"), conns: map[*conn]struct{}{},
	}
}

func TestAcceptBacksOffAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		l := &scriptedListener{conns: []net.Conn{ours}}
		for range 12 {
			l.failures = append(l.failures, syscall.EMFILE)
		}
		var log logBuffer
		s := scriptedSource(l, &log)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}

		want := firstBackoff
		for i := 1; i <= 12; i++ {
			if got := l.calls[i].Sub(l.calls[i-1]); got != want {
				t.Errorf("pause %d is %v, want %v", i, got, want)
			}
			want = min(2*want, maxBackoff)
		}
		if stats := s.Stats(); stats.AcceptErrors != 12 || stats.Accepted != 1 {
			t.Errorf("got %+v", stats)
		}
		if log.count("cannot be accepted") != 1 || log.count("accepted again") != 1 {
			t.Errorf("want one line for each change of state:\n%s", log.String())
		}
	})
}

func TestStopWhileBackingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &scriptedListener{}
		for range 1000 {
			l.failures = append(l.failures, syscall.ENFILE)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := scriptedSource(l, &logBuffer{}).Run(ctx); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestRunEndsWithAListenerThatIsGone(t *testing.T) {
	for _, gone := range []error{net.ErrClosed, syscall.EBADF, syscall.EINVAL} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			l := &scriptedListener{conns: []net.Conn{ours}}
			s := scriptedSource(l, &logBuffer{})
			l.failures = []error{gone}
			err := s.Run(t.Context())
			if !errors.Is(err, gone) || !strings.Contains(err.Error(), "accepting connections") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFloodIsLoggedAtDebugLevel(t *testing.T) {
	r := startSource(t, unixConfig(t))
	const connections = 2*loggedPerMinute + 5
	for range connections {
		nc := r.dial(t)
		send(t, nc, []byte("GET / HTTP/1.1\r\n\r\n"))
		expectClosed(t, nc)
	}
	eventually(t, "all are counted", func() bool { return r.Stats().HandshakesFailed == connections })
	if n := r.log.count("level=WARN msg=\"connection closed"); n != loggedPerMinute {
		t.Errorf("%d warnings of %d connections, want %d", n, connections, loggedPerMinute)
	}
	if n := r.log.count("level=DEBUG msg=\"connection closed"); n != connections-loggedPerMinute {
		t.Errorf("%d lines at debug level, want the other %d", n, connections-loggedPerMinute)
	}
	if n := r.log.count("many connections"); n != 1 {
		t.Errorf("%d lines about many connections, want 1", n)
	}
}

func TestMinuteRateRestartsEachMinute(t *testing.T) {
	var r minuteRate
	now := time.Now()
	for i, want := range []int{1, 2, 3} {
		if got := r.add(now.Add(time.Duration(i) * 29 * time.Second)); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	if got := r.add(now.Add(time.Minute)); got != 1 {
		t.Errorf("got %d in the next minute", got)
	}
}
