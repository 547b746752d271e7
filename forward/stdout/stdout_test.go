package stdout

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sink() forward.SinkConfig {
	c := forwardtest.Sink("out", forward.Target{Scheme: forward.Stdout}, Config{})
	c.MTU = 8192
	return c
}

func TestStdoutGetsWholeContainersAndBreaksForGood(t *testing.T) {
	var got bytes.Buffer
	w := &failingWriter{w: &got, after: 100_000}
	f := forward.New(forward.Live, transform.NewBudget(1), slog.New(slog.DiscardHandler), forward.WithStdout(w))
	if err := f.Apply(forwardtest.Policy(t), []forward.SinkConfig{sink()}, nil); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- f.Run(t.Context()) }()
	l := f.Lane("source")
	forwardtest.Burst(t, l, 0, 2000, 200)
	err := <-done
	l.Close()
	if err == nil || !strings.Contains(err.Error(), `sink "out": writing to standard output failed: the pipe is broken`) {
		t.Errorf("Run: %v", err)
	}
	s := forwardtest.CheckLedger(t, f)
	names, _, err := forwardtest.Names(got.Bytes()[:s.Sent.Bytes])
	if err != nil || uint64(len(names)) != s.Delivered || s.Delivered == 0 {
		t.Errorf("%d records delivered, %d can be read: %v", s.Delivered, len(names), err)
	}
	if s.Lost[forward.Failed] != 2000-s.Delivered {
		t.Errorf("sink: %+v", s)
	}
}

// A failingWriter accepts a limited number of bytes, in small portions.
type failingWriter struct {
	w     io.Writer
	after int
}

func (f *failingWriter) Write(p []byte) (int, error) {
	n := min(len(p), f.after, 1000)
	f.after -= n
	f.w.Write(p[:n])
	if f.after == 0 {
		return n, errors.New("the pipe is broken")
	}
	return n, nil
}

func TestWithoutStandardOutputThereIsNoTransport(t *testing.T) {
	f := forward.New(forward.Live, transform.NewBudget(1), slog.New(slog.DiscardHandler))
	err := f.Apply(forwardtest.Policy(t), []forward.SinkConfig{sink()}, nil)
	if err == nil || err.Error() != `sink "out": standard output is not available to sinks here` {
		t.Errorf("Apply: %v", err)
	}
}

// TestAnEnclosedStreamBeginsAndEnds checks what a format writes around the units of a stream.
func TestAnEnclosedStreamBeginsAndEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		records int
		after   int // bytes that the writer accepts
		want    string
	}{
		"nothing":      {0, 1 << 20, ""},
		"records":      {3, 1 << 20, "(...)"},
		"broken":       {3, 3, "(.."},
		"at the end":   {3, 4, "(..."},
		"at the start": {3, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			f := forward.New(forward.Live, transform.NewBudget(10), slog.New(slog.DiscardHandler),
				forward.WithStdout(&failingWriter{w: &got, after: tt.after}))
			c := sink()
			c.Format = dots{}
			if err := f.Apply(forwardtest.Policy(t), []forward.SinkConfig{c}, nil); err != nil {
				t.Fatal(err)
			}
			err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, tt.records, 20) })
			if whole := tt.after > len(tt.want); whole != (err == nil) {
				t.Errorf("Run: %v", err)
			}
			if got.String() != tt.want {
				t.Errorf("written: %q, want %q", got.String(), tt.want)
			}
			s := forwardtest.CheckLedger(t, f)
			if delivered := strings.Count(tt.want, "."); s.Delivered != uint64(delivered) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// dots is an enclosed format in which a record is a dot.
type dots struct{}

func (dots) Accepts(*transform.Record) bool { return true }
func (dots) NewFramer(int) forward.Framer   { return forward.OnePerUnit{} }
func (dots) Begin() []byte                  { return []byte("(") }
func (dots) End() []byte                    { return []byte(")") }
func (dots) Append(b []byte, _ *transform.Record, _ nmsg.IDs) ([]byte, error) {
	return append(b, '.'), nil
}
