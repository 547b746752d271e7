package sensor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// BenchmarkFrameToBatch measures the whole path from frames to datagrams. Half of the frames
// are queries, the others their responses; each pair is scrubbed and encoded as dnsqr. The
// results to look at are ns/frame and allocs/frame.
func BenchmarkFrameToBatch(b *testing.B) {
	stream, frames := pairsAsStream(b, "../../demo.fstrm", 200)
	f := startForwarder(b)
	lane := f.Lane("bench")
	defer lane.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := collector.Replay(b.Context(), bytes.NewReader(stream), conf.SourceDefaults(), reusedLane{lane}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/frame")
	b.SetBytes(int64(len(stream)))
}

// A reusedLane is a lane that several streams use.
type reusedLane struct{ transform.Lane }

func (reusedLane) Close() {}

// startForwarder returns a forwarder that runs until the benchmark ends, with one UDP sink at
// mtu 8192. Nothing reads its datagrams.
func startForwarder(b *testing.B) *forward.Forwarder {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	target, err := forward.ParseTarget("udp://" + receiver.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	file, diags := conf.Default()
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	policy, err := transform.NewPolicy(file.Policy)
	if err != nil {
		b.Fatal(err)
	}
	f := forward.New(forward.Live, transform.NewBudget(file.MaxQueries), slog.New(slog.DiscardHandler))
	if err := f.Apply(policy, []forward.SinkConfig{conf.SinkFor("bench", target)}, nil); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		receiver.Close()
	})
	return f
}

// pairsAsStream makes a Frame Streams file of the queries of a capture that have a response,
// each followed by its response. It repeats them.
func pairsAsStream(b *testing.B, capture string, times int) (stream []byte, frames int) {
	pairs := answeredPairs(b, capture)
	var out bytes.Buffer
	w, err := framestream.NewEncoder(&out, &framestream.EncoderOptions{ContentType: dnstap.FSContentType})
	if err != nil {
		b.Fatal(err)
	}
	for range times {
		for _, frame := range pairs {
			if _, err := w.Write(frame); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes(), times * len(pairs)
}

func answeredPairs(b *testing.B, capture string) (frames [][]byte) {
	f, err := os.Open(capture)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r, err := framestream.NewDecoder(f, &framestream.DecoderOptions{ContentType: dnstap.FSContentType})
	if err != nil {
		b.Fatal(err)
	}
	queries := map[string][]byte{} // by server and ID
	for {
		frame, err := r.Decode()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			b.Fatal(err)
		}
		frame = bytes.Clone(frame)
		var d dnstap.Dnstap
		if err := proto.Unmarshal(frame, &d); err != nil {
			b.Fatal(err)
		}
		m := d.Message
		switch m.GetType() {
		case dnstap.Message_RESOLVER_QUERY:
			queries[string(m.ResponseAddress)+string(m.QueryMessage[:2])] = frame
		case dnstap.Message_RESOLVER_RESPONSE:
			if q := queries[string(m.ResponseAddress)+string(m.ResponseMessage[:2])]; q != nil {
				frames = append(frames, q, frame)
			}
		}
	}
}
