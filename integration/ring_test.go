package integration

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// A capture is a running ring.Capture with the packets that its lanes have read.
type capture struct {
	*ring.Capture
	log   *logBuffer
	stop  func() // ends it and returns when all packets are read
	close func() // stops it and releases the rings

	mu   sync.Mutex
	seen [][]packet // of each lane
}

// A packet is a copy of a ring.Packet.
type packet struct {
	data     []byte
	protocol uint16
	length   int
	time     int64
}

// A logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (r *logBuffer) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *logBuffer) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.b.String(), text)
}

func defaults(interfaces ...string) ring.Config {
	return ring.Config{
		Interfaces: interfaces, Lanes: 1, Size: 4 << 20,
		Filter: ring.Filter{Resolvers: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::53/128"),
		}},
	}
}

// startRing captures in the namespace until stop, or until the test ends.
func startRing(t *testing.T, n *lab.Namespace, cfg ring.Config) *capture {
	t.Helper()
	c := &capture{log: &logBuffer{}, seen: make([][]packet, cfg.Lanes)}
	var err error
	n.Enter(t, func() {
		if c.Capture, err = ring.Open(cfg, slog.New(slog.NewTextHandler(c.log, nil))); err == nil {
			err = c.Attach()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		n.Enter(t, func() {
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	})
	for lane := range cfg.Lanes {
		work.Go(func() { c.read(lane) })
	}
	c.stop = sync.OnceFunc(func() {
		cancel()
		work.Wait()
	})
	c.close = sync.OnceFunc(func() {
		c.stop()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(c.close)
	return c
}

func (c *capture) read(lane int) {
	r := c.Reader(lane)
	var p ring.Packet
	for r.Wait() {
		for r.Next(&p) {
			c.mu.Lock()
			c.seen[lane] = append(c.seen[lane], packet{bytes.Clone(p.Data), p.Protocol, p.Length, int64(p.Time)})
			c.mu.Unlock()
		}
	}
}

// endWith waits for as many packets as there are names, stops the capture and compares the
// names of all lanes in any order: the kernel may process packets that were sent on another
// processor later.
func (c *capture) endWith(t *testing.T, want []string) {
	t.Helper()
	c.await(t, len(want))
	c.stop()
	var got []string
	for lane := range c.seen {
		got = append(got, c.names(lane)...)
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		t.Error(diff)
	}
}

// names returns the names of a lane's packets: the bytes after their last zero.
func (c *capture) names(lane int) (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.seen[lane] {
		all = append(all, p.name())
	}
	return all
}

func (p packet) name() string { return string(p.data[bytes.LastIndexByte(p.data, 0)+1:]) }

// await waits until the lanes have read that many packets.
func (c *capture) await(t *testing.T, packets int) {
	t.Helper()
	await(t, fmt.Sprintf("%d packets", packets), func() bool { return c.total() >= packets })
}

func (c *capture) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, lane := range c.seen {
		n += len(lane)
	}
	return n
}

// TestRingReadsWhatHasArrived checks that stopping a capture still yields the packets in the
// block that the kernel is filling.
func TestRingReadsWhatHasArrived(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	c := makePair(t, n, "tap0")
	capture := startRing(t, n, defaults("tap0"))
	before := time.Now().UnixNano()
	c.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "query"))
	c.send(t, datagram(server4, resolver4, udp, dnsPort, 4000, "response"))
	after := time.Now().UnixNano()
	began := time.Now()
	capture.stop()
	if took := time.Since(began); took > time.Second {
		t.Errorf("stopping took %s", took)
	}
	if diff := cmp.Diff([]string{"query", "response"}, capture.names(0)); diff != "" {
		t.Error(diff)
	}
	for _, p := range capture.seen[0] {
		if p.time < before || p.time > after || p.time > int64(capture.Ended()) {
			t.Errorf("a packet sent between %d and %d has time %d", before, after, p.time)
		}
		if p.protocol != ring.IPv4 || p.length != len(p.data) {
			t.Errorf("protocol %#x, length %d of %d", p.protocol, p.length, len(p.data))
		}
	}
	want := ring.Counts{Packets: 2}
	if got := capture.Stats().Counts; got != want {
		t.Errorf("counts: got %+v, want %+v", got, want)
	}
}

// TestRingEndsAtAnInstant checks that a stopped capture yields every packet from before its
// end time, and none from after it.
func TestRingEndsAtAnInstant(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	c := makePair(t, n, "tap0")
	capture := startRing(t, n, defaults("tap0"))
	if capture.Ended() >= 0 {
		t.Errorf("a running capture has the end time %d", capture.Ended())
	}
	ended := make(chan struct{})
	after := []int64{} // the time after each packet was sent
	for stopping := false; ; {
		select {
		case <-ended:
			checkEnd(t, capture, after)
			return
		default:
		}
		c.send(t, datagram(resolver4, server4, udp, 4000, dnsPort, "packet"))
		after = append(after, time.Now().UnixNano())
		if !stopping && len(after) >= 5000 && time.Duration(after[len(after)-1]-after[0]) > 100*time.Millisecond {
			stopping = true
			go func() { capture.stop(); close(ended) }()
		}
	}
}

func checkEnd(t *testing.T, c *capture, after []int64) {
	t.Helper()
	end := int64(c.Ended())
	sentBy := func(instant int64) (n int) {
		for n < len(after) && after[n] <= instant {
			n++
		}
		return n
	}
	const slack = int64(20 * time.Millisecond)      // for the kernel to process sent packets
	least, most := sentBy(end-slack), sentBy(end)+1 // plus a packet that was being sent
	if got := c.total(); got < least || got > most {
		t.Errorf("%d packets read, want %d to %d", got, least, most)
	}
	for _, p := range c.seen[0] {
		if p.time > end {
			t.Fatalf("a packet with time %d was read, after the end at %d", p.time, end)
		}
	}
	c.close()
	if s := c.Stats(); s.Packets >= uint64(len(after)) {
		t.Errorf("%d packets of %d came into the ring: it still receives after the end", s.Packets, len(after))
	}
	if least == 0 || most >= len(after) {
		t.Errorf("%d packets before the end and %d in all: the test checks nothing", least, len(after))
	}
}
