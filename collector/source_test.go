package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A runningSource is a Source that runs, with the lanes that it opened.
type runningSource struct {
	*Source
	log     logBuffer
	stop    func() error // ends Run and returns what it returned
	mu      sync.Mutex
	lanes   []*recorder
	newLane func() transform.Lane // nil: recorders
}

func (r *runningSource) openLane() transform.Lane {
	if r.newLane != nil {
		return r.newLane()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	lane := &recorder{}
	r.lanes = append(r.lanes, lane)
	return lane
}

func (r *runningSource) opened() []*recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lanes)
}

// received returns the numbers of messages and drops of all lanes.
func (r *runningSource) received() (messages, drops int) {
	for _, lane := range r.opened() {
		m, d := lane.seen()
		messages, drops = messages+len(m), drops+len(d)
	}
	return messages, drops
}

func startSource(t *testing.T, cfg Config) *runningSource {
	t.Helper()
	r := &runningSource{}
	r.run(t, cfg)
	return r
}

func (r *runningSource) run(t *testing.T, cfg Config) {
	t.Helper()
	var err error
	if r.Source, err = Listen(cfg, r.openLane, r.log.logger()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		for _, lane := range r.opened() {
			lane.check(t)
			if !lane.isClosed() {
				t.Error("a lane was left open")
			}
		}
	})
}

func unixConfig(t *testing.T) Config {
	return testConfig("unix", filepath.Join(t.TempDir(), "dnstap.sock"))
}

func (r *runningSource) dial(t *testing.T) net.Conn {
	t.Helper()
	nc, err := net.Dial(r.Addr().Network(), r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	return nc
}

func send(t *testing.T, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
}

// expectClosed reads until the source closes the connection.
func expectClosed(t *testing.T, nc net.Conn) []byte {
	t.Helper()
	b, err := io.ReadAll(nc)
	if nerr, ok := errors.AsType[net.Error](err); ok && nerr.Timeout() {
		t.Fatal("the connection was not closed")
	}
	return b
}

func TestSendersOfTheLibraries(t *testing.T) {
	_, frames := capture(t, "unbound.fstrm")
	senders := map[string]func(t *testing.T, r *runningSource) (write func([]byte) (int, error), end func() error){
		"golang-framestream, bidirectional": func(t *testing.T, r *runningSource) (func([]byte) (int, error), func() error) {
			w, err := framestream.NewWriter(r.dial(t), &framestream.WriterOptions{
				ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			return w.WriteFrame, w.Close // waits for FINISH
		},
		"golang-framestream, unidirectional": func(t *testing.T, r *runningSource) (func([]byte) (int, error), func() error) {
			w, err := framestream.NewWriter(r.dial(t), &framestream.WriterOptions{ContentTypes: [][]byte{dnstap.FSContentType}})
			if err != nil {
				t.Fatal(err)
			}
			return w.WriteFrame, w.Close
		},
		"golang-dnstap": func(t *testing.T, r *runningSource) (func([]byte) (int, error), func() error) {
			w := dnstap.NewSocketWriter(r.Addr(), &dnstap.SocketWriterOptions{Dialer: &net.Dialer{}})
			return w.WriteFrame, w.Close
		},
	}
	for name, sender := range senders {
		for _, cfg := range []Config{unixConfig(t), testConfig("tcp", "127.0.0.1:0")} {
			t.Run(name+"/"+cfg.Network, func(t *testing.T) {
				r := startSource(t, cfg)
				write, end := sender(t, r)
				for _, f := range frames {
					if _, err := write(f); err != nil {
						t.Fatal(err)
					}
				}
				if err := end(); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the connection ends", func() bool { return r.Stats() == Stats{Accepted: 1} })
				if messages, drops := r.received(); messages != len(frames) || drops != 0 {
					t.Errorf("%d messages and %d drops of %d frames", messages, drops, len(frames))
				}
			})
		}
	}
}

func TestLaneHasEveryFrameBeforeFINISH(t *testing.T) {
	r := startSource(t, unixConfig(t))
	nc := r.dial(t)
	send(t, nc, controlBytes(framestream.CONTROL_READY, ours))
	send(t, nc, join(start, sampleFrame(), sampleFrame(), stop))
	want := join(controlBytes(framestream.CONTROL_ACCEPT, ours), controlBytes(framestream.CONTROL_FINISH))
	if got := expectClosed(t, nc); !cmp.Equal(got, want) {
		t.Errorf("answered %q, want %q", got, want)
	}
	if messages, _ := r.received(); messages != 2 {
		t.Errorf("%d messages at FINISH", messages)
	}
}

func TestPeerThatClosesAfterSTOP(t *testing.T) {
	r := startSource(t, unixConfig(t))
	nc := r.dial(t)
	send(t, nc, controlBytes(framestream.CONTROL_READY, ours))
	if _, err := io.ReadFull(nc, make([]byte, 42)); err != nil {
		t.Fatal(err)
	}
	send(t, nc, join(start, sampleFrame(), stop))
	nc.Close()
	eventually(t, "the connection ends", func() bool { return r.Stats() == Stats{Accepted: 1} })
	if messages, drops := r.received(); messages != 1 || drops != 0 {
		t.Errorf("%d messages, %d drops", messages, drops)
	}
	if r.log.count("level=WARN") > 0 {
		t.Errorf("a warning about what is normal:\n%s", r.log.String())
	}
}

// What a peer has written is read, even if the source ends while the peer continues to write.
func TestStopReadsWhatTheKernelAccepted(t *testing.T) {
	r := startSource(t, unixConfig(t))
	send(t, r.dial(t), start) // a quiet connection
	const writers = 4
	var written atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		nc := r.dial(t)
		wg.Go(func() {
			_, err := nc.Write(start)
			for err == nil {
				if _, err = nc.Write(sampleFrame()); err == nil {
					written.Add(1)
				}
			}
			if !errors.Is(err, syscall.EPIPE) {
				t.Errorf("a writer got the error %v", err)
			}
		})
	}
	eventually(t, "messages flow", func() bool { m, _ := r.received(); return m > 1000 && len(r.Connections()) == 1+writers })
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if messages, drops := r.received(); int64(messages) != written.Load() || drops != 0 {
		t.Errorf("%d messages and %d drops of %d frames written", messages, drops, written.Load())
	}
	if n := r.log.count("by=us"); n != 1+writers {
		t.Errorf("%d of %d connections were ended by us:\n%s", n, 1+writers, r.log.String())
	}
}

func TestConnectionsDoNotDisturbEachOther(t *testing.T) {
	r := startSource(t, unixConfig(t))
	for _, silent := range [][]byte{nil, controlBytes(framestream.CONTROL_READY, ours)[:13], {0, 0}} {
		send(t, r.dial(t), silent) // stalls in its handshake
	}
	good := r.dial(t)
	send(t, good, join(start, sampleFrame()))
	eventually(t, "the good connection is served", func() bool { m, _ := r.received(); return m == 1 })

	for name, bad := range map[string][]byte{
		"wrong content type": controlBytes(framestream.CONTROL_READY, "protobuf:other"),
		"no START":           sampleFrame(),
		"START twice":        join(start, start),
		"no control frame":   join(start, controlOf(length(9))),
	} {
		t.Run(name, func(t *testing.T) {
			nc := r.dial(t)
			send(t, nc, bad)
			expectClosed(t, nc)
		})
	}
	send(t, good, sampleFrame())
	eventually(t, "the good connection is served still", func() bool { m, _ := r.received(); return m == 2 })
	eventually(t, "the bad ones are counted", func() bool {
		return r.Stats() == Stats{Open: 4, Accepted: 8, HandshakesFailed: 2, Broken: 2}
	})
	if n := r.log.count("level=WARN"); n != 4 {
		t.Errorf("%d warnings for 4 bad connections:\n%s", n, r.log.String())
	}
}

func TestBrokenFramingEndsTheConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		in     []byte
		drops  int
		logged string
	}{
		"an impossible length": {length(math.MaxUint32), 0, "data frame of 4294967295 bytes: at most 16777216 are possible"},
		"no dnstap":            {bytes.Repeat(frame([]byte("none")), maxUnreadable), maxUnreadable, "100 data frames in a row are not dnstap"},
	} {
		t.Run(name, func(t *testing.T) {
			r := startSource(t, unixConfig(t))
			nc := r.dial(t)
			send(t, nc, join(start, sampleFrame(), tt.in))
			for { // until the connection is closed
				if _, err := nc.Write(sampleFrame()); errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the connection is counted", func() bool { return r.Stats() == Stats{Accepted: 1, Broken: 1} })
			if messages, drops := r.received(); messages != 1 || drops != tt.drops {
				t.Errorf("%d messages and %d drops, want 1 and %d", messages, drops, tt.drops)
			}
			if r.log.count("level=WARN") != 1 || r.log.count(`msg="connection closed: broken framing" source=test connection=1`) != 1 ||
				r.log.count(tt.logged) != 1 {
				t.Errorf("one warning is due:\n%s", r.log.String())
			}
		})
	}
}

// A peer that only connects, such as a check of the port, is not reported to the operator.
func TestLatestFailedHandshakeIsKept(t *testing.T) {
	cfg := unixConfig(t)
	cfg.HandshakeTimeout = 50 * time.Millisecond
	r := startSource(t, cfg)
	r.dial(t).Close()
	eventually(t, "the handshake is counted", func() bool { return r.Stats().HandshakesFailed == 1 })
	if f := r.Failure(); f != (HandshakeFailure{}) {
		t.Errorf("got %+v", f)
	}
	expectClosed(t, r.dial(t))
	eventually(t, "the timeout is kept", func() bool { return r.Failure().Error == "no START within 50ms" })
	send(t, r.dial(t), stop)
	eventually(t, "the error is kept", func() bool { return r.Failure().Error == "at byte 0: STOP instead of START" })
	if since := time.Since(r.Failure().Time); since < 0 || since > time.Minute {
		t.Errorf("it happened %v ago", since)
	}
}

// The first frame above max_frame of each connection is logged, the others are counted.
func TestFrameAboveMaxFrameIsLogged(t *testing.T) {
	r := startSource(t, unixConfig(t))
	for range 2 {
		nc := r.dial(t)
		send(t, nc, join(start, sampleFrame(), frame(make([]byte, 256<<10+7))))
		send(t, nc, join(frame(make([]byte, 300<<10)), sampleFrame(), stop))
		expectClosed(t, nc)
	}
	if messages, drops := r.received(); messages != 4 || drops != 4 {
		t.Errorf("%d messages and %d drops", messages, drops)
	}
	if r.log.count("level=WARN") != 2 || r.log.count("length=262151 max_frame=262144") != 2 {
		t.Errorf("one warning for each connection is due:\n%s", r.log.String())
	}
}

func TestManySendersAtOnce(t *testing.T) {
	_, frames := capture(t, "bind.fstrm")
	r := startSource(t, unixConfig(t))
	const senders, rounds = 8, 10
	var wg sync.WaitGroup
	for range senders {
		nc := r.dial(t)
		wg.Go(func() {
			w, err := framestream.NewWriter(nc, &framestream.WriterOptions{
				ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: true,
			})
			if err != nil {
				t.Error(err)
				return
			}
			for range rounds {
				for _, f := range frames {
					if _, err := w.WriteFrame(f); err != nil {
						t.Error(err)
						return
					}
				}
				for _, c := range r.Connections() {
					if c.Frames > uint64(rounds*len(frames)) {
						t.Errorf("a connection shows %d frames", c.Frames)
					}
				}
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if messages, drops := r.received(); messages != senders*rounds*len(frames) || drops != 0 {
		t.Errorf("%d messages and %d drops of %d", messages, drops, senders*rounds*len(frames))
	}
}

func TestConnectionsBeyondTheLimitAreClosed(t *testing.T) {
	cfg := unixConfig(t)
	cfg.MaxConnections = 2
	r := startSource(t, cfg)
	first, second := r.dial(t), r.dial(t)
	send(t, first, start)
	send(t, second, start)
	// In their handshake, a new connection may displace them.
	eventually(t, "two have begun", func() bool { return len(r.Connections()) == 2 })
	for range 3 {
		expectClosed(t, r.dial(t))
	}
	if got, want := r.Stats(), (Stats{Open: 2, Accepted: 2, Refused: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if r.log.count("new ones are refused") != 1 {
		t.Errorf("one line is due:\n%s", r.log.String())
	}

	first.Close()
	eventually(t, "one has gone", func() bool { return r.Stats().Open == 1 })
	third := r.dial(t)
	send(t, third, join(start, sampleFrame()))
	eventually(t, "a third is served", func() bool { m, _ := r.received(); return m == 1 })
	if r.log.count("no longer refused") != 1 {
		t.Errorf("one line is due:\n%s", r.log.String())
	}
}

func TestConnectionsDescribeTheirPeers(t *testing.T) {
	r := startSource(t, unixConfig(t))
	first := r.dial(t)
	send(t, first, join(start, sampleFrame()))
	eventually(t, "the first begins", func() bool { return len(r.Connections()) == 1 })
	second := r.dial(t)
	send(t, second, controlBytes(framestream.CONTROL_READY, ours))
	send(t, second, start)
	eventually(t, "both are there", func() bool {
		all := r.Connections()
		return len(all) == 2 && all[0].Frames == 1
	})
	me := Peer{UID: uint32(os.Getuid()), PID: int32(os.Getpid())}
	all := r.Connections()
	want := []Connection{
		{Number: 1, Peer: me, Since: all[0].Since, Identity: "ns1.example", Version: "unbound 1.17.1", Frames: 1, Types: TypeCounts{4: 1}, Outward: 1},
		{Number: 2, Peer: me, Since: all[1].Since, Bidirectional: true},
	}
	if !slices.Equal(all, want) || time.Since(all[0].Since) > time.Minute {
		t.Errorf("got %+v\nwant %+v", all, want)
	}
	if text := fmt.Sprintf("uid=%d pid=%d", os.Getuid(), os.Getpid()); r.log.count(text) == 0 {
		t.Errorf("%s is not in the log:\n%s", text, r.log.String())
	}
}

func TestPeerAddressesAreLoggedForDebuggingOnly(t *testing.T) {
	r := startSource(t, testConfig("tcp", "127.0.0.1:0"))
	nc := r.dial(t)
	send(t, nc, join(start, sampleFrame()))
	eventually(t, "the connection begins", func() bool { return len(r.Connections()) == 1 })
	peer := nc.LocalAddr().String()
	if got := r.Connections()[0].Peer.Address.String(); got != peer {
		t.Errorf("the peer is %s, want %s", got, peer)
	}
	nc.(*net.TCPConn).SetLinger(0) // a reset, whose error names both ends
	nc.Close()
	bad := r.dial(t)
	send(t, bad, []byte("GET / HTTP/1.1\r\n\r\n"))
	expectClosed(t, bad)
	eventually(t, "both are gone", func() bool { return r.Stats().Open == 0 })
	if r.log.count("connection reset") != 1 {
		t.Errorf("no reset in the log:\n%s", r.log.String())
	}
	for line := range strings.Lines(r.log.String()) {
		own := strings.Contains(line, "msg=listening")
		if strings.Contains(line, "127.0.0.1") && !own && !strings.Contains(line, "level=DEBUG") {
			t.Errorf("an address in %s", line)
		}
	}
}

func TestStopReadsWhatWasSent(t *testing.T) {
	cfg := unixConfig(t)
	r := startSource(t, cfg)
	nc := r.dial(t)
	send(t, nc, start)
	eventually(t, "the connection begins", func() bool { return len(r.Connections()) == 1 })
	const frames = 500
	for range frames {
		send(t, nc, sampleFrame())
	}
	began := time.Now()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if messages, drops := r.received(); messages != frames || drops != 0 {
		t.Errorf("%d messages and %d drops of %d", messages, drops, frames)
	}
	if _, err := os.Lstat(cfg.Address); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close after Run: %v", err)
	}
}

func TestRunEndsWhenItsListenerIsClosed(t *testing.T) {
	lane := &recorder{}
	s, err := Listen(unixConfig(t), func() transform.Lane { return lane }, (&logBuffer{}).logger())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	nc, err := net.Dial("unix", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	send(t, nc, join(start, sampleFrame()))
	eventually(t, "the connection begins", func() bool { return len(s.Connections()) == 1 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) || !lane.isClosed() {
		t.Errorf("got %v; the lane is closed: %v", err, lane.isClosed())
	}
}

func TestReconfigureKeepsConnections(t *testing.T) {
	cfg := unixConfig(t)
	r := startSource(t, cfg)
	nc := r.dial(t)
	send(t, nc, start)
	eventually(t, "the connection begins", func() bool { return len(r.Connections()) == 1 })

	cfg.Mode, cfg.MaxConnections, cfg.MaxFrame = 0o600, 2, 100
	if _, err := r.Reconfigure(cfg); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(cfg.Address); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	send(t, nc, sampleFrame()) // above the new limit, which does not apply to this connection
	eventually(t, "the old connection is served", func() bool { m, d := r.received(); return m == 1 && d == 0 })
	second := r.dial(t)
	send(t, second, join(start, sampleFrame()))
	eventually(t, "the new limit holds for a new one", func() bool { m, d := r.received(); return m == 1 && d == 1 })
	expectClosed(t, r.dial(t))

	other := cfg
	other.Address += "2"
	if _, err := r.Reconfigure(other); err == nil || !strings.Contains(err.Error(), "cannot become") {
		t.Errorf("another address: %v", err)
	}
	bad := cfg
	bad.MaxFrame = 0
	if _, err := r.Reconfigure(bad); err == nil {
		t.Error("a configuration that cannot work was taken")
	}
}
