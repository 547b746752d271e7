package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestReadyAndStatusFollowTheSinks makes the only sink fail, and lets it work again.
func TestReadyAndStatusFollowTheSinks(t *testing.T) {
	t.Parallel()
	one := unixSource + exactTimes + fileSink("first", "dnsqr") + "admin {}\n"
	s := startSensor(t, lab.NewNamespace(t), one)
	s.awaitReady(t, http.StatusOK, "ready")

	folder := filepath.Join(s.dir, "first")
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	nc := dialTap(t, s)
	sendCapture(t, nc)
	nc.Close()
	const failing = `warning: sink "first": failing since `
	s.awaitReady(t, http.StatusServiceUnavailable, `sink "first" fails`)
	s.checkStatus(t, failing)
	if status, _ := s.request(t, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}

	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s.awaitReady(t, http.StatusOK, "ready")
	if text := s.status(t); strings.Contains(text, failing) {
		t.Errorf("the sink works again, and status says\n%s", text)
	}
	s.stop(t)
}

// TestReadyWhileOneOfSeveralSinksFails: status warns of the other.
func TestReadyWhileOneOfSeveralSinksFails(t *testing.T) {
	t.Parallel()
	s := startSensor(t, lab.NewNamespace(t), unixSource+exactTimes+fileSink("first", "dnsqr")+fileSink("second", "dnsqr")+"admin {}\n")
	if err := os.Remove(filepath.Join(s.dir, "first")); err != nil {
		t.Fatal(err)
	}
	nc := dialTap(t, s)
	sendCapture(t, nc)
	nc.Close()
	await(t, "status warns", func() bool { return strings.Contains(s.status(t), `warning: sink "first": failing since `) })
	s.awaitReady(t, http.StatusOK, "ready")
	s.Kill()
}

// awaitReady returns when /readyz gives that status and text.
func (s *sensor) awaitReady(t *testing.T, status int, text string) {
	t.Helper()
	await(t, "/readyz gives "+text, func() bool {
		got, body := s.request(t, "/readyz")
		return got == status && strings.TrimSpace(string(body)) == text
	})
}
