package sensor

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// BenchmarkFrameToBatch measures the whole path from frames to datagrams, encoded as dnsqr. The
// results to look at are ns/frame and allocs/frame. Each iteration is a new lane.
func BenchmarkFrameToBatch(b *testing.B) {
	for name, load := range frameLoads {
		b.Run(name, func(b *testing.B) { frameToBatch(b, load(b, benchFrames)) })
	}
	b.Run("clients", func(b *testing.B) { frameToBatch(b, clientsLoad(b, benchFrames)) })
}

func frameToBatch(b *testing.B, l load) {
	f := startForwarder(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(l.frames)))
	began := cpuTime()
	for b.Loop() {
		if err := collector.Replay(b.Context(), bytes.NewReader(l.frames), conf.SourceDefaults(), f.Lane("bench")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*l.n), "ns/frame")
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N*l.n), "cpu-ns/frame")
}

// startForwarder returns a forwarder that runs until the benchmark ends.
func startForwarder(b *testing.B) *forward.Forwarder {
	f, stop := newForwarder(b)
	b.Cleanup(stop)
	return f
}

// newForwarder returns a forwarder that runs until stop, which waits for its datagrams. It has one
// UDP sink at mtu 8192. Nothing reads its datagrams.
func newForwarder(b *testing.B) (f *forward.Forwarder, stop func()) {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	target, err := forward.ParseTarget("udp://" + receiver.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	file := benchConfig(b)
	f = forward.New(forward.Live, transform.NewBudget(file.MaxQueries), slog.New(slog.DiscardHandler))
	if err := f.Apply(policyOf(b, file.Policy), []forward.SinkConfig{conf.SinkFor("bench", target)}, nil); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	return f, func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		receiver.Close()
	}
}

// benchConfig returns the default configuration, with the local name of the busy load.
func benchConfig(b testing.TB) *conf.File {
	file, diags := conf.Default()
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	file.Policy.LocalNames = []string{workload.LocalName}
	return file
}

func policyOf(b testing.TB, c transform.Config) *transform.Policy {
	policy, err := transform.NewPolicy(c)
	if err != nil {
		b.Fatal(err)
	}
	return policy
}

// cpuTime is the CPU time that the process has used, with that of its senders.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestSimpleLoadBecomesRecords replays the simple load: each pair of frames must become a record, because
// figures for each record count on that.
func TestSimpleLoadBecomesRecords(t *testing.T) {
	l := simpleLoad(t, 4000)
	policy, p := policyOf(t, benchConfig(t).Policy), transform.NewPairer(transform.NewBudget(l.n))
	err := collector.Replay(t.Context(), bytes.NewReader(l.frames), conf.SourceDefaults(), lane(func(m *transform.Message) transform.Reason {
		return p.Take(m, policy, func(*transform.Record) {})
	}))
	if c := p.Counts(); err != nil || int(c.Read) != l.n || int(c.Records) != l.n/2 {
		t.Errorf("%v; read %d, records %d of %d frames: %v", err, c.Read, c.Records, l.n, c.Dropped)
	}
}

// A load is a stream of frames.
type load struct {
	frames []byte // from START to STOP
	n      int
}

const benchFrames = 300_000

// frameLoads are functions that make a load of a number of frames.
var frameLoads = map[string]func(b testing.TB, frames int) load{"simple": simpleLoad, "busy": busyLoad}

// simpleLoad is a load in which every pair of frames becomes a record.
func simpleLoad(b testing.TB, frames int) load {
	pairs := capturedPairs(b)
	return loadOf(b, func(emit func(*dnstap.Dnstap) error) error { return workload.Simple(pairs, frames, emit) })
}

// busyLoad is the load of a busy resolver.
func busyLoad(b testing.TB, frames int) load {
	busy := newBusy(b, frames)
	return loadOf(b, busy.Frames)
}

// clientsLoad is the load of a busy resolver that reports twice as many frames CLIENT_* in addition.
func clientsLoad(b testing.TB, frames int) load {
	busy := newBusy(b, frames)
	return loadOf(b, busy.FramesWithClients)
}

func newBusy(b testing.TB, frames int) *workload.Busy {
	busy, err := workload.NewBusy(capturedPairs(b), frames, workload.BusyRate)
	if err != nil {
		b.Fatal(err)
	}
	return busy
}

func capturedPairs(b testing.TB) []workload.Pair {
	files, err := filepath.Glob("../../../../transform/testdata/captures/*-[23].fstrm")
	if err != nil {
		b.Fatal(err)
	}
	pairs, err := workload.Pairs(files...)
	if err != nil {
		b.Fatal(err)
	}
	return pairs
}

func loadOf(b testing.TB, produce func(func(*dnstap.Dnstap) error) error) (l load) {
	var out bytes.Buffer
	w, err := framestream.NewEncoder(&out, &framestream.EncoderOptions{ContentType: dnstap.FSContentType})
	if err != nil {
		b.Fatal(err)
	}
	err = produce(func(d *dnstap.Dnstap) error {
		frame, err := proto.Marshal(d)
		if err != nil {
			return err
		}
		l.n++
		_, err = w.Write(frame)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		b.Fatal(err)
	}
	l.frames = out.Bytes()
	return l
}
