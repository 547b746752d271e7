package sensor

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// managerSocket returns a listening socket that the test owns, as a service manager does.
func managerSocket(t *testing.T, network, address string) (*os.File, net.Addr) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, l.Addr()
}

// TestSourceListensOnInheritedSocket removes the source and adds it again: a client that
// connected in between is then served.
func TestSourceListensOnInheritedSocket(t *testing.T) {
	h := newTestSensor(t)
	path := filepath.Join(h.dir, "a.sock")
	f, _ := managerSocket(t, "unix", path)
	if err := os.Chmod(path, 0o622); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	with := sourceBlock("a", "a.sock") + sourceBlock("b", "b.sock") + sinkBlock("x")
	h.run(t, with, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Stdout: io.Discard, Inherited: []*os.File{f}})
	r := h.connect(t, "a.sock")
	r.play(t)
	r.close(t)
	h.reload(t, sourceBlock("b", "b.sock")+sinkBlock("x"))
	if !log.has("no source listens on an inherited socket") {
		t.Errorf("the unused socket is not logged: %s", &log)
	}
	if !log.has(`or_drop_in=/etc/systemd/system/dnstap-pdns.socket.d/listen.conf with="[Socket]\nListenStream=\nListenStream=` + filepath.Join(h.dir, "b.sock")) {
		t.Errorf("the drop-in for the other source is not logged: %s", &log)
	}
	early, err := net.Dial("unix", path) // waits in the socket's queue
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	h.reload(t, with)
	r = h.connect(t, "a.sock")
	r.play(t)
	r.close(t)
	h.stop()
	checkLedger(t, h.Ledger(), 2*captureFrames)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o622 {
		t.Errorf("the mode of the socket changed: %v, %v", info, err)
	}
	late, err := net.Dial("unix", path)
	if err != nil {
		t.Errorf("the socket does not listen after the sensor ended: %v", err)
	} else {
		late.Close()
	}
}

func TestSourceListensOnInheritedTCPSocket(t *testing.T) {
	h := newTestSensor(t)
	f, addr := managerSocket(t, "tcp", "127.0.0.1:0")
	var log logBuffer
	h.run(t, "source \"dnstap\" \"a\" { listen = \"tcp://"+addr.String()+"\" }\n"+sinkBlock("x"),
		Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Stdout: io.Discard, Inherited: []*os.File{f}})
	if !log.has("listening on an inherited socket") || log.has("no source listens") {
		t.Errorf("logged %s", &log)
	}
}

// TestSourceWithoutItsSocketNamesTheDropIn: the service manager passed another socket, and the
// source cannot make its own. If every socket has a source, or the error concerns TCP, the error
// remains as it is.
func TestSourceWithoutItsSocketNamesTheDropIn(t *testing.T) {
	h := newTestSensor(t)
	f, _ := managerSocket(t, "unix", filepath.Join(h.dir, "other.sock"))
	busy, addr := managerSocket(t, "tcp", "127.0.0.1:0")
	defer busy.Close()
	denied := "source \"dnstap\" \"b\" {\n listen = \"unix://" + h.dir + "/missing/b.sock\"\n owner = \"root\"\n mode = \"0600\"\n}\n"
	for _, tt := range []struct {
		name, sources string
		explained     bool
	}{
		{"a socket without a source", denied, true},
		{"every socket with a source", sourceBlock("o", "other.sock") + denied, false},
		{"a TCP address in use", "source \"dnstap\" \"t\" {\n listen = \"tcp://" + addr.String() + "\"\n}\n" + denied, false},
	} {
		c := h.config(t, tt.sources+sinkBlock("x"))
		_, cause := New(c, Options{Log: slog.New(slog.DiscardHandler), Inherited: []*os.File{f}})
		if cause == nil {
			t.Fatalf("%s: no error", tt.name)
		}
		err := ExplainSockets(cause, []*os.File{f}, c.Sources)
		if !errors.Is(err, cause) {
			t.Errorf("%s: %v does not wrap %v", tt.name, err, cause)
		}
		want := h.dir + "/other.sock, where no source listens. Write this to /etc/systemd/system/dnstap-pdns.socket.d/listen.conf:\n\n" +
			"[Socket]\nListenStream=\nListenStream=" + h.dir + "/missing/b.sock\nSocketUser=root\nSocketMode=0600\n\n"
		if _, ok := errors.AsType[*SocketUnitError](err); ok != tt.explained || strings.Contains(err.Error(), want) != tt.explained {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestInheritedFilesThatDoNotListenAreAnError(t *testing.T) {
	h := newTestSensor(t)
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer w.Close()
	datagrams, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(h.dir, "d.sock"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	d, err := datagrams.File()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for f, want := range map[*os.File]string{pipe: "non-socket", d: "does not listen"} {
		_, err := New(h.config(t, sinkBlock("x")), Options{Log: slog.New(slog.DiscardHandler), Inherited: []*os.File{f}})
		if err == nil || !strings.Contains(err.Error(), "inherited") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBuffer) has(what string) bool { return strings.Contains(l.String(), what) }
