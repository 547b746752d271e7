package service

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A manager is the end of the notify socket at a service manager.
type manager struct{ conn *net.UnixConn }

func startManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{conn}
}

// next returns the next notice.
func (m manager) next(t *testing.T) string {
	t.Helper()
	b := make([]byte, 4096)
	m.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := m.conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestStartAndReload(t *testing.T) {
	m := startManager(t)
	n := New(slog.New(slog.DiscardHandler))
	n.Ready("all is well\nREADY=0")
	if got, want := m.next(t), "READY=1\nSTATUS=all is well READY=0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	n.Reloading()
	if got := m.next(t); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*$`).MatchString(got) {
		t.Errorf("got %q", got)
	}
}

// TestWatchdogNoticesNeedAStatus: no notices are sent while the sensor returns no status.
func TestWatchdogNoticesNeedAStatus(t *testing.T) {
	m := startManager(t)
	t.Setenv("WATCHDOG_USEC", "30000")
	ctx, stop := context.WithCancel(context.Background())
	answer := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		New(slog.New(slog.DiscardHandler)).Keep(ctx, func() string { return <-answer })
	}()
	for range 3 {
		answer <- "alive"
		if got, want := m.next(t), "WATCHDOG=1\nSTATUS=alive"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	m.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := m.conn.Read(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes while the status hangs", n)
	}
	close(answer)
	m.next(t)
	stop()
	<-done
	for {
		got := m.next(t)
		if got == "STOPPING=1" {
			return
		}
		if !strings.HasPrefix(got, "WATCHDOG=1") {
			t.Fatalf("got %q", got)
		}
	}
}

func TestStatusIsSentWithoutAWatchdog(t *testing.T) {
	m := startManager(t)
	n := New(slog.New(slog.DiscardHandler))
	if n.watched || n.every != statusInterval {
		t.Errorf("every %s, watched %v", n.every, n.watched)
	}
	n.every = time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Keep(ctx, func() string { return "well" })
	}()
	if got, want := m.next(t), "STATUS=well"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	stop()
	<-done
}

func TestFailuresToNotifyAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	n := New(slog.New(slog.NewTextHandler(&log, nil)))
	n.Ready("")
	if log.Len() > 0 {
		t.Errorf("without a service manager: %s", &log)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	n.Ready("")
	n.Ready("")
	if got := strings.Count(log.String(), "cannot be notified"); got != 1 {
		t.Errorf("logged %d times, want once: %s", got, &log)
	}
	t.Setenv("WATCHDOG_USEC", "often")
	if New(n.log); !strings.Contains(log.String(), "will not be notified") {
		t.Errorf("logged %s", &log)
	}
}
