package wss

import (
	"context"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss/wsstest"
)

func TestContainersReachTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsstest.New(t, wsstest.Rules{Key: testKey, Path: "/session/test", Host: "sie.example"})
		c := newClient(t, s)
		small, large := batch(0, 5, 100), batch(5, 1, 3*forward.BatchSize)
		small.Dropped = forward.Dropped{Units: 7, Bytes: 7000}
		r, err := c.Send(t.Context(), []*forward.Batch{small, large}, 0)
		want := forward.Result{Units: 6, Delivered: 6, Sent: forward.Sent{Containers: 6, Bytes: uint64(len(small.Buf) + len(large.Buf))}}
		if err != nil || r != want {
			t.Fatalf("got %+v, %v, want %+v", r, err, want)
		}
		got := s.Containers()
		for i, m := range got {
			if numberOf(m.Data) != i || m.Channel != 202 {
				t.Errorf("container %d: channel %d, %q", i, m.Channel, m.Data)
			}
			if wantLoss := i == 0; (m.LossUnits == 7 && m.LossBytes == 7000) != wantLoss || !wantLoss && m.LossUnits+m.LossBytes != 0 {
				t.Errorf("container %d: loss of %d containers, %d bytes", i, m.LossUnits, m.LossBytes)
			}
		}
		if !c.Acknowledged().Equal(time.Now()) || !c.Expires().IsZero() {
			t.Errorf("acknowledged at %v, expires at %v", c.Acknowledged(), c.Expires())
		}
		c.Close(t.Context())
		types := s.Conns()[0].Types()
		if types[0] != wsstest.TopologyType || types[1] != wsstest.HeartbeatType || types[len(types)-1] != wsstest.FinishedType {
			t.Errorf("the server got %v", types)
		}
	})
}

func TestASendIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsstest.New(t, wsstest.Rules{})
		c := newClient(t, s)
		bs := []*forward.Batch{batch(0, 100, 60_000), batch(100, 100, 60_000)}
		r, err := c.Send(t.Context(), bs, 10)
		want := 1 + maxUnacknowledged/60_000
		if err != nil || r.Units != want {
			t.Errorf("%d units, want %d: %v", r.Units, want, err)
		}
		c.mustSend(t, bs...)
	})
}

// TestASendOverASlowLinkIsLimited: it ends while the server makes progress.
func TestASendOverASlowLinkIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsstest.New(t, wsstest.Rules{Heartbeat: 20 * time.Second, NoDeadline: true, OnMessage: func(_ *wsstest.Conn, m wsstest.Message) bool {
			if m.Type == wsstest.DataType {
				time.Sleep(9 * time.Second)
			}
			return true
		}})
		c := newClient(t, s)
		start := time.Now()
		r, err := c.Send(t.Context(), []*forward.Batch{batch(0, 60, 60_000)}, 0)
		if took := time.Since(start); err != nil || r.Units < 3 || took > longestUnacknowledged+2*9*time.Second {
			t.Errorf("%d units in %v: %v", r.Units, took, err)
		}
	})
}

// TestManyDisconnectsLoseNothing has the server break a hundred connections at random messages,
// before or after it has read them, and before or after it has answered the ping.
func TestManyDisconnectsLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const breaks, perBatch = 100, 20
		random := rand.New(rand.NewPCG(1, 2))
		var acknowledged, left, broken atomic.Int64 // containers; messages and pings until the next break; breaks
		left.Store(3)
		var mu sync.Mutex // connections may overlap
		breaksNow := func(c *wsstest.Conn) bool {
			if left.Add(-1) > 0 || broken.Load() == breaks {
				return false
			}
			broken.Add(1)
			left.Store(1 + random.Int64N(2*perBatch))
			c.Drop()
			return true
		}
		losses := map[int]forward.Dropped{}
		s := wsstest.New(t, wsstest.Rules{
			OnMessage: func(c *wsstest.Conn, m wsstest.Message) bool {
				mu.Lock()
				defer mu.Unlock()
				if m.Type == wsstest.DataType {
					i := numberOf(m.Data)
					if i < int(acknowledged.Load()) {
						t.Errorf("container %d was sent again after it was acknowledged", i)
					}
					loss, again := losses[i]
					if now := (forward.Dropped{Units: m.LossUnits, Bytes: m.LossBytes}); again && now != loss {
						t.Errorf("container %d: linkLoss is %v, and was %v", i, now, loss)
					}
					losses[i] = forward.Dropped{Units: m.LossUnits, Bytes: m.LossBytes}
				}
				return !breaksNow(c) || random.IntN(2) == 0
			},
			OnPing: func(c *wsstest.Conn, payload []byte) bool {
				mu.Lock()
				defer mu.Unlock()
				if random.IntN(2) == 0 && breaksNow(c) {
					return false
				}
				c.Frame(wsstest.OpPong, true, payload)
				breaksNow(c)
				return false
			},
		})
		c := newClient(t, s)
		sent := 0
		for ; broken.Load() < breaks || sent < 500; sent += perBatch {
			b := batch(sent, perBatch, 1000)
			b.Dropped = forward.Dropped{Units: uint64(sent) + 1, Bytes: 5}
			for from := 0; from < perBatch; {
				r, err := c.Send(t.Context(), []*forward.Batch{b}, from)
				if err != nil && r.Units > 0 {
					t.Errorf("%d units and %v", r.Units, err)
				}
				from += r.Units
				acknowledged.Store(int64(sent + from))
			}
		}
		seen := map[int]bool{}
		for _, m := range s.Containers() {
			i := numberOf(m.Data)
			if i < 0 {
				t.Fatalf("octets changed: %q", m.Data)
			}
			seen[i] = true
		}
		if len(seen) != sent || len(s.Conns()) < breaks/4 {
			t.Errorf("%d of %d containers came, in %d connections", len(seen), sent, len(s.Conns()))
		}
	})
}

func TestPongs(t *testing.T) {
	forged := func(c *wsstest.Conn, change func([]byte) []byte) func([]byte) {
		return func(payload []byte) { c.Frame(wsstest.OpPong, true, change(slices.Clone(payload))) }
	}
	tests := []struct {
		name string
		ping func(c *wsstest.Conn, payload []byte) bool
		err  string // empty: the container is acknowledged
	}{
		{"answered", func(*wsstest.Conn, []byte) bool { return true }, ""},
		{"answered twice", func(c *wsstest.Conn, p []byte) bool { c.Frame(wsstest.OpPong, true, p); return true }, ""},
		{"slowly", func(c *wsstest.Conn, _ []byte) bool { c.Pause(59 * time.Second); return true }, ""},
		{"missing", func(*wsstest.Conn, []byte) bool { return false }, "did not acknowledge containers within 1m0s"},
		{"unsolicited", func(c *wsstest.Conn, p []byte) bool {
			forged(c, func([]byte) []byte { return nil })(p)
			forged(c, func([]byte) []byte { return []byte("1") })(p)
			forged(c, func(p []byte) []byte { return append(p, 0) })(p)
			forged(c, func(p []byte) []byte { return p[:len(p)-1] })(p)
			forged(c, func(p []byte) []byte { p[0]++; return p })(p)
			forged(c, func(p []byte) []byte { p[len(p)-1]++; return p })(p) // of a later ping
			forged(c, func(p []byte) []byte { p[len(p)-1]--; return p })(p) // of an earlier ping
			return false
		}, "did not acknowledge containers within 1m0s"},
		{"fragmented", func(c *wsstest.Conn, p []byte) bool { c.Frame(wsstest.OpPong, false, p); return false }, "websocket: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := wsstest.New(t, wsstest.Rules{OnPing: tt.ping, NoDeadline: true})
				c := newClient(t, s)
				r, err := c.Send(t.Context(), []*forward.Batch{batch(0, 3, 20)}, 0)
				checkError(t, err, tt.err)
				if (r.Units == 3) != (err == nil) || c.Acknowledged().IsZero() != (err != nil) {
					t.Errorf("%+v, %v", r, c.Acknowledged())
				}
			})
		})
	}
}

// A lateConn is a connection on which the write of a ping returns after the session has ended.
type lateConn struct {
	net.Conn
	client *client
}

func (l *lateConn) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	if p[0]&15 == wsstest.OpPing {
		<-l.client.session.done
	}
	return n, err
}

// TestAPongBeforeTheEndCounts checks that a container is not sent again if its pong was the last
// frame of the connection.
func TestAPongBeforeTheEndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsstest.New(t, wsstest.Rules{OnPing: func(c *wsstest.Conn, payload []byte) bool {
			c.Frame(wsstest.OpPong, true, payload)
			payload[len(payload)-1]--
			c.Frame(wsstest.OpPong, true, payload) // that of an earlier ping
			c.Drop()
			return false
		}})
		c := newClient(t, s)
		c.dialer.dial = func(context.Context, string, string) (net.Conn, error) { return &lateConn{s.Dial(), c}, nil }
		for i := range 20 {
			c.mustSend(t, batch(i, 1, 20))
		}
		if n := len(s.Containers()); n != 20 {
			t.Errorf("%d containers", n)
		}
	})
}

// checkError checks that an error contains want; empty: that there is none.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	if err != nil && strings.Contains(err.Error(), testKey) {
		t.Errorf("the error has the key: %v", err)
	}
}

func TestHeartbeatsContinue(t *testing.T) {
	heartbeats := func(s *wsstest.Server) (n int) {
		for _, kind := range s.Conns()[0].Types() {
			if kind == wsstest.HeartbeatType {
				n++
			}
		}
		return n
	}
	t.Run("while idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := wsstest.New(t, wsstest.Rules{Heartbeat: 20 * time.Second})
			c := newClient(t, s)
			for start := time.Now(); time.Since(start) < 10*time.Minute; {
				next, err := c.Idle(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(next))
			}
			if n := heartbeats(s); (n != 20 && n != 21) || len(s.Conns()) != 1 {
				t.Errorf("%d heartbeats, %d connections", n, len(s.Conns()))
			}
		})
	})
	t.Run("while the server reads slowly", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := wsstest.New(t, wsstest.Rules{Heartbeat: 20 * time.Second, OnMessage: func(_ *wsstest.Conn, m wsstest.Message) bool {
				if m.Type == wsstest.DataType {
					time.Sleep(5 * time.Second) // the next heartbeat may wait for two containers
				}
				return true
			}})
			c := newClient(t, s)
			c.mustSend(t, batch(0, 120, 1000))
			if n := heartbeats(s); n < 20 || len(s.Conns()) != 1 {
				t.Errorf("%d heartbeats, %d connections", n, len(s.Conns()))
			}
		})
	})
}

func TestOnlyHeartbeatsExtendTheServersDeadline(t *testing.T) {
	tests := []struct {
		name  string
		rules wsstest.Rules
		want  time.Duration
	}{
		{"none", wsstest.Rules{First: wsstest.Topology(0)}, 45 * time.Second},
		{"in the first message", wsstest.Rules{First: wsstest.Topology(20 * time.Second)}, 30 * time.Second},
		{"first message", wsstest.Rules{First: wsstest.Heartbeat(20 * time.Second)}, 30 * time.Second},
		{"too short", wsstest.Rules{First: wsstest.Heartbeat(time.Millisecond)}, time.Second},
		{"too long", wsstest.Rules{First: wsstest.Heartbeat(1000 * time.Hour)}, 10 * time.Minute},
		{"not announced", wsstest.Rules{First: wsstest.Heartbeat(0)}, 45 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.rules.NoHeartbeats = true
				s := wsstest.New(t, tt.rules)
				c := newClient(t, s)
				c.Idle(t.Context())
				start := time.Now()
				conn := s.Conns()[0]
				for !isClosed(conn.Ended()) {
					conn.Send(wsstest.Alert(1, "still here", 0))
					conn.Frame(wsstest.OpPing, true, nil)
					conn.Send(wsstest.Topology(time.Hour))
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(start); took < tt.want || took > tt.want+200*time.Millisecond {
					t.Errorf("it ended after %v, want %v", took, tt.want)
				}
				_, err := c.Idle(t.Context())
				checkError(t, err, "no heartbeat came from the server in time")
			})
		})
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestAStallEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsstest.New(t, wsstest.Rules{Heartbeat: 20 * time.Second, NoDeadline: true, OnMessage: hangAt(wsstest.DataType)})
		c := newClient(t, s)
		start := time.Now()
		_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 3, 1000)}, 0)
		checkError(t, err, "sending to the server: it accepted no data within 1m0s")
		if took := time.Since(start); took > 62*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestAStallOfTenMinutesLosesNothing has the server read nothing for ten minutes. The client tries
// new connections meanwhile, and sends again only what was not acknowledged.
func TestAStallOfTenMinutesLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const before, during = 20, 60
		var ends time.Time // of the stall
		s := wsstest.New(t, wsstest.Rules{Heartbeat: 20 * time.Second, NoDeadline: true, OnMessage: func(c *wsstest.Conn, m wsstest.Message) bool {
			select {
			case <-time.After(time.Until(ends)):
			case <-c.Hung():
			}
			return true
		}})
		c := newClient(t, s)
		c.mustSend(t, batch(0, before, 1000))
		start := time.Now()
		ends = start.Add(10 * time.Minute)
		b, failures := batch(before, during, 1000), 0
		for from := 0; from < during; {
			r, err := c.Send(t.Context(), []*forward.Batch{b}, from)
			if err != nil {
				failures++
			}
			from += r.Units
		}
		if took := time.Since(start); took < 10*time.Minute || took > 12*time.Minute {
			t.Errorf("the containers were delivered after %v", took)
		}
		if n := len(s.Conns()); failures < 5 || n > failures+1 {
			t.Errorf("%d failures, %d connections", failures, n)
		}
		times := map[int]int{}
		for _, m := range s.Containers() {
			times[numberOf(m.Data)]++
		}
		for i := range before + during {
			if n := times[i]; n == 0 || n > 1 && i < before {
				t.Errorf("container %d came %d times", i, n)
			}
		}
	})
}

func TestASlowLinkGetsLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 32 << 10 // which the server reads in 1 s
		s := wsstest.New(t, wsstest.Rules{Heartbeat: 20 * time.Second, NoDeadline: true, OnMessage: func(_ *wsstest.Conn, m wsstest.Message) bool {
			if m.Type == wsstest.DataType {
				time.Sleep(time.Second)
				if m.Conn < 4 && numberOf(m.Data) > 14 {
					return false
				}
			}
			return true
		}})
		c := newClient(t, s)
		b, before := batch(0, 128, size), 0
		for range 4 {
			if _, err := c.Send(t.Context(), []*forward.Batch{b}, 0); err == nil {
				t.Fatal("it did not fail")
			}
			if n := c.unconfirmed; before != 0 && n != before/2 {
				t.Errorf("%d bytes after %d", n, before)
			}
			before = c.unconfirmed
		}
		r, err := c.Send(t.Context(), []*forward.Batch{b}, 0)
		if err != nil || r.Units != maxUnacknowledged/16/size || c.unconfirmed != before {
			t.Errorf("%d units, %d bytes: %v", r.Units, c.unconfirmed, err)
		}
	})
}

func TestAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsstest.New(t, wsstest.Rules{OnPing: func(c *wsstest.Conn, _ []byte) bool {
			for range 1000 {
				c.Send(wsstest.Alert(2, "rate\nexceeded by "+testKey, 5))
			}
			return true
		}})
		c := newClient(t, s)
		c.mustSend(t, batch(0, 1, 20))
		if n := strings.Count(c.log.String(), `text="rate?exceeded by (secret)" level=2 code=5`); n != alertBurst {
			t.Errorf("%d alerts in the log, want %d:\n%s", n, alertBurst, &c.log)
		}
		time.Sleep(alertInterval)
		c.mustSend(t, batch(0, 1, 20))
		if !strings.Contains(c.log.String(), "unlogged=995") {
			t.Errorf("the log does not count the others:\n%s", &c.log)
		}
	})
}

func TestAFatalAlertEndsTheSession(t *testing.T) {
	for name, when := range map[string]func(*wsstest.Rules){
		"first message": func(r *wsstest.Rules) { r.First = wsstest.Alert(3, "channel 202 is not yours", 9) },
		"later": func(r *wsstest.Rules) {
			r.OnMessage = func(c *wsstest.Conn, m wsstest.Message) bool {
				if m.Type == wsstest.DataType {
					c.Send(wsstest.Alert(3, "channel 202 is not yours", 9))
					c.Drop()
				}
				return true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r wsstest.Rules
				when(&r)
				s := wsstest.New(t, r)
				c := newClient(t, s)
				start := time.Now()
				for range 4 {
					_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 10, 20)}, 0)
					checkError(t, err, `the server reported a fatal error (alert): "channel 202 is not yours" (code 9)`)
				}
				if took := time.Since(start); took < 3500*time.Millisecond || took > 13*time.Second {
					t.Errorf("4 connections in %v", took)
				}
				if !strings.Contains(c.log.String(), "level=WARN") {
					t.Errorf("not logged: %s", &c.log)
				}
			})
		})
	}
}

func TestShutdown(t *testing.T) {
	type test struct {
		name string
		on   func(c *wsstest.Conn, m wsstest.Message) bool
	}
	for _, tt := range []test{
		{"between containers", func(c *wsstest.Conn, m wsstest.Message) bool {
			if m.Type == wsstest.DataType && numberOf(m.Data) == 3 {
				c.Send(wsstest.Shutdown())
				c.Pause(time.Second) // so that the client reads it
			}
			return true
		}},
		{"before all", func(c *wsstest.Conn, m wsstest.Message) bool {
			if m.Type == wsstest.HeartbeatType {
				c.Send(wsstest.Shutdown())
				c.Send(wsstest.Shutdown())
				c.Pause(time.Second)
			}
			return true
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := wsstest.New(t, wsstest.Rules{OnMessage: tt.on}), wsstest.New(t, wsstest.Rules{})
				c := newClient(t, a, b)
				c.mustSend(t, batch(0, 20, 20))
				if types := a.Conns()[0].Types(); types[len(types)-1] != wsstest.FinishedType {
					t.Errorf("the first server got %v", types)
				}
				got := append(a.Containers(), b.Containers()...)
				for i, m := range got {
					if numberOf(m.Data) != i {
						t.Errorf("%d: got container %d", i, numberOf(m.Data))
					}
				}
				if len(got) != 20 || len(b.Containers()) == 0 || len(a.Conns()) != 1 {
					t.Errorf("%d and %d containers, %d connections", len(a.Containers()), len(b.Containers()), len(a.Conns()))
				}
			})
		})
	}
	t.Run("while idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := wsstest.New(t, wsstest.Rules{}), wsstest.New(t, wsstest.Rules{})
			c := newClient(t, a, b)
			c.Idle(t.Context())
			a.Conns()[0].Send(wsstest.Shutdown())
			for range 5 {
				next, err := c.Idle(t.Context())
				if err != nil {
					t.Error(err)
				}
				time.Sleep(time.Until(next))
			}
			if types := a.Conns()[0].Types(); !slices.Equal(types, []wsstest.MessageType{wsstest.TopologyType, wsstest.HeartbeatType, wsstest.FinishedType}) {
				t.Errorf("the first server got %v", types)
			}
			if len(a.Conns()) != 1 || len(b.Conns()) != 1 {
				t.Errorf("%d and %d connections", len(a.Conns()), len(b.Conns()))
			}
		})
	})
	t.Run("of every server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := wsstest.New(t, wsstest.Rules{OnMessage: func(c *wsstest.Conn, m wsstest.Message) bool {
				c.Send(wsstest.Shutdown())
				return m.Type != wsstest.DataType
			}})
			c := newClient(t, s)
			_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 1, 20)}, 0)
			if err == nil {
				t.Error("it did not fail")
			}
		})
	})
}

// hangAt returns a hook that hangs at the first message of a type.
func hangAt(kind wsstest.MessageType) func(*wsstest.Conn, wsstest.Message) bool {
	return func(c *wsstest.Conn, m wsstest.Message) bool {
		if m.Type == kind {
			<-c.Hung()
		}
		return true
	}
}

// TestAnEndedContextEndsEveryCall has the server hang at each point in turn.
func TestAnEndedContextEndsEveryCall(t *testing.T) {
	for name, rules := range map[string]wsstest.Rules{
		"first message": {Silent: true},
		"response":      {Raw: []byte("HTTP/1.1 101")},
		"containers":    {OnMessage: hangAt(wsstest.DataType)},
		"pong":          {OnPing: func(*wsstest.Conn, []byte) bool { return false }},
		"back-off":      {Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, wsstest.New(t, rules))
				ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
				defer cancel()
				start := time.Now()
				_, err := c.Send(ctx, []*forward.Batch{batch(0, 5, 20)}, 0)
				if name == "back-off" && err != nil {
					_, err = c.Send(ctx, []*forward.Batch{batch(0, 5, 20)}, 0)
				}
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 400*time.Millisecond {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

func TestCloseEndsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsstest.New(t, wsstest.Rules{OnMessage: hangAt(wsstest.FinishedType)})
		c := newClient(t, s)
		c.mustSend(t, batch(0, 1, 20))
		start := time.Now()
		if err := c.Close(t.Context()); err != nil || time.Since(start) > defaultTimings.finish {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// TestARenewedCertificateIsNoticed replaces the client's certificate during a session.
func TestARenewedCertificateIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := certstest.NewCA(t, "CA")
		soon := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
		old := ca.Issue(t, "sensor", func(c *x509.Certificate) { c.NotAfter = soon })
		cert, key := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
		put := func(p certstest.Pair) {
			certstest.Write(t, cert, p.Cert)
			certstest.Write(t, key, p.Key)
		}
		put(old)
		s := wsstest.New(t, wsstest.Rules{Heartbeat: 20 * time.Second})
		c := newClient(t, s)
		c.config.TLS = certs.ClientFiles{Cert: cert, Key: key}
		c.Idle(t.Context())
		if !c.Expires().Equal(soon) {
			t.Errorf("it expires at %v, want %v", c.Expires(), soon)
		}
		put(ca.Issue(t, "sensor", nil))
		time.Sleep(expiryInterval)
		c.Idle(t.Context())
		if c.Expires().Year() != 2100 || len(s.Conns()) != 1 {
			t.Errorf("it expires at %v; %d connections", c.Expires(), len(s.Conns()))
		}
	})
}

// TestASessionThatEndedWhileIdleIsReplaced checks that the next Send does not fail.
func TestASessionThatEndedWhileIdleIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsstest.New(t, wsstest.Rules{})
		c := newClient(t, s)
		c.mustSend(t, batch(0, 1, 20))
		s.Conns()[0].Drop()
		synctest.Wait()
		c.mustSend(t, batch(1, 1, 20))
		if len(s.Conns()) != 2 || !strings.Contains(c.log.String(), `the connection ended: connecting again" peer=ws://sie.example/session/test server=sie.example:80 error="the server closed the connection"`) {
			t.Errorf("%d connections:\n%s", len(s.Conns()), &c.log)
		}
		for i := range 5 {
			s.Conns()[1+i].Drop()
			synctest.Wait()
			next, err := c.Idle(t.Context())
			checkError(t, err, "the server closed the connection")
			if wait := time.Until(next); wait < firstWait/2 || wait > firstWait*3/2 {
				t.Errorf("the next connection is due after %v", wait)
			}
			time.Sleep(time.Until(next))
			if _, err := c.Idle(t.Context()); err != nil || len(s.Conns()) != 3+i {
				t.Errorf("%d connections: %v", len(s.Conns()), err)
			}
			c.mustSend(t, batch(1, 1, 20))
		}
	})
}

// TestTheLastTryIgnoresTheBackoff checks that a sensor that stops tries at once.
func TestTheLastTryIgnoresTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, wsstest.New(t, wsstest.Rules{Status: 503}))
		for range 10 {
			c.Send(t.Context(), []*forward.Batch{batch(0, 1, 20)}, 0)
		}
		close(c.stop)
		start := time.Now()
		_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 1, 20)}, 0)
		checkError(t, err, "503")
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestWaitsBetweenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, wsstest.New(t, wsstest.Rules{Status: 503}))
		wait, waits := firstWait, map[time.Duration]bool{}
		c.Send(t.Context(), []*forward.Batch{batch(0, 1, 20)}, 0)
		for range 20 {
			start := time.Now()
			c.Send(t.Context(), []*forward.Batch{batch(0, 1, 20)}, 0)
			took := time.Since(start)
			if took < wait/2 || took > wait*3/2 {
				t.Errorf("waited %v, want about %v", took, wait)
			}
			if took > c.MayTake(nil) {
				t.Errorf("waited %v, longer than announced", took)
			}
			waits[took] = true
			wait = min(2*wait, longestWait)
		}
		if len(waits) < 15 {
			t.Errorf("the waits are not random: %v", waits)
		}
	})
}
