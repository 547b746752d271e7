package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// startWithoutC starts a sensor without -c, in a mount namespace in which its own directory is
// /etc/dnstap-pdns and in which the built-in configuration can write.
func (s *sensor) startWithoutC(t *testing.T) {
	t.Helper()
	s.Process = s.namespace.Start(t, "sensor", exec.Command("unshare", "--mount", "sh", "-ec", `
mount -t tmpfs none /etc && ln -s "$1" /etc/dnstap-pdns
mount -t tmpfs none /run && mkdir /run/dnstap-pdns
mount -t tmpfs none /var/lib && mkdir /var/lib/dnstap-pdns
exec "$0" run`, sensorBinary, s.dir))
	await(t, "the sensor's start", func() bool { return len(s.linesWith(t, "msg=started")) > 0 })
}

// linesWith returns the log lines that contain a text; the built-in configuration logs no JSON.
func (s *sensor) linesWith(t *testing.T, text string) []string {
	t.Helper()
	return slices.DeleteFunc(strings.Split(s.Log(t), "\n"), func(line string) bool { return !strings.Contains(line, text) })
}

// sendHUP sends SIGHUP and returns the log line with the outcome.
func (s *sensor) sendHUP(t *testing.T) string {
	t.Helper()
	const outcome = "reload" // "reloaded" or "reload failed"
	before := len(s.linesWith(t, outcome))
	s.Signal(t, syscall.SIGHUP)
	await(t, "the reload", func() bool { return len(s.linesWith(t, outcome)) > before })
	return s.linesWith(t, outcome)[before]
}

// TestReloadWithoutTheFileKeepsWhatIsInForce checks that a missing file is an error once a
// file is in force, so that the built-in configuration never replaces it. Before that, a new
// file is loaded.
func TestReloadWithoutTheFileKeepsWhatIsInForce(t *testing.T) {
	t.Parallel()
	config := unixSource + fileSink("first", "dnsqr") + fileSink("second", "dnsqr") // the built-in one has one sink
	const ours, builtIn, failed = "reloaded sources=1 sinks=2", "reloaded sources=1 sinks=1", "reload failed; the configuration in force stays"
	for name, fileAtStart := range map[string]bool{"a file at the start": true, "no file at the start": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSensor(t, lab.NewNamespace(t))
			s.config = filepath.Join(s.dir, "dnstap-pdns.hcl")
			wants := func(what, want string) {
				t.Helper()
				if line := s.sendHUP(t); !strings.Contains(line, want) {
					t.Errorf("%s: got %s, want %s", what, line, want)
				}
			}
			do := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			if fileAtStart {
				s.configure(t, config)
			}
			s.startWithoutC(t)
			if !fileAtStart {
				wants("still no file", builtIn)
				s.configure(t, config+"sink {")
				wants("a broken file has appeared", failed)
				do(os.Remove(s.config))
				wants("no file again", builtIn)
				s.configure(t, config)
				wants("a file has appeared", ours)
			}
			do(os.Rename(s.config, s.config+".away"))
			wants("the file is missing", failed)
			do(os.Symlink("nowhere", s.config))
			wants("a dangling link", failed)
			do(os.Rename(s.config+".away", s.config))
			wants("the file is back", ours)
			s.Stop(t)
			if err := s.Wait(0); err != nil {
				t.Error(err)
			}
		})
	}
}
