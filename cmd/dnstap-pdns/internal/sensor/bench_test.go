package sensor

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// endless plays the same stream again and again.
type endless struct {
	head, body []byte
	r          bytes.Reader
	left       int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if e.r.Len() == 0 {
		e.r.Reset(e.body)
		e.left--
	}
	return e.r.Read(p)
}

// BenchmarkFrameToBatch is the whole path in one goroutine, from frame bytes to
// finished containers in a sink's queue.
func BenchmarkFrameToBatch(b *testing.B) {
	data, err := os.ReadFile("/tmp/bench2.fstrm")
	if err != nil {
		b.Skip(err)
	}
	discard, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer discard.Close()
	file, _ := conf.Default()
	policy, err := transform.NewPolicy(file.Policy)
	if err != nil {
		b.Fatal(err)
	}
	f := forward.New(forward.Live, transform.NewBudget(131072), slog.New(slog.DiscardHandler))
	target, _ := forward.ParseTarget("udp://" + discard.LocalAddr().String())
	if err := f.Apply(policy, []forward.SinkConfig{conf.SinkFor("x", target)}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	defer func() { cancel(); <-done }()
	b.ReportAllocs()
	for b.Loop() {
		if err := collector.Replay(ctx, bytes.NewReader(data), conf.SourceDefaults(), f.Lane("x")); err != nil {
			b.Fatal(err)
		}
	}
}
