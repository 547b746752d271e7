package collector

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A running source creates its socket file again. Connections from before stay open.
func TestRemovedSocketIsCreatedAgain(t *testing.T) {
	cfg := unixConfig(t)
	r := startSource(t, cfg)
	before := r.dial(t)
	send(t, before, join(start, sampleFrame()))
	eventually(t, "the connection is served", func() bool { m, _ := r.received(); return m == 1 })
	if err := os.Remove(cfg.Address); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is there again", func() bool { _, err := os.Lstat(cfg.Address); return err == nil })
	eventually(t, "that is counted", func() bool { return r.Stats().SocketsRestored == 1 })
	send(t, r.dial(t), join(start, sampleFrame()))
	send(t, before, sampleFrame())
	eventually(t, "both connections are served", func() bool { m, _ := r.received(); return m == 3 })
	if p := r.Problem(); p != (SocketProblem{}) || r.log.count("level=WARN") != 1 || r.log.count("it was created again") != 1 {
		t.Errorf("problem %v; one warning is due:\n%s", p, r.log.String())
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(cfg.Address); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was left: %v", err)
	}
}

func TestSocketThatCannotBeCreatedAgain(t *testing.T) {
	cfg := unixConfig(t)
	cfg.Address = filepath.Join(filepath.Dir(cfg.Address), "run", "dnstap.sock")
	folder := filepath.Dir(cfg.Address)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	s, err := Listen(cfg, nil, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.look() {
		t.Error("a problem where there is none")
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if s.look() {
			t.Error("no problem")
		}
		p := s.Problem()
		if !strings.Contains(p.Says, "cannot be created again: there is no directory "+folder) || p.Do == "" {
			t.Errorf("got %+v", p)
		}
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if !s.look() {
		t.Error("not created again")
	}
	if p := s.Problem(); p != (SocketProblem{}) || s.Stats().SocketsRestored != 1 {
		t.Errorf("got %+v, %v", p, s.Stats())
	}
	if log.count("level=WARN") != 2 || log.count("resolvers cannot connect") != 1 || log.count("it was created again") != 1 {
		t.Errorf("one line for each change is due:\n%s", log.String())
	}
}

// The file of an inherited socket is not created again, only reported.
func TestInheritedSocketIsWatched(t *testing.T) {
	cfg := unixConfig(t)
	l, err := net.Listen("unix", cfg.Address)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	var log logBuffer
	s, err := ListenOn(l, cfg, nil, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.look() || s.Problem() != (SocketProblem{}) {
		t.Error("a problem where there is none")
	}
	moved := cfg.Address + ".moved"
	if err := os.Rename(cfg.Address, moved); err != nil {
		t.Fatal(err)
	}
	if s.look() {
		t.Error("no problem")
	}
	if p := s.Problem(); !strings.Contains(p.Says, "removed or replaced") || !strings.Contains(p.Do, "socket unit") {
		t.Errorf("got %+v", p)
	}
	if _, err := os.Lstat(cfg.Address); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was created: %v", err)
	}
	if err := os.Rename(moved, cfg.Address); err != nil {
		t.Fatal(err)
	}
	if p := s.Problem(); !s.look() || p == (SocketProblem{}) {
		t.Error("the problem did not stay until the next look")
	}
	if p := s.Problem(); p != (SocketProblem{}) || s.Stats().SocketsRestored != 0 {
		t.Errorf("problem %v, %+v", p, s.Stats())
	}
	if log.count("resolvers cannot connect") != 1 || log.count("resolvers can connect again") != 1 {
		t.Errorf("two lines are due:\n%s", log.String())
	}
}

func TestInheritedSocketWithoutAFileIsNotWatched(t *testing.T) {
	cfg := unixConfig(t)
	l, err := net.Listen("unix", cfg.Address)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cfg.Address); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	s, err := ListenOn(l, cfg, nil, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.inherited != nil || log.count("is not watched") != 1 {
		t.Errorf("got %v:\n%s", s.inherited, log.String())
	}
}
