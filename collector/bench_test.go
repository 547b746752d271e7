package collector

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// sink is a lane that does nothing.
type sink struct{ taken, dropped int }

func (s *sink) Begin()                                   {}
func (s *sink) Take(*transform.Message) transform.Reason { s.taken++; return transform.Kept }
func (s *sink) Drop(transform.Reason)                    { s.dropped++ }
func (s *sink) End()                                     {}
func (s *sink) Close()                                   {}

func TestFramesBecomeMessagesWithoutAllocating(t *testing.T) {
	for _, name := range captures() {
		file, frames := capture(t, name)
		file = file[len(start) : len(file)-len(stop)]
		lane := &sink{}
		src := bytes.NewReader(file)
		s := &stream{frames: newFrameReader(src, 256<<10), lane: lane, afterBurst: func() {}}
		allocs := testing.AllocsPerRun(20, func() {
			src.Reset(file)
			if err := s.run(); err != io.EOF {
				t.Fatal(err)
			}
		})
		if allocs != 0 || lane.taken != 21*len(frames) || lane.dropped != 0 {
			t.Errorf("%s: %v allocations; %d taken, %d dropped", name, allocs, lane.taken, lane.dropped)
		}
	}
}

// decoded are captures for benchmarks. Those of unbound and pdns differ in the order of the fields, and
// all frames of kresd are CLIENT_*.
var decoded = []string{"unbound", "pdns", "kresd"}

// BenchmarkDecode turns one frame into one message.
func BenchmarkDecode(b *testing.B) {
	for _, name := range decoded {
		b.Run(name, func(b *testing.B) {
			_, frames := capture(b, name+".fstrm")
			var f fields
			var m transform.Message
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if !f.decode(frames[i%len(frames)]) || !f.message(&m) {
					b.Fatal("not decoded")
				}
			}
		})
	}
}

// BenchmarkFrames reads a stream of 1 MiB into the lane, as a connection does.
func BenchmarkFrames(b *testing.B) {
	for _, name := range decoded {
		b.Run(name, func(b *testing.B) { benchmarkFrames(b, name+".fstrm") })
	}
}

func benchmarkFrames(b *testing.B, name string) {
	var file []byte
	for _, frames := capture(b, name); len(file) < 1<<20; {
		for _, f := range frames {
			file = append(file, frame(f)...)
		}
	}
	lane := &sink{}
	src := bytes.NewReader(file)
	ours, theirs := net.Pipe()
	defer theirs.Close()
	defer ours.Close()
	c := newConn(ours, Peer{}, 1, testConfig("unix", "/x"), slog.New(slog.DiscardHandler))
	c.reader = newConnReader(b.Context(), ours) // only for its timer: the bytes come from src
	defer c.reader.release()
	c.stream = stream{frames: newFrameReader(src, 256<<10), lane: lane, afterBurst: c.publish}
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(file)
		if err := c.stream.run(); err != io.EOF {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(lane.taken), "ns/frame")
}
