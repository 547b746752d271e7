package fstrm

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// A peer is the other end of a connection, by script: an error ends the script.
type peer struct {
	net.Conn
	got []byte // data frames, with a part of one at the end
}

func (p *peer) control(kind uint32) error {
	f, err := readControl(p)
	if err == nil && f.ControlType != kind {
		err = errors.New("another control frame")
	}
	return err
}

func (p *peer) send(kind uint32, types ...string) error {
	f := framestream.ControlFrame{ControlType: kind}
	for _, t := range types {
		f.ContentTypes = append(f.ContentTypes, []byte(t))
	}
	return f.Encode(p)
}

// shake performs the handshake.
func (p *peer) shake() error {
	return errors.Join(p.control(framestream.CONTROL_READY), p.send(framestream.CONTROL_ACCEPT, string(dnstap.FSContentType)), p.control(framestream.CONTROL_START))
}

// take reads n bytes of data frames.
func (p *peer) take(n int) error {
	b := make([]byte, n)
	n, err := io.ReadFull(p, b)
	p.got = append(p.got, b[:n]...)
	return err
}

// takeAll reads data frames until STOP.
func (p *peer) takeAll() error {
	for {
		var head [4]byte
		if _, err := io.ReadFull(p, head[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n == 0 {
			var stop framestream.ControlFrame
			return stop.Decode(p)
		}
		p.got = append(p.got, head[:]...)
		if err := p.take(int(n)); err != nil {
			return err
		}
	}
}

// stall does not answer, but notices that the connection is closed.
func (p *peer) stall() { io.Copy(io.Discard, p) }

// stuck does not read until the test ends.
func (p *peer) stuck(t *testing.T) { <-t.Context().Done() }

// batch returns a batch of n frames.
func batch(t testing.TB, n int) *forward.Batch {
	t.Helper()
	b := &forward.Batch{}
	for range n {
		if !(forward.OnePerUnit{}).Add(b, appendTo(t, Format{}, nil, answered(t))) {
			t.Fatal("the batch is full")
		}
	}
	return b
}

// scripted returns a transport whose connections have scripted peers, one after another. Dialling
// fails after the last script.
func scripted(t *testing.T, scripts ...func(*peer)) *transport {
	t.Helper()
	target := forward.Target{Scheme: forward.Unix, Address: "/run/peer.sock"}
	f, err := newTransport(Config{}, &forward.SinkConfig{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	f.dial = func(context.Context) (net.Conn, error) {
		if len(scripts) == 0 {
			return nil, &net.OpError{Op: "dial", Net: "unix", Err: syscall.ECONNREFUSED}
		}
		ours, theirs := net.Pipe()
		script := scripts[0]
		scripts = scripts[1:]
		go func() {
			defer theirs.Close()
			script(&peer{Conn: theirs})
		}()
		return ours, nil
	}
	return f
}

// checkError checks an error and how long the call took.
func checkError(t *testing.T, call string, err error, want string, began time.Time, took time.Duration) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s: %q, want %q", call, got, want)
	}
	if d := time.Since(began); d != took {
		t.Errorf("%s returned after %v, want %v", call, d, took)
	}
}

func TestFaultsOfTheHandshake(t *testing.T) {
	const connecting = "connecting to unix:///run/peer.sock: "
	for name, tt := range map[string]struct {
		peer func(*testing.T, *peer)
		want string
		took time.Duration
	}{
		"refuses":        {nil, "connection refused", 0},
		"closes at once": {func(_ *testing.T, p *peer) {}, "sending READY: io: read/write on closed pipe", 0},
		"never reads":    {func(t *testing.T, p *peer) { p.stuck(t) }, "sending READY: i/o timeout", connectTime},
		"closes instead of ACCEPT": {func(_ *testing.T, p *peer) { p.control(framestream.CONTROL_READY) },
			"the peer closed the connection before ACCEPT: does it receive dnstap?", 0},
		"never sends ACCEPT": {func(_ *testing.T, p *peer) { p.stall() },
			"no ACCEPT in time: does the peer receive dnstap?", connectTime},
		"sends a part of ACCEPT": {func(_ *testing.T, p *peer) {
			p.control(framestream.CONTROL_READY)
			p.Write(controlFrame(framestream.CONTROL_ACCEPT)[:5])
		}, "reading ACCEPT: unexpected EOF", 0},
		"stalls inside ACCEPT": {func(_ *testing.T, p *peer) {
			p.control(framestream.CONTROL_READY)
			p.Write(controlFrame(framestream.CONTROL_ACCEPT)[:10])
			p.stall()
		}, "no ACCEPT in time: does the peer receive dnstap?", connectTime},
		"sends text": {func(_ *testing.T, p *peer) {
			p.control(framestream.CONTROL_READY)
			p.Write([]byte("HTTP/1.1 400 Bad Request\r\n"))
		}, "reading ACCEPT: a data frame of 1213486160 bytes instead of a control frame", 0},
		"sends a long control frame": {func(_ *testing.T, p *peer) {
			p.control(framestream.CONTROL_READY)
			p.Write([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
		}, "reading ACCEPT: a control frame of 4294967295 bytes", 0},
		"sends an invalid field": {func(_ *testing.T, p *peer) {
			p.control(framestream.CONTROL_READY)
			p.Write([]byte{0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff})
		}, "reading ACCEPT: a control frame with an invalid field", 0},
		"sends FINISH": {func(_ *testing.T, p *peer) {
			p.control(framestream.CONTROL_READY)
			p.send(framestream.CONTROL_FINISH)
		}, "the peer sent control frame 5 instead of ACCEPT", 0},
		"accepts something else": {func(_ *testing.T, p *peer) {
			p.control(framestream.CONTROL_READY)
			p.send(framestream.CONTROL_ACCEPT, "text/plain")
		}, "the peer does not accept protobuf:dnstap.Dnstap", 0},
		"closes instead of START": {func(_ *testing.T, p *peer) {
			p.control(framestream.CONTROL_READY)
			p.send(framestream.CONTROL_ACCEPT)
		}, "sending START: io: read/write on closed pipe", 0},
		"never reads START": {func(t *testing.T, p *peer) {
			p.control(framestream.CONTROL_READY)
			p.send(framestream.CONTROL_ACCEPT)
			p.stuck(t)
		}, "sending START: i/o timeout", connectTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var scripts []func(*peer)
				if tt.peer != nil {
					scripts = append(scripts, func(p *peer) { tt.peer(t, p) })
				}
				f := scripted(t, scripts...)
				began := time.Now()
				checkError(t, "Open", f.Open(t.Context()), connecting+tt.want, began, tt.took)
				began = time.Now()
				checkError(t, "Close", f.Close(t.Context()), "", began, 0)
			})
		})
	}
}

func TestFaultsAfterTheHandshake(t *testing.T) {
	frame := len(appendTo(t, Format{}, nil, answered(t)))
	for name, tt := range map[string]struct {
		peer  func(*testing.T, *peer)
		want  string // of Send
		units int
		took  time.Duration
	}{
		"never reads": {func(t *testing.T, p *peer) { p.stuck(t) }, "the peer took 0 of 1970 bytes in 8s", 0, writeTime},
		"reads a part": {func(t *testing.T, p *peer) {
			p.take(3*frame - 1)
			p.stuck(t)
		}, "the peer took 590 of 1970 bytes in 8s", 2, writeTime},
		"reads a part and closes":     {func(_ *testing.T, p *peer) { p.take(3*frame + 1) }, "io: read/write on closed pipe", 3, 0},
		"reads all frames and closes": {func(_ *testing.T, p *peer) { p.take(10 * frame) }, "", 10, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := scripted(t, func(p *peer) {
					if err := p.shake(); err != nil {
						t.Error(err)
					}
					tt.peer(t, p)
				})
				if err := f.Open(t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				want := tt.want
				if want != "" {
					want = "sending to unix:///run/peer.sock: " + want
				}
				began := time.Now()
				r, err := f.Send(t.Context(), []*forward.Batch{batch(t, 10)}, 0)
				checkError(t, "Send", err, want, began, tt.took)
				if r.Units != tt.units || r.Delivered != uint64(tt.units) {
					t.Errorf("%+v, want %d units", r, tt.units)
				}
				f.Close(t.Context())
			})
		})
	}
}

// TestAnIdleConnectionIsReplaced closes connections while nothing is sent: Idle reports that, and
// connects again later.
func TestAnIdleConnectionIsReplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		peer func(*peer)
		want string
	}{
		"closes":     {func(*peer) {}, "the peer closed the connection"},
		"finishes":   {func(p *peer) { p.send(framestream.CONTROL_FINISH) }, "the peer ended the stream"},
		"sends junk": {func(p *peer) { p.Write([]byte("junk junk")) }, "reading from the peer: a data frame of 1786080875 bytes instead of a control frame"},
		"accepts":    {func(p *peer) { p.send(framestream.CONTROL_ACCEPT) }, "the peer sent control frame 1 instead of FINISH"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := scripted(t, func(p *peer) {
					p.shake()
					time.Sleep(10 * time.Second)
					tt.peer(p)
				}, func(p *peer) {
					p.shake()
					p.takeAll()
					p.send(framestream.CONTROL_FINISH)
				})
				var failures []string
				began := time.Now()
				for time.Since(began) < time.Minute {
					next, err := f.Idle(t.Context())
					if err != nil {
						failures = append(failures, err.Error())
						if d := time.Since(began); d < 10*time.Second || d > 10*time.Second+checkTime {
							t.Errorf("noticed after %v", d)
						}
					}
					time.Sleep(time.Until(next))
				}
				if want := []string{"sending to unix:///run/peer.sock: " + tt.want}; !slices.Equal(failures, want) {
					t.Errorf("failures %q, want %q", failures, want)
				}
				if f.conn == nil {
					t.Error("no new connection")
				}
				if err := f.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestCloseWaitsForFinish(t *testing.T) {
	for name, tt := range map[string]struct {
		peer func(*testing.T, *peer)
		want string
		took time.Duration
	}{
		"finishes": {func(_ *testing.T, p *peer) {
			p.takeAll()
			p.send(framestream.CONTROL_FINISH)
		}, "", 0},
		"closes":          {func(_ *testing.T, p *peer) { p.takeAll() }, "no FINISH: the peer may not have read all records", 0},
		"closes before":   {func(*testing.T, *peer) {}, "the peer closed the connection before STOP", 0},
		"finishes before": {func(_ *testing.T, p *peer) { p.send(framestream.CONTROL_FINISH) }, "the peer ended the stream before STOP", 0},
		"does not answer": {func(_ *testing.T, p *peer) { p.stall() }, "no FINISH: the peer may not have read all records", finishTime},
		"does not read":   {func(t *testing.T, p *peer) { p.stuck(t) }, "sending STOP: the peer took 0 of 12 bytes in 2s", finishTime},
		"answers with junk": {func(_ *testing.T, p *peer) {
			p.takeAll()
			p.Write([]byte("junk junk"))
		}, "reading from the peer: a data frame of 1786080875 bytes instead of a control frame", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := scripted(t, func(p *peer) {
					p.shake()
					tt.peer(t, p)
				})
				if err := f.Open(t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				want := tt.want
				if want != "" {
					want = "ending the stream to unix:///run/peer.sock: " + want
				}
				began := time.Now()
				checkError(t, "Close", f.Close(t.Context()), want, began, tt.took)
			})
		})
	}
}

// TestCallsReturnWhenTheirContextEnds blocks each call at a peer that does nothing.
func TestCallsReturnWhenTheirContextEnds(t *testing.T) {
	shaken := func(t *testing.T) func(*peer) {
		return func(p *peer) {
			p.shake()
			p.stuck(t)
		}
	}
	for name, tt := range map[string]struct {
		peer func(*testing.T) func(*peer)
		call func(context.Context, *transport) error
	}{
		"Open": {func(t *testing.T) func(*peer) { return func(p *peer) { p.stuck(t) } },
			func(ctx context.Context, f *transport) error { return f.Open(ctx) }},
		"Send": {shaken, func(ctx context.Context, f *transport) error {
			_, err := f.Send(ctx, []*forward.Batch{batch(t, 1)}, 0)
			return err
		}},
		"Close": {shaken, func(ctx context.Context, f *transport) error {
			if err := f.Open(ctx); err != nil {
				return err
			}
			return f.Close(ctx)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := scripted(t, tt.peer(t))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				if err := tt.call(ctx, f); err == nil || time.Since(began) != time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				f.Close(ctx)
			})
		})
	}
}

func TestOnlySocketsAreTargets(t *testing.T) {
	_, err := Config{}.New(&forward.SinkConfig{Target: forward.Target{Scheme: forward.Stdout}}, forward.Env{})
	if err == nil || !strings.Contains(err.Error(), "stdout: is neither a Unix socket nor a TCP port") {
		t.Errorf("%v", err)
	}
}
