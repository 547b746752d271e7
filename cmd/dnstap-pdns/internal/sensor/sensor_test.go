package sensor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	capture       = "../../demo.fstrm"
	captureFrames = 355
)

// A testSensor is a sensor and the folder of its sockets and files.
type testSensor struct {
	*Sensor
	dir  string
	stop func()
}

// config parses a configuration, in which DIR means the folder.
func (h *testSensor) config(t *testing.T, hcl string) *conf.Config {
	t.Helper()
	file, diags := conf.Parse("test.hcl", []byte(strings.ReplaceAll(hcl, "DIR", h.dir)))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return &file.Config
}

func sourceBlock(name, socket string) string {
	return `source "dnstap" "` + name + `" { listen = "unix://DIR/` + socket + `" }` + "\n"
}

func sinkBlock(name string) string {
	return `sink "nmsg" "` + name + `" {
		to     = "file://DIR/` + name + `.nmsg"
		rotate = "0s"
	}` + "\n"
}

// start runs a sensor until the test ends.
func start(t *testing.T, hcl string) *testSensor {
	t.Helper()
	h := newTestSensor(t)
	h.run(t, hcl, Options{Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	return h
}

// newTestSensor makes a folder whose path is short enough for Unix sockets.
func newTestSensor(t *testing.T) *testSensor {
	t.Helper()
	dir, err := os.MkdirTemp("", "sensor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &testSensor{dir: dir}
}

func (h *testSensor) run(t *testing.T, hcl string, o Options) {
	t.Helper()
	var err error
	if h.Sensor, err = New(h.config(t, hcl), o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx, nil) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.stop)
	eventually(t, "the sensor starts", func() bool { return h.Reload(h.config(t, hcl)) == nil })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// A resolver is a dnstap connection to the sensor.
type resolver struct {
	conn net.Conn
	w    *framestream.Writer
}

func (h *testSensor) connect(t *testing.T, socket string) *resolver {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(h.dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w, err := framestream.NewWriter(conn, &framestream.WriterOptions{
		ContentTypes:  [][]byte{dnstap.FSContentType},
		Bidirectional: true,
		Timeout:       5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &resolver{conn, w}
}

// play sends the capture. The sensor may not have read it when play returns.
func (r *resolver) play(t *testing.T) {
	t.Helper()
	file, err := os.ReadFile(capture)
	if err != nil {
		t.Fatal(err)
	}
	d, err := framestream.NewDecoder(bytes.NewReader(file), &framestream.DecoderOptions{ContentType: dnstap.FSContentType})
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := d.Decode()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.w.WriteFrame(frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// close sends STOP and waits for FINISH. The sensor has then read everything.
func (r *resolver) close(t *testing.T) {
	t.Helper()
	if err := r.w.Close(); err != nil {
		t.Error(err)
	}
}

// checkLedger fails the test unless every sum is correct and read messages were read.
func checkLedger(t *testing.T, l forward.Ledger, read int) {
	t.Helper()
	if l.Total.Read != uint64(read) {
		t.Errorf("read %d, want %d", l.Total.Read, read)
	}
	for _, s := range l.Sources {
		if s.Counts.Read != s.Counts.Sum() {
			t.Errorf("source %s: read %d, accounted for %d", s.Name, s.Counts.Read, s.Counts.Sum())
		}
	}
	for i := range l.Sinks {
		if s := &l.Sinks[i]; s.Offered != s.Sum() {
			t.Errorf("sink %s: offered %d, accounted for %d", s.Name, s.Offered, s.Sum())
		}
	}
}

func (h *testSensor) reload(t *testing.T, hcl string) {
	t.Helper()
	if err := h.Reload(h.config(t, hcl)); err != nil {
		t.Fatal(err)
	}
}

func TestReloadKeepsConnectionsOfSourcesThatStay(t *testing.T) {
	h := start(t, sourceBlock("a", "a.sock")+sinkBlock("x"))
	r := h.connect(t, "a.sock")
	r.play(t)
	h.reload(t, sourceBlock("a", "a.sock")+sourceBlock("b", "b.sock")+sinkBlock("x")+sinkBlock("y"))
	r.play(t) // on the same connection
	other := h.connect(t, "b.sock")
	other.play(t)
	r.close(t)
	other.close(t)
	h.reload(t, sourceBlock("a", "a.sock")+sinkBlock("y"))
	if _, err := net.Dial("unix", filepath.Join(h.dir, "b.sock")); err == nil {
		t.Error("a removed source still accepts connections")
	}
	h.stop()
	l := h.Ledger()
	checkLedger(t, l, 3*captureFrames)
	if len(l.Sinks) != 2 || !l.Sinks[1].Removed || l.Sinks[0].Name != "y" || l.Sinks[0].Delivered == 0 {
		t.Errorf("sinks %+v, want y with something delivered", l.Sinks)
	}
	for _, name := range []string{"x", "y"} {
		if info, err := os.Stat(filepath.Join(h.dir, name+".nmsg")); err != nil || info.Size() == 0 {
			t.Errorf("sink %s left no file: %v", name, err)
		}
	}
}

func TestReloadChangesASourceInPlace(t *testing.T) {
	h := start(t, sourceBlock("a", "a.sock")+sinkBlock("x"))
	r := h.connect(t, "a.sock")
	h.reload(t, `source "dnstap" "a" {
		listen = "unix://DIR/a.sock"
		mode   = "0600"
	}
	`+sinkBlock("x"))
	info, err := os.Stat(filepath.Join(h.dir, "a.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	r.play(t)
	r.close(t)
	h.stop()
	checkLedger(t, h.Ledger(), captureFrames)
}

func TestReloadRenamesASourceInPlace(t *testing.T) {
	h := start(t, sourceBlock("old", "a.sock")+sinkBlock("x"))
	stays := h.connect(t, "a.sock")
	stays.play(t)
	h.reload(t, sourceBlock("new", "a.sock")+sinkBlock("x"))
	r := h.connect(t, "a.sock")
	r.play(t)
	stays.play(t)
	stays.close(t)
	r.close(t)
	h.stop()
	l := h.Ledger()
	checkLedger(t, l, 3*captureFrames)
	read := map[string]uint64{}
	for _, s := range l.Sources {
		read[s.Name] = s.Counts.Read
	}
	if d := cmp.Diff(map[string]uint64{"new": 3 * captureFrames}, read); d != "" {
		t.Errorf("the counts of a renamed source (-want +got):\n%s", d)
	}
}

func TestReloadSwapsNames(t *testing.T) {
	h := start(t, sourceBlock("a", "first.sock")+sourceBlock("b", "second.sock")+sinkBlock("x"))
	r := h.connect(t, "first.sock")
	r.play(t)
	h.reload(t, sourceBlock("b", "first.sock")+sourceBlock("a", "second.sock")+sinkBlock("x"))
	r.play(t)
	r.close(t)
	h.stop()
	l := h.Ledger()
	checkLedger(t, l, 2*captureFrames)
	for _, s := range l.Sources {
		if s.Name != "b" || s.Counts.Read != 2*captureFrames {
			t.Errorf("source %q has read %d, want b to have read all", s.Name, s.Counts.Read)
		}
	}
}

func TestReloadThatFailsChangesNothing(t *testing.T) {
	h := start(t, sourceBlock("a", "a.sock")+sinkBlock("x"))
	r := h.connect(t, "a.sock")
	err := h.Reload(h.config(t, sourceBlock("a", "a.sock")+sourceBlock("b", "no/such/folder.sock")+sinkBlock("y")))
	if err == nil || !strings.Contains(err.Error(), `source "b"`) {
		t.Errorf("got error %v", err)
	}
	err = h.Reload(h.config(t, `source "dnstap" "b" {
		listen = "unix://DIR/a.sock"
		group  = "no-such-group"
	}
	`+sinkBlock("y")))
	if err == nil || !strings.Contains(err.Error(), `no group "no-such-group"`) {
		t.Errorf("got error %v", err)
	}
	r.play(t)
	r.close(t)
	h.connect(t, "a.sock").close(t)
	h.stop()
	l := h.Ledger()
	checkLedger(t, l, captureFrames)
	if len(l.Sinks) != 1 || l.Sinks[0].Name != "x" {
		t.Errorf("sinks %+v, want x alone", l.Sinks)
	}
}

func TestReloadThatFailsAtOneSourceChangesNoOther(t *testing.T) {
	h := start(t, sourceBlock("a", "a.sock")+sourceBlock("b", "b.sock")+sinkBlock("x"))
	err := h.Reload(h.config(t, `source "dnstap" "c" {
		listen = "unix://DIR/a.sock"
		mode   = "0600"
	}
	source "dnstap" "b" {
		listen = "unix://DIR/b.sock"
		group  = "no-such-group"
	}
	`+sinkBlock("x")))
	if err == nil || !strings.Contains(err.Error(), `source "b": `) {
		t.Errorf("got error %v", err)
	}
	if info, err := os.Stat(filepath.Join(h.dir, "a.sock")); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info, err)
	}
	r := h.connect(t, "a.sock")
	r.play(t)
	r.close(t)
	h.stop()
	if l := h.Ledger(); len(l.Sources) != 1 || l.Sources[0].Name != "a" {
		t.Errorf("sources %+v, want a", l.Sources)
	}
}

func TestStopAccountsForPendingQueries(t *testing.T) {
	h := start(t, sourceBlock("a", "a.sock")+sinkBlock("x"))
	r := h.connect(t, "a.sock")
	r.play(t) // and no STOP
	h.stop()
	l := h.Ledger()
	checkLedger(t, l, captureFrames)
	if l.Total.Held != 0 || l.Total.Dropped[transform.Unfinished] != 17 {
		t.Errorf("held %d, unfinished %d, want 0 and 17", l.Total.Held, l.Total.Dropped[transform.Unfinished])
	}
}
