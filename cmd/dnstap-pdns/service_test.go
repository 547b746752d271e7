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
	if said := s.hear(t, "READY=1"); strings.Contains(said, "failed") {
		t.Errorf("got %q", said)
	}
	s.put(t, "c.hcl", fmt.Sprintf(serviceConfig, s.dir)+"log {\n  level = \"loud\"\n}\n")
	s.Process.Signal(syscall.SIGHUP)
	s.hear(t, "RELOADING=1")
	said := s.hear(t, "READY=1")
	if !strings.Contains(said, "\nSTATUS=the reload at ") || !strings.Contains(said, "c.hcl:16 cannot be used; dnstap-pdns check says why") || !strings.Contains(said, "; read ") {
		t.Errorf("got %q", said)
	}
	s.put(t, "c.hcl", fmt.Sprintf(serviceConfig, s.dir))
	s.Process.Signal(syscall.SIGHUP)
	s.hear(t, "RELOADING=1")
	if said := s.hear(t, "READY=1"); strings.Contains(said, "failed") {
		t.Errorf("got %q", said)
	}

	s.Process.Signal(syscall.SIGTERM)
	s.hear(t, "STOPPING=1")
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	<-done
	late, err := net.Dial("unix", s.path("tap.sock"))
	if err != nil {
		t.Errorf("the socket is gone with the sensor: %v", err)
	} else {
		late.Close()
	}
}

// A sensor that hangs gives no sign of life.
func TestStoppedSensorGivesNoSignOfLife(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.start(t)
	s.hear(t, "READY=1")
	s.hear(t, "WATCHDOG=1")
	s.Process.Signal(syscall.SIGSTOP)
	s.notify.SetReadDeadline(time.Now().Add(time.Second))
	heard := 0
	for b := make([]byte, 4096); ; heard++ {
		if _, err := s.notify.Read(b); err != nil {
			break
		}
	}
	if heard > 1 { // one may have been on its way
		t.Errorf("%d signs of life", heard)
	}
	s.Process.Signal(syscall.SIGCONT)
	s.hear(t, "WATCHDOG=1")
}

// What local_names_file holds is in force soon after, without a word; what it cannot
// hold is not, which is said once, and the configuration file beside it is not read.
func TestLocalNamesFileIsWatched(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.start(t)
	s.hear(t, "READY=1")
	s.put(t, "c.hcl", "half edited {")

	s.put(t, "names.new", "one.example\ntwo.example\n")
	if err := os.Rename(s.path("names.new"), s.path("names")); err != nil {
		t.Fatal(err)
	}
	await(t, "the names are read again", func() bool { return strings.Contains(s.logged(t), `msg="local_names_file was read again" names=3`) })

	s.put(t, "names", "one.example\nnot a name\n")
	await(t, "it says that a name is none", func() bool { return strings.Contains(s.hear(t, "WATCHDOG=1"), "STATUS=the reload at ") })
	log := s.logged(t)
	if !strings.Contains(log, "names:2:1: error") || !strings.Contains(log, "the names in force stay") || !strings.Contains(log, "names:2: ") {
		t.Error("no reason is given")
	}
	if err := os.Remove(s.path("names")); err != nil {
		t.Fatal(err)
	}
	await(t, "it says that there is no file", func() bool { return strings.Contains(s.logged(t), "no such file") })

	s.put(t, "names", "one.example\ntwo.example\n") // as is in force
	await(t, "all is well", func() bool { return !strings.Contains(s.hear(t, "WATCHDOG=1"), "failed") })
	log = s.logged(t)
	if got := strings.Count(log, "the names in force stay"); got != 2 {
		t.Errorf("complained %d times, want 2", got)
	}
	if strings.Contains(log, "half edited") || strings.Contains(log, "msg=reloaded") {
		t.Error("the configuration file was read")
	}
}

// A file that is written again is empty first. The names that it held stay until it holds
// some; a reload refuses it too.
func TestEmptyLocalNamesFileKeepsTheNames(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.start(t)
	s.hear(t, "READY=1")
	const complaint = "local_names_file has changed and cannot be used; the names in force stay"

	for i, text := range []string{"", "# generated\n\n"} {
		s.put(t, "names", text)
		await(t, "it says that there is no name", func() bool { return strings.Count(s.logged(t), complaint) == i+1 })
	}
	await(t, "so does the status", func() bool {
		return strings.Contains(s.hear(t, "WATCHDOG=1"), "cannot be used; dnstap-pdns check says why")
	})
	s.put(t, "names", "one.example\n")
	await(t, "all is well", func() bool { return !strings.Contains(s.hear(t, "WATCHDOG=1"), "failed") })
	if log := s.logged(t); strings.Count(log, complaint) != 2 || strings.Contains(log, "names=1") {
		t.Errorf("want 2 complaints and the names in force all the time")
	}

	s.put(t, "names", "")
	s.Process.Signal(syscall.SIGHUP)
	s.hear(t, "RELOADING=1")
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
