package collector

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A hostile peer attacks on one connection until that is closed, and then on a new one.
type hostile struct {
	name   string
	attack func(net.Conn)
}

// forever writes first, and then again repeatedly until the connection is closed.
func forever(first, again []byte) func(net.Conn) {
	again = bytes.Repeat(again, max(1, (32<<10)/max(1, len(again))))
	return func(nc net.Conn) {
		nc.Write(first)
		for {
			if _, err := nc.Write(again); err != nil {
				return
			}
		}
	}
}

// once writes parts, and then waits until the connection is closed.
func once(parts ...[]byte) func(net.Conn) {
	return func(nc net.Conn) {
		nc.Write(join(parts...))
		io.Copy(io.Discard, nc)
	}
}

// lengthOnly is a frame's length without the frame.
func lengthOnly(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

var (
	ready      = controlBytes(framestream.CONTROL_READY, ours)
	largest    = frame(make([]byte, 256<<10))
	oversize   = frame(make([]byte, 256<<10+1))
	emptyFrame = frame(marshal(&dnstap.Dnstap{Type: dnstap.Dnstap_MESSAGE.Enum()}))
)

var hostiles = []hostile{
	{"a byte a while", func(nc net.Conn) {
		for _, b := range join(ready, bytes.Repeat([]byte{0}, 1<<20)) {
			if _, err := nc.Write([]byte{b}); err != nil {
				return
			}
			delayFor(20 * time.Millisecond)
		}
	}},
	{"connects and goes", func(net.Conn) {}},
	{"connects and says nothing", once()},
	{"READY and never START", once(ready)},
	{"READY for ever", forever(nil, ready)},
	{"STOP for ever", forever(start, stop)},
	{"START for ever", forever(start, start)},
	{"never reads ACCEPT and FINISH", func(nc net.Conn) {
		nc.Write(join(ready, start, stop))
		delayFor(50 * time.Millisecond)
	}},
	{"frames of one byte", forever(start, frame([]byte{0}))},
	{"empty protobufs", forever(start, emptyFrame)},
	{"largest frames", forever(start, largest)},
	{"oversize frames", forever(start, oversize)},
	{"largest frames by turns with small ones", forever(start, join(largest, emptyFrame))},
	{"an oversize frame that never ends", forever(join(start, lengthOnly(longestFrame)), make([]byte, 32<<10))},
	{"a stream that is out of step", forever(join(start, lengthOnly(1<<32-1)), sampleFrame())},
	{"a largest frame that never ends", once(start, lengthOnly(256<<10), make([]byte, 255<<10))},
	{"a length and no more", once(start, lengthOnly(256<<10))},
	{"a control frame that never ends", once(start, lengthOnly(0), lengthOnly(512), make([]byte, 500))},
	{"half-closed after START", func(nc net.Conn) {
		nc.Write(start)
		nc.(interface{ CloseWrite() error }).CloseWrite()
		io.Copy(io.Discard, nc)
	}},
	{"half-closed for reading", func(nc net.Conn) {
		nc.(interface{ CloseRead() error }).CloseRead()
		nc.Write(join(ready, start, stop))
		delayFor(10 * time.Millisecond)
	}},
	{"random bytes", func(nc net.Conn) { forever(nil, randomBytes())(nc) }},
	{"random bytes after START", func(nc net.Conn) { forever(start, randomBytes())(nc) }},
}

func randomBytes() []byte {
	b := make([]byte, 4096)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// An attackedSource is a source with hostile peers and a resolver.
type attackedSource struct {
	*runningSource
	taken atomic.Int64 // messages with DNS in them, which only the resolver sends
}

// A countingLane is a lane that only counts.
type countingLane struct {
	sink
	taken *atomic.Int64
}

func (l *countingLane) Take(m *transform.Message) transform.Reason {
	if len(m.Wire) == 0 {
		return transform.NotOutward
	}
	l.taken.Add(1)
	return transform.Kept
}

func newAttackedSource(t *testing.T, cfg Config) *attackedSource {
	s := &attackedSource{runningSource: &runningSource{}}
	s.runningSource.newLane = func() transform.Lane { return &countingLane{taken: &s.taken} }
	s.runningSource.run(t, cfg)
	return s
}

// attack makes peers attack until the returned function is called, which waits for
// them.
func (s *attackedSource) attack(t *testing.T, h hostile, peers int) (endAttack func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range peers {
		wg.Go(func() {
			for ctx.Err() == nil {
				nc, err := net.Dial("unix", s.Addr().String())
				if err != nil {
					return // the source is gone
				}
				unhook := context.AfterFunc(ctx, func() { nc.Close() })
				h.attack(nc)
				unhook()
				nc.Close()
				delayFor(time.Millisecond)
			}
		})
	}
	endAttack = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(endAttack)
	return endAttack
}

// The resolver sends 4,000 messages a second, in small bursts as resolvers do.
const (
	resolverBursts = 20
	burstSize      = 20 // messages
	burstPause     = 5 * time.Millisecond
	// maxDelay is far above the time of a write while the source reads, even on a busy
	// machine, and below the time of a write while the source waits for a handshake or
	// for ever.
	maxDelay = 5 * time.Second
)

// sendAsResolver performs the handshake, sends the bursts and STOP, and waits for FINISH.
// It returns the longest time of these steps.
func (s *attackedSource) sendAsResolver(t *testing.T) (longest time.Duration) {
	t.Helper()
	timed := func(do func()) {
		began := time.Now()
		do()
		longest = max(longest, time.Since(began))
	}
	var nc net.Conn
	timed(func() {
		nc = s.dial(t)
		send(t, nc, ready)
		if _, err := io.ReadFull(nc, make([]byte, 42)); err != nil {
			t.Fatal("no ACCEPT: ", err)
		}
		send(t, nc, start)
	})
	burst := bytes.Repeat(sampleFrame(), burstSize)
	for range resolverBursts {
		nc.SetDeadline(time.Now().Add(2 * maxDelay)) // of this burst
		timed(func() { send(t, nc, burst) })
		delayFor(burstPause)
	}
	timed(func() {
		send(t, nc, stop)
		if finish := expectClosed(t, nc); len(finish) != len(stop) {
			t.Errorf("%d bytes instead of FINISH", len(finish))
		}
	})
	return longest
}

// A resolver is served without delay during an attack, and the source stops in time.
func TestHostilePeersDoNotDisturbOthers(t *testing.T) {
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			cfg := unixConfig(t)
			cfg.HandshakeTimeout = 2 * maxDelay
			s := newAttackedSource(t, cfg)
			endAttack := s.attack(t, h, 3)
			if longest := s.sendAsResolver(t); longest > maxDelay {
				t.Errorf("the resolver was delayed by %v", longest)
			}
			if got := s.taken.Load(); got != resolverBursts*burstSize {
				t.Errorf("%d of the resolver's %d messages were received", got, resolverBursts*burstSize)
			}
			began := time.Now()
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v to stop", took)
			}
			endAttack()
		})
	}
}

// Each connection holds at most one buffer and one frame, regardless of earlier frames.
func TestMemoryOfHostilePeersIsBounded(t *testing.T) {
	cfg := unixConfig(t)
	cfg.MaxConnections, cfg.MaxFrame = 10, 512<<10
	const frames = 4
	bound := uint64(cfg.MaxConnections * (bufferSize + cfg.MaxFrame + 16<<10))
	before := heap()
	s := newAttackedSource(t, cfg)
	var wg sync.WaitGroup
	for range cfg.MaxConnections {
		nc := s.dial(t)
		wg.Go(func() {
			nc.Write(start)
			for i := range frames { // each larger than the one before
				nc.Write(frame(make([]byte, cfg.MaxFrame*(i+1)/frames)))
			}
			nc.Write(lengthOnly(cfg.MaxFrame)) // and one that never comes
			nc.Write(make([]byte, cfg.MaxFrame/2))
		})
	}
	wg.Wait()
	eventually(t, "all frames are read", func() bool {
		all := s.Connections()
		for _, c := range all {
			if c.Frames < frames {
				return false
			}
		}
		return len(all) == cfg.MaxConnections
	})
	held := heap() - before
	t.Logf("%d connections hold %.1f MiB of at most %.1f", cfg.MaxConnections, float64(held)/(1<<20), float64(bound)/(1<<20))
	if held > bound {
		t.Errorf("%d bytes are held, want at most %d", held, bound)
	}
}

// heap returns the size of the live heap in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// delayFor delays a peer. No assertion depends on it.
func delayFor(d time.Duration) { time.Sleep(d) }
