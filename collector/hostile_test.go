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

// A hostile peer does its worst on one connection until that is closed; then it
// comes again.
type hostile struct {
	name   string
	attack func(net.Conn)
}

// forever writes the same again and again, until the connection is closed.
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

// once writes, and then waits to be closed.
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
			forAWhile(20 * time.Millisecond)
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
		forAWhile(50 * time.Millisecond)
	}},
	{"frames of one byte", forever(start, frame([]byte{0}))},
	{"empty protobufs", forever(start, emptyFrame)},
	{"largest frames", forever(start, largest)},
	{"oversize frames", forever(start, oversize)},
	{"largest frames by turns with small ones", forever(start, join(largest, emptyFrame))},
	{"an oversize frame that never ends", forever(join(start, lengthOnly(1<<32-1)), make([]byte, 32<<10))},
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
		forAWhile(10 * time.Millisecond)
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

// A siege is a source with hostile peers and a neighbour.
type siege struct {
	*running
	taken atomic.Int64 // messages with DNS in them, which is the neighbour's alone
}

// taker is a lane that only counts.
type taker struct {
	sink
	taken *atomic.Int64
}

func (l *taker) Take(m *transform.Message) transform.Reason {
	if len(m.Wire) == 0 {
		return transform.NotOutward
	}
	l.taken.Add(1)
	return transform.Kept
}

func newSiege(t *testing.T, cfg Config) *siege {
	s := &siege{running: &running{}}
	s.running.lay = func() transform.Lane { return &taker{taken: &s.taken} }
	s.running.run(t, cfg)
	return s
}

// besiege lets peers attack until the returned function is called, which waits
// for them.
func (s *siege) besiege(t *testing.T, h hostile, peers int) (relieve func()) {
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
				forAWhile(time.Millisecond)
			}
		})
	}
	relieve = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(relieve)
	return relieve
}

// A neighbour is a resolver of 4,000 messages a second, in the small bursts in
// which resolvers write.
const (
	neighbourBursts = 20
	neighbourBurst  = 20 // messages
	neighbourPause  = 5 * time.Millisecond
	// stall is far above what a write takes while the other end reads, on a machine
	// that has other things to do too, and below what it takes while that waits for
	// somebody: for a handshake's end, or for ever.
	stall = 5 * time.Second
)

// live shakes hands, sends what a neighbour has, says STOP and waits for FINISH.
// It returns the longest time that any of these took.
func (s *siege) live(t *testing.T) (longest time.Duration) {
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
	burst := bytes.Repeat(sampleFrame(), neighbourBurst)
	for range neighbourBursts {
		nc.SetDeadline(time.Now().Add(2 * stall)) // of this burst
		timed(func() { send(t, nc, burst) })
		forAWhile(neighbourPause)
	}
	timed(func() {
		send(t, nc, stop)
		if finish := expectClosed(t, nc); len(finish) != len(stop) {
			t.Errorf("%d bytes in place of FINISH", len(finish))
		}
	})
	return longest
}

// Whatever others do, a resolver beside them is served as if they were not there,
// and the source stops in time.
func TestHostilePeersDisturbNobody(t *testing.T) {
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			cfg := unixConfig(t)
			cfg.HandshakeTimeout = 2 * stall
			s := newSiege(t, cfg)
			relieve := s.besiege(t, h, 3)
			if longest := s.live(t); longest > stall {
				t.Errorf("the neighbour was held up for %v", longest)
			}
			if got := s.taken.Load(); got != neighbourBursts*neighbourBurst {
				t.Errorf("%d of the neighbour's %d messages came in", got, neighbourBursts*neighbourBurst)
			}
			began := time.Now()
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v to stop", took)
			}
			relieve()
		})
	}
}

// What connections hold is bounded by a buffer and a frame for each, whatever the
// frames before were.
func TestMemoryOfHostilePeersIsBounded(t *testing.T) {
	cfg := unixConfig(t)
	cfg.MaxConnections, cfg.MaxFrame = 10, 512<<10
	const frames = 4
	bound := uint64(cfg.MaxConnections * (bufferSize + cfg.MaxFrame + 16<<10))
	before := heap()
	s := newSiege(t, cfg)
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
		t.Errorf("%d bytes are held, at most %d are due", held, bound)
	}
}

// heap is what is in use once all garbage is gone.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// forAWhile lets a peer be as slow as it means to be.
func forAWhile(d time.Duration) { time.Sleep(d) }
