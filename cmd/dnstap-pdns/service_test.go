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

// A serviceSensor is a sensor that the test runs like a service manager.
type serviceSensor struct {
	*exec.Cmd
	dir    string
	notify *net.UnixConn
	log    string // path

	journal bool // the environment says that standard error is connected to the journal
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

func (s *serviceSensor) path(name string) string { return filepath.Join(s.dir, name) }

func (s *serviceSensor) put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *serviceSensor) logged(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// newService returns a sensor that has not been started.
func newService(t *testing.T) *serviceSensor {
	t.Helper()
	dir, err := os.MkdirTemp("", "service")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &serviceSensor{dir: dir, log: filepath.Join(dir, "log")}
	s.put(t, "c.hcl", fmt.Sprintf(serviceConfig, dir))
	s.put(t, "names", "one.example\n")
	if s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.notify.Close() })
	return s
}

// start starts the sensor with sockets as systemd does. LISTEN_PID must be its process ID, so sh
// sets it and then executes the sensor.
func (s *serviceSensor) start(t *testing.T, sockets ...*os.File) {
	t.Helper()
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.Cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ exec dnstap-pdns run -c "$0"`, s.path("c.hcl"))
	s.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.path("notify"), "WATCHDOG_USEC=600000", fmt.Sprint("LISTEN_FDS=", len(sockets)))
	s.ExtraFiles, s.Stderr = sockets, log
	if s.journal {
		var at syscall.Stat_t
		if err := syscall.Fstat(int(log.Fd()), &at); err != nil {
			t.Fatal(err)
		}
		s.Env = append(s.Env, fmt.Sprintf("JOURNAL_STREAM=%d:%d", at.Dev, at.Ino))
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Process.Kill()
		s.Wait()
		if t.Failed() {
			t.Logf("the log of the sensor:\n%s", s.logged(t))
		}
	})
}

// next returns the next notice with that prefix.
func (s *serviceSensor) next(t *testing.T, prefix string) string {
	t.Helper()
	b := make([]byte, 4096)
	for {
		s.notify.SetReadDeadline(time.Now().Add(patience))
		n, err := s.notify.Read(b)
		if err != nil {
			t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if notice := string(b[:n]); strings.HasPrefix(notice, prefix) {
			return notice
		}
	}
}

// TestNoticesToTheServiceManager: of the start, the watchdog, reloads with their results, and the
// stop. The inherited socket still listens after the sensor ended.
func TestNoticesToTheServiceManager(t *testing.T) {
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
	s.next(t, "READY=1\nSTATUS=read 0 messages, made 0 records; sink files delivered 0")
	if log := s.logged(t); !strings.Contains(log, "listening on an inherited socket") || !strings.Contains(log, "msg=started") {
		t.Errorf("ready, with the log:\n%s", log)
	}
	s.next(t, "WATCHDOG=1\nSTATUS=read 0 messages")
	feeder := crashTest{dir: s.dir}
	done := make(chan struct{})
	go func() {
		defer close(done)
		feeder.feed(t)
	}()
	await(t, "the status counts messages", func() bool { return !strings.Contains(s.next(t, "WATCHDOG=1"), "read 0 messages") })

	s.Process.Signal(syscall.SIGHUP)
	s.next(t, "RELOADING=1\nMONOTONIC_USEC=")
	if notice := s.next(t, "READY=1"); strings.Contains(notice, "failed") {
		t.Errorf("got %q", notice)
	}
	s.put(t, "c.hcl", fmt.Sprintf(serviceConfig, s.dir)+"log {\n  level = \"loud\"\n}\n")
	s.Process.Signal(syscall.SIGHUP)
	s.next(t, "RELOADING=1")
	notice := s.next(t, "READY=1")
	if !strings.Contains(notice, "\nSTATUS=the reload at ") || !strings.Contains(notice, "c.hcl:16 cannot be used; dnstap-pdns check says why") || !strings.Contains(notice, "; read ") {
		t.Errorf("got %q", notice)
	}
	s.put(t, "c.hcl", fmt.Sprintf(serviceConfig, s.dir))
	s.Process.Signal(syscall.SIGHUP)
	s.next(t, "RELOADING=1")
	if notice := s.next(t, "READY=1"); strings.Contains(notice, "failed") {
		t.Errorf("got %q", notice)
	}

	s.Process.Signal(syscall.SIGTERM)
	s.next(t, "STOPPING=1")
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	<-done
	late, err := net.Dial("unix", s.path("tap.sock"))
	if err != nil {
		t.Errorf("the socket does not listen after the sensor ended: %v", err)
	} else {
		late.Close()
	}
}

// TestHangingSensorSendsNoWatchdogNotice stops the process by SIGSTOP.
func TestHangingSensorSendsNoWatchdogNotice(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.start(t)
	s.next(t, "READY=1")
	s.next(t, "WATCHDOG=1")
	s.Process.Signal(syscall.SIGSTOP)
	s.notify.SetReadDeadline(time.Now().Add(time.Second))
	notices := 0
	for b := make([]byte, 4096); ; notices++ {
		if _, err := s.notify.Read(b); err != nil {
			break
		}
	}
	if notices > 1 { // one may have been sent before
		t.Errorf("%d notices", notices)
	}
	s.Process.Signal(syscall.SIGCONT)
	s.next(t, "WATCHDOG=1")
}

// TestLocalNamesFileIsReloaded: changed names come into force by themselves. Invalid ones do not,
// and are logged once. The configuration file is not read.
func TestLocalNamesFileIsReloaded(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.start(t)
	s.next(t, "READY=1")
	s.put(t, "c.hcl", "half edited {")

	s.put(t, "names.new", "one.example\ntwo.example\n")
	if err := os.Rename(s.path("names.new"), s.path("names")); err != nil {
		t.Fatal(err)
	}
	await(t, "the names are read again", func() bool { return strings.Contains(s.logged(t), `msg="local_names_file was read again" names=3`) })

	s.put(t, "names", "one.example\nnot a name\n")
	await(t, "the status reports the invalid name", func() bool { return strings.Contains(s.next(t, "WATCHDOG=1"), "STATUS=the reload at ") })
	log := s.logged(t)
	if !strings.Contains(log, "names:2:1: error") || !strings.Contains(log, "the names in force stay") || !strings.Contains(log, "names:2: ") {
		t.Error("the log has no reason")
	}
	if err := os.Remove(s.path("names")); err != nil {
		t.Fatal(err)
	}
	await(t, "the log reports that there is no file", func() bool { return strings.Contains(s.logged(t), "no such file") })

	s.put(t, "names", "one.example\ntwo.example\n") // the names in force
	await(t, "all is well", func() bool { return !strings.Contains(s.next(t, "WATCHDOG=1"), "failed") })
	log = s.logged(t)
	if got := strings.Count(log, "the names in force stay"); got != 2 {
		t.Errorf("logged %d times, want 2", got)
	}
	if strings.Contains(log, "half edited") || strings.Contains(log, "msg=reloaded") {
		t.Error("the configuration file was read")
	}
}

// TestEmptyLocalNamesFileKeepsTheNames: a file that is rewritten is empty first. The old names stay
// in force until it has names. A reload fails with an empty file.
func TestEmptyLocalNamesFileKeepsTheNames(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.start(t)
	s.next(t, "READY=1")
	const message = "local_names_file has changed and cannot be used; the names in force stay"

	for i, text := range []string{"", "# generated\n\n"} {
		s.put(t, "names", text)
		await(t, "the log reports that there is no name", func() bool { return strings.Count(s.logged(t), message) == i+1 })
	}
	await(t, "the status reports it", func() bool {
		return strings.Contains(s.next(t, "WATCHDOG=1"), "cannot be used; dnstap-pdns check says why")
	})
	s.put(t, "names", "one.example\n")
	await(t, "all is well", func() bool { return !strings.Contains(s.next(t, "WATCHDOG=1"), "failed") })
	if log := s.logged(t); strings.Count(log, message) != 2 || strings.Contains(log, "names=1") {
		t.Errorf("want 2 log lines, and the same names in force")
	}

	s.put(t, "names", "")
	s.Process.Signal(syscall.SIGHUP)
	s.next(t, "RELOADING=1")
	if notice := s.next(t, "READY=1"); !strings.Contains(notice, "failed") {
		t.Errorf("a reload without names: got %q", notice)
	}
	if log := s.logged(t); !strings.Contains(log, "error: local_names_file: the file contains no name") ||
		!strings.Contains(log, "reload failed; the configuration in force stays") {
		t.Error("a reload without names does not log that it failed")
	}
	s.put(t, "names", "two.example\n")
	await(t, "the names are read again", func() bool { return strings.Contains(s.logged(t), `msg="local_names_file was read again" names=2`) })
}

// TestReloadThatFailedByNamesIsReportedUntilTheNext: after the names are fixed they come into force,
// but not the configuration of the failed reload. Its status stays until a reload succeeds.
func TestReloadThatFailedByNamesIsReportedUntilTheNext(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.start(t)
	s.next(t, "READY=1")
	hangUp := func() string {
		s.Process.Signal(syscall.SIGHUP)
		s.next(t, "RELOADING=1")
		return s.next(t, "READY=1")
	}
	s.put(t, "names", "a..b\n")
	notice, _, _ := strings.Cut(hangUp(), ";")
	failed, ok := strings.CutPrefix(notice, "READY=1\nSTATUS=the reload at ")
	if !ok || !strings.Contains(failed, "names:1 cannot be used") {
		t.Fatalf("got %q", notice)
	}
	s.put(t, "names", "two.example\n")
	await(t, "the names are read again", func() bool { return strings.Contains(s.logged(t), `msg="local_names_file was read again" names=2`) })
	for b := make([]byte, 4096); ; { // earlier notices
		s.notify.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // less than the interval of notices
		if _, err := s.notify.Read(b); err != nil {
			break
		}
	}
	if notice := s.next(t, "WATCHDOG=1"); !strings.HasPrefix(notice, "WATCHDOG=1\nSTATUS=the reload at "+failed) {
		t.Errorf("got %q, want the reload at %s", notice, failed)
	}
	if notice := hangUp(); strings.Contains(notice, "failed") {
		t.Errorf("got %q", notice)
	}
}
