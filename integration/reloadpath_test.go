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

// startWithoutC starts a sensor that is told of no configuration, in a file system in
// which its own directory is /etc/dnstap-pdns, and that has room for the built-in one.
func (s *sensor) startWithoutC(t *testing.T) {
	t.Helper()
	s.Process = s.namespace.Start(t, "sensor", exec.Command("unshare", "--mount", "sh", "-ec", `
mount -t tmpfs none /etc && ln -s "$1" /etc/dnstap-pdns
mount -t tmpfs none /run && mkdir /run/dnstap-pdns
mount -t tmpfs none /var/lib && mkdir /var/lib/dnstap-pdns
exec "$0" run`, sensorBinary, s.dir))
	await(t, "the sensor's start", func() bool { return len(s.said(t, "msg=started")) > 0 })
}

// said returns the lines of the log that hold a text: the built-in configuration logs no
// JSON.
func (s *sensor) said(t *testing.T, text string) []string {
	t.Helper()
	return slices.DeleteFunc(strings.Split(s.Log(t), "\n"), func(line string) bool { return !strings.Contains(line, text) })
}

// hangUp sends SIGHUP, and returns the line that tells what became of it.
func (s *sensor) hangUp(t *testing.T) string {
	t.Helper()
	const outcome = "reload" // ed, or failed
	before := len(s.said(t, outcome))
	s.Signal(t, syscall.SIGHUP)
	await(t, "the reload", func() bool { return len(s.said(t, outcome)) > before })
	return s.said(t, outcome)[before]
}

// Once a file is in force, its absence is an error as any other: nothing is scrubbed by
// the built-in configuration. Before, a file that appears is what an operator means.
func TestReloadWithoutTheFileKeepsWhatIsInForce(t *testing.T) {
	t.Parallel()
	config := unixSource + fileSink("first", "dnsqr") + fileSink("second", "dnsqr") // the built-in one has one sink
	const ours, builtIn, failed = "reloaded sources=1 sinks=2", "reloaded sources=1 sinks=1", "reload failed; the configuration in force stays"
	for name, fileAtStart := range map[string]bool{"a file at the start": true, "none at the start": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSensor(t, lab.NewNamespace(t))
			s.config = filepath.Join(s.dir, "dnstap-pdns.hcl")
			wants := func(what, want string) {
				t.Helper()
				if said := s.hangUp(t); !strings.Contains(said, want) {
					t.Errorf("%s: got %s, want %s", what, said, want)
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
			wants("the file is away", failed)
			do(os.Symlink("nowhere", s.config))
			wants("a link to nowhere", failed)
			do(os.Rename(s.config+".away", s.config))
			wants("the file is back", ours)
			s.Stop(t)
			if err := s.Wait(0); err != nil {
				t.Error(err)
			}
		})
	}
}
