package pcap

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
)

// query4 is an IPv4 packet with a query from 192.0.2.54 to port 53 of 198.51.100.1.
var query4 = slices.Concat(
	[]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 54, 198, 51, 100, 1},
	[]byte{0x10, 0, 0, 53, 0, 20, 0, 0},
	[]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0})

// startSampler runs a sampler until the test ends.
func startSampler(t *testing.T, s *sampler) {
	s.interfaces = []string{"eth0"}
	s.dissector = packet.New(packet.Config{Resolvers: []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32")}})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
}

func TestSamplerSamplesWhileHardlyAnyPacketPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var passed atomic.Uint64
		samples := 0
		s := &sampler{
			passed: passed.Load,
			sample: func(ctx context.Context, interfaces []string, limit int, take func(*ring.Packet)) error {
				samples++
				take(&ring.Packet{Data: query4, Length: len(query4), Protocol: ring.IPv4, Time: 1})
				<-ctx.Done() // a sample ends by itself
				return nil
			},
			log: slog.New(slog.DiscardHandler),
		}
		startSampler(t, s)
		after := func(d time.Duration) int {
			time.Sleep(d)
			synctest.Wait()
			return samples
		}
		if n := after(sampleInterval); n != 1 {
			t.Fatalf("%d samples at first, want 1", n)
		}
		after(sampleTime)
		if got, want := s.counts().Queries.Senders, (packet.Sender{Addr: netip.MustParseAddr("192.0.2.54"), Packets: 1}); !slices.Equal(got.All(), []packet.Sender{want}) {
			t.Errorf("got %v, want %v", got.All(), want)
		}
		passed.Add(enoughPackets)
		if n := after(sampleInterval); n != 1 {
			t.Errorf("%d samples while packets pass, want 1", n)
		}
		passed.Add(enoughPackets - 1)
		if n := after(sampleInterval); n != 2 {
			t.Errorf("%d samples while few packets pass, want 2", n)
		}
	})
}

func TestSamplerLogsAFailureOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		startSampler(t, &sampler{
			passed: func() uint64 { return 0 },
			sample: func(context.Context, []string, int, func(*ring.Packet)) error { return errors.New("no memory") },
			log:    slog.New(slog.NewTextHandler(&log, nil)),
		})
		time.Sleep(3 * sampleInterval)
		synctest.Wait()
		if n := strings.Count(log.String(), "no memory"); n != 1 {
			t.Errorf("logged %d times: %s", n, &log)
		}
	})
}
