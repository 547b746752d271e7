package sensor

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// inherit makes a socket as a service manager does, which stays its owner.
func inherit(t *testing.T, network, address string) (*os.File, net.Addr) {
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

// A source takes the socket that is there for it, gives it back when it goes, and takes
// it again when it comes back; who connected meanwhile is served then.
func TestSourceListensOnInheritedSocket(t *testing.T) {
	h := newHouse(t)
	path := filepath.Join(h.dir, "a.sock")
	f, _ := inherit(t, "unix", path)
	if err := os.Chmod(path, 0o622); err != nil {
		t.Fatal(err)
	}
	var log lines
	with := sourceBlock("a", "a.sock") + sourceBlock("b", "b.sock") + sinkBlock("x")
	h.run(t, with, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Stdout: io.Discard, Inherited: []*os.File{f}})
	r := h.connect(t, "a.sock")
	r.play(t)
	r.close(t)
	h.reload(t, sourceBlock("b", "b.sock")+sinkBlock("x"))
	if !log.has("an inherited socket belongs to no source") {
		t.Errorf("nothing is said of the idle socket: %s", &log)
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
	balanced(t, h.Ledger(), 2*captureFrames)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o622 {
		t.Errorf("the socket is not as it was made: %v, %v", info, err)
	}
	late, err := net.Dial("unix", path)
	if err != nil {
		t.Errorf("the socket does not outlive the sensor: %v", err)
	} else {
		late.Close()
	}
}

func TestSourceListensOnInheritedTCPSocket(t *testing.T) {
	h := newHouse(t)
	f, addr := inherit(t, "tcp", "127.0.0.1:0")
	var log lines
	h.run(t, "source \"dnstap\" \"a\" { listen = \"tcp://"+addr.String()+"\" }\n"+sinkBlock("x"),
		Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Stdout: io.Discard, Inherited: []*os.File{f}})
	if !log.has("listening on an inherited socket") || log.has("belongs to no source") {
		t.Errorf("said %s", &log)
	}
}

func TestWhatDoesNotListenIsNotInherited(t *testing.T) {
	h := newHouse(t)
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

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) has(what string) bool { return strings.Contains(l.String(), what) }
