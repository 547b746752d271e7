package collector

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is a lane that records its calls, and checks them against the rules of Lane.
type recorder struct {
	judge func(*transform.Message) transform.Reason // what Take returns; nil: always Kept

	mu         sync.Mutex
	messages   []transform.Message
	drops      []transform.Reason
	bursts     int
	inBurst    bool
	calls      int // in this burst
	closed     bool
	violations []string
}

func (r *recorder) require(ok bool, what string) {
	if !ok {
		r.violations = append(r.violations, what)
	}
}

func (r *recorder) Begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.require(!r.inBurst && !r.closed, "Begin within a burst or after Close")
	r.inBurst, r.calls = true, 0
	r.bursts++
}

func (r *recorder) Take(m *transform.Message) transform.Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.require(r.inBurst, "Take outside a burst")
	r.calls++
	kept := *m
	kept.Wire, kept.Zone, kept.Frame = bytes.Clone(m.Wire), bytes.Clone(m.Zone), nil
	r.messages = append(r.messages, kept)
	if r.judge != nil {
		return r.judge(m)
	}
	return transform.Kept
}

func (r *recorder) Drop(reason transform.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.require(r.inBurst, "Drop outside a burst")
	r.calls++
	r.drops = append(r.drops, reason)
}

func (r *recorder) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.require(r.inBurst && r.calls > 0, "End of no burst, or of an empty one")
	r.inBurst = false
}

func (r *recorder) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.require(!r.inBurst && !r.closed, "Close within a burst, or twice")
	r.closed = true
}

// seen returns copies of the messages and drops so far.
func (r *recorder) seen() ([]transform.Message, []transform.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages), slices.Clone(r.drops)
}

func (r *recorder) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// check fails the test if a rule of Lane was violated.
func (r *recorder) check(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.violations) > 0 {
		t.Errorf("violations of the rules of Lane: %q", r.violations)
	}
}

// testConfig returns the usual configuration of tests.
func testConfig(network, address string) Config {
	return Config{
		Name: "test", Network: network, Address: address, Mode: 0o660,
		MaxConnections: 8, MaxFrame: 256 << 10, HandshakeTimeout: 5 * time.Second,
	}
}

// A logBuffer is a log that keeps lines of every level.
type logBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) count(text string) int { return strings.Count(l.String(), text) }

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// frame returns a data frame with this body.
func frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func controlBytes(kind uint32, types ...string) []byte {
	c := framestream.ControlFrame{ControlType: kind}
	for _, t := range types {
		c.ContentTypes = append(c.ContentTypes, []byte(t))
	}
	var b bytes.Buffer
	if err := c.Encode(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

const ours = "protobuf:dnstap.Dnstap"

var (
	start  = controlBytes(framestream.CONTROL_START, ours)
	stop   = controlBytes(framestream.CONTROL_STOP)
	finish = controlBytes(framestream.CONTROL_FINISH)
)

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// sample returns a RESOLVER_RESPONSE with every field that resolvers send.
func sample() *dnstap.Dnstap {
	return &dnstap.Dnstap{
		Identity: []byte("ns1.example"),
		Version:  []byte("unbound 1.17.1"),
		Extra:    []byte("extra"),
		Type:     dnstap.Dnstap_MESSAGE.Enum(),
		Message: &dnstap.Message{
			Type:             dnstap.Message_RESOLVER_RESPONSE.Enum(),
			SocketFamily:     dnstap.SocketFamily_INET.Enum(),
			SocketProtocol:   dnstap.SocketProtocol_UDP.Enum(),
			QueryAddress:     []byte{192, 0, 2, 53},
			QueryPort:        proto.Uint32(40053),
			ResponseAddress:  []byte{198, 51, 100, 7},
			ResponsePort:     proto.Uint32(53),
			QueryTimeSec:     proto.Uint64(1700000000),
			QueryTimeNsec:    proto.Uint32(5),
			ResponseTimeSec:  proto.Uint64(1700000001),
			ResponseTimeNsec: proto.Uint32(7),
			QueryZone:        []byte("\x07example\x00"),
			ResponseMessage:  []byte("twelve bytes and more"),
		},
	}
}

// marshal encodes d, even if required fields are missing.
func marshal(d *dnstap.Dnstap) []byte {
	b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(d)
	if err != nil {
		panic(err)
	}
	return b
}

func sampleFrame() []byte { return frame(marshal(sample())) }

// capture reads a capture's frames with golang-framestream.
func capture(t testing.TB, name string) (file []byte, frames [][]byte) {
	t.Helper()
	file, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := framestream.NewReader(bytes.NewReader(file), &framestream.ReaderOptions{
		ContentTypes: [][]byte{dnstap.FSContentType},
	})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	for {
		n, err := r.ReadFrame(buf)
		if err == framestream.EOF {
			return file, frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, bytes.Clone(buf[:n]))
	}
}

func captures() []string { return []string{"unbound.fstrm", "bind.fstrm", "pdns.fstrm", "kresd.fstrm"} }

// eventually waits until ok, which depends on another goroutine or process.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}
