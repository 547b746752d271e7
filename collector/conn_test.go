package collector

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A session is one conn served on a pipe, within a synctest bubble.
type session struct {
	peer    net.Conn
	lane    *recorder
	log     logBuffer
	conn    *conn
	stop    context.CancelFunc
	done    chan struct{}
	outcome outcome
	took    time.Duration
}

func newSession(t *testing.T) *session { return newSessionWith(t, nil) }

func newSessionWith(t *testing.T, creds *certs.Credentials) *session {
	ctx, cancel := context.WithCancel(t.Context())
	ours, theirs := net.Pipe()
	s := &session{peer: theirs, lane: &recorder{}, stop: cancel, done: make(chan struct{})}
	s.conn = newConn(ours, Peer{}, 1, testConfig("unix", "/x"), s.log.logger())
	s.conn.tls = creds
	began := time.Now()
	go func() {
		defer close(s.done)
		s.outcome = s.conn.serve(ctx, func() transform.Lane { return s.lane })
		s.took = time.Since(began)
	}()
	t.Cleanup(func() {
		theirs.Close()
		cancel()
		<-s.done
		s.lane.check(t)
	})
	return s
}

func (s *session) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := s.peer.Write(b); err != nil {
		t.Fatal(err)
	}
}

func (s *session) expect(t *testing.T, want outcome, took time.Duration, logged string) {
	t.Helper()
	<-s.done
	if s.outcome != want || s.took != took || !strings.Contains(s.log.String(), logged) {
		t.Errorf("outcome %d after %v, want %d after %v; the log should say %q:\n%s",
			s.outcome, s.took, want, took, logged, s.log.String())
	}
}

func (s *session) expectCounts(t *testing.T, messages, drops int) {
	t.Helper()
	gotMessages, gotDrops := s.lane.seen()
	if len(gotMessages) != messages || len(gotDrops) != drops {
		t.Errorf("%d messages and drops %v, want %d and %d", len(gotMessages), gotDrops, messages, drops)
	}
}

func TestSilentPeerIsClosedAfterTheHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.expect(t, neverBegan, 5*time.Second, "no START in time")
		if s.lane.isClosed() {
			t.Error("a lane was opened for it")
		}
	})
}

func TestSlowPeerGetsNoLongerThanTheHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		for _, b := range start[:4] {
			s.send(t, []byte{b})
			time.Sleep(time.Second)
		}
		s.expect(t, neverBegan, 5*time.Second, "no START in time")
	})
}

func TestPeerThatNeverReadsACCEPT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.send(t, controlBytes(framestream.CONTROL_READY, ours))
		s.expect(t, neverBegan, 5*time.Second, "no START in time")
	})
}

func TestPeerThatNeverReadsFINISH(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.send(t, controlBytes(framestream.CONTROL_READY, ours))
		if _, err := io.ReadFull(s.peer, make([]byte, 42)); err != nil {
			t.Fatal(err)
		}
		s.send(t, join(start, sampleFrame(), stop))
		s.expect(t, ended, finishTime, "FINISH not sent")
		s.expectCounts(t, 1, 0)
	})
}

func TestQuietConnectionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.send(t, start)
		time.Sleep(24 * time.Hour)
		s.send(t, join(sampleFrame(), stop))
		s.expect(t, ended, 24*time.Hour, "by=STOP")
		s.expectCounts(t, 1, 0)
	})
}

func TestStopReadsPendingDataOnAQuietConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.send(t, join(start, sampleFrame()))
		synctest.Wait()
		s.stop()
		s.send(t, sampleFrame())
		s.send(t, sampleFrame()[:50]) // cut by our end: not an error of the peer
		s.expect(t, ended, drainIdle, "by=us")
		s.expectCounts(t, 2, 0)
	})
}

func TestStopDoesNotWaitForAPeerThatKeepsSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.send(t, start)
		s.stop()
		sent := 0
		for ; ; sent++ {
			if _, err := s.peer.Write(sampleFrame()); err != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		s.expect(t, ended, drainTime, "by=us")
		s.expectCounts(t, sent, 0)
	})
}

func TestStopInTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.send(t, start[:10])
		s.stop()
		s.expect(t, ended, drainIdle, "")
		if strings.Contains(s.log.String(), "WARN") {
			t.Errorf("a warning: %s", s.log.String())
		}
	})
}

func TestStopBetweenHandshakeAndStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.stop()
		s.send(t, join(start, sampleFrame()))
		s.expect(t, ended, drainIdle, "by=us")
		s.expectCounts(t, 1, 0)
	})
}

func TestConnectionReportsItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		if _, began := s.conn.show(); began {
			t.Error("the connection began before START")
		}
		d := sample()
		d.Identity = slices.Repeat([]byte("long"), 100)
		unnamed := sample()
		unnamed.Identity, unnamed.Version = nil, nil
		s.send(t, join(start, frame(marshal(d)), frame(marshal(unnamed)), frame([]byte("junk")), frame(make([]byte, 257<<10))))
		synctest.Wait()
		got, began := s.conn.show()
		want := Connection{
			Number: 1, Since: got.Since, Identity: strings.Repeat("long", 64)[:maxLabel], Version: "unbound 1.17.1",
			Frames: 4, Types: TypeCounts{4: 2}, Outward: 2,
		}
		if got != want || !began {
			t.Errorf("got %+v, want %+v", got, want)
		}

		s.send(t, sampleFrame())
		synctest.Wait()
		if got, _ := s.conn.show(); got.Identity != "ns1.example" {
			t.Errorf("identity is %q after it changed", got.Identity)
		}
		if n := s.log.count("level=INFO msg=\"resolver named itself\""); n != 1 {
			t.Errorf("%d lines for the first identity", n)
		}
		if n := s.log.count("resolver named itself"); n != 2 {
			t.Errorf("%d lines for both identities", n)
		}
	})
}

func TestOneWarningForBrokenFraming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.send(t, join(start, sampleFrame(), start))
		s.expect(t, broken, 0, "broken framing")
		if n := s.log.count("level=WARN"); n != 1 || s.log.count("START after START") != 1 {
			t.Errorf("%d warnings:\n%s", n, s.log.String())
		}
		s.expectCounts(t, 1, 0)
	})
}

func TestEndWithinAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t)
		s.send(t, join(start, sampleFrame(), sampleFrame()[:9]))
		s.peer.Close()
		s.expect(t, ended, 0, "the stream ends within a frame")
		s.expectCounts(t, 1, 1)
	})
}
