package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A servedSensor is the sensor as a service manager runs it, of which the test has the part.
type servedSensor struct {
	*exec.Cmd
	dir    string
	notify *net.UnixConn
	log    string // file
}

const serviceConfig = `
source "dnstap" "a" {
  listen = "unix://%[1]s/tap.sock"
}
sink "nmsg" "files" {
  to = "file://%[1]s/%%Y%%m%%dT%%H%%M%%S.nmsg"
}
scrub {
  local_names      = ["corp.example"]
  local_names_file = "names"
}
admin {
  listen = ""
}
`

func (s *servedSensor) path(name string) string { return filepath.Join(s.dir, name) }

func (s *servedSensor) put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *servedSensor) logged(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// newService is one that has not been started.
func newService(t *testing.T) *servedSensor {
	t.Helper()
	dir, err := os.MkdirTemp("", "service")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &servedSensor{dir: dir, log: filepath.Join(dir, "log")}
	s.put(t, "c.hcl", fmt.Sprintf(serviceConfig, dir))
	s.put(t, "names", "one.example\n")
	if s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.notify.Close() })
	return s
}

// start hands the sensor sockets as systemd does: sh is the process that becomes it, and
// whose number LISTEN_PID has to be.
func (s *servedSensor) start(t *testing.T, sockets ...*os.File) {
	t.Helper()
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.Cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ exec dnstap-pdns run -c "$0"`, s.path("c.hcl"))
	s.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.path("notify"), "WATCHDOG_USEC=600000", fmt.Sprint("LISTEN_FDS=", len(sockets)))
	s.ExtraFiles, s.Stderr = sockets, log
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Process.Kill()
		s.Wait()
		if t.Failed() {
			t.Logf("the sensor said:\n%s", s.logged(t))
		}
	})
}

// hear returns the next of what the sensor says that begins so.
func (s *servedSensor) hear(t *testing.T, begin string) string {
	t.Helper()
	b := make([]byte, 4096)
	for {
		s.notify.SetReadDeadline(time.Now().Add(patience))
		n, err := s.notify.Read(b)
		if err != nil {
			t.Fatalf("waiting for %q: %v", begin, err)
		}
		if said := string(b[:n]); strings.HasPrefix(said, begin) {
			return said
		}
	}
}

// The service manager hears of the start, of signs of life, of reloads and what became
// of them, and of the stop; the socket that it handed over outlives the sensor.
func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	s := newService(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path("tap.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	early, err := net.Dial("unix", s.path("tap.sock")) // before there is a sensor
	if err != nil {
		t.Fatal(err)
	}
	early.Close()

	s.start(t, socket)
	s.hear(t, "READY=1\nSTATUS=read 0 messages, made 0 records; sink files delivered 0")
	if log := s.logged(t); !strings.Contains(log, "listening on an inherited socket") || !strings.Contains(log, "msg=started") {
		t.Errorf("ready, and has said:\n%s", log)
	}
	s.hear(t, "WATCHDOG=1\nSTATUS=read 0 messages")
	fed := crashTest{dir: s.dir}
	done := make(chan struct{})
	go func() {
		defer close(done)
		fed.feed(t)
	}()
	await(t, "it counts what comes", func() bool { return !strings.Contains(s.hear(t, "WATCHDOG=1"), "read 0 messages") })

	s.Process.Signal(syscall.SIGHUP)
	s.hear(t, "RELOADING=1\nMONOTONIC_USEC=")
	if said := s.hear(t, "READY=1"); !strings.Contains(said, "failed") {
		t.Errorf("a reload without names: got %q", said)
	}
	if log := s.logged(t); !strings.Contains(log, "error: local_names_file: the file holds no name") ||
		!strings.Contains(log, "reload failed; the configuration in force stays") {
		t.Error("a reload without names does not say that it failed")
	}
	s.put(t, "names", "two.example\n")
	await(t, "names again", func() bool { return strings.Contains(s.logged(t), `msg="local_names_file was read again" names=2`) })
}

// Names that have been mended are in force, but the configuration that SIGHUP was to bring
// is not: that is told of with its own time until a reload succeeds.
func TestReloadThatNamesFailedIsToldOfUntilTheNext(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.start(t)
	s.hear(t, "READY=1")
	hangUp := func() string {
		s.Process.Signal(syscall.SIGHUP)
		s.hear(t, "RELOADING=1")
		return s.hear(t, "READY=1")
	}
	s.put(t, "names", "a..b\n")
	said, _, _ := strings.Cut(hangUp(), ";")
	failed, ok := strings.CutPrefix(said, "READY=1\nSTATUS=the reload at ")
	if !ok || !strings.Contains(failed, "names:1 cannot be used") {
		t.Fatalf("got %q", said)
	}
	s.put(t, "names", "two.example\n")
	await(t, "the names are read again", func() bool { return strings.Contains(s.logged(t), `msg="local_names_file was read again" names=2`) })
	for b := make([]byte, 4096); ; { // what was said before it
		s.notify.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // less than between signs of life
		if _, err := s.notify.Read(b); err != nil {
			break
		}
	}
	if said := s.hear(t, "WATCHDOG=1"); !strings.HasPrefix(said, "WATCHDOG=1\nSTATUS=the reload at "+failed) {
		t.Errorf("got %q, want the reload at %s", said, failed)
	}
	if said := hangUp(); strings.Contains(said, "failed") {
		t.Errorf("got %q", said)
	}
}
