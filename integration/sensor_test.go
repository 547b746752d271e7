package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	// stopTime is the documented limit until the sensor has flushed everything and ended.
	stopTime = 5 * time.Second
	waitTime = 30 * time.Second

	// slack is how much longer a single measured time may be on a busy machine.
	slack = 5 * time.Second

	// site is the policy of a site with an internal zone.
	site = `
scrub {
  local_names    = ["corp.example"]
  local_networks = ["10.0.0.0/8"]
}
` + jsonLog

	// jsonLog makes the log readable for tests.
	jsonLog = `
log {
  level  = "debug"
  format = "json"
}
`
)

// exactTimes is site without rounding of times, so that a repeated query can be distinguished
// from the first.
var exactTimes = strings.Replace(site, "scrub {", "scrub {\n  time_resolution = \"1ns\"", 1)

// sensor is a sensor process. It may be started several times; Log returns the log of the
// latest process.
type sensor struct {
	*lab.Process
	namespace *lab.Namespace
	dir       string // contains the configuration, sockets and a folder for each file sink
	config    string
}

// tapPath is the path of the sensor's Unix socket.
func (s *sensor) tapPath() string { return filepath.Join(s.dir, "tap.sock") }

// unixSource is the source of most tests. DIR is replaced by the sensor's directory.
const unixSource = `
source "dnstap" "tap" {
  listen = "unix://DIR/tap.sock"
  mode   = "0666"
}
`

// fileSink is the sink of most tests.
func fileSink(name, message string) string {
	return fmt.Sprintf(`
sink "nmsg" %q {
  to      = "file://DIR/%s/%%Y%%m%%dT%%H%%M%%S.nmsg"
  message = %q
  rotate  = "0s"
}
`, name, name, message)
}

// startSensor runs a sensor with that configuration and returns when it has started.
func startSensor(t *testing.T, n *lab.Namespace, config string) *sensor {
	t.Helper()
	s := newSensor(t, n)
	s.run(t, config)
	return s
}

// newSensor returns a sensor that does not run yet.
func newSensor(t *testing.T, n *lab.Namespace) *sensor {
	t.Helper()
	dir, err := os.MkdirTemp(n.Dir, "sensor")
	if err != nil {
		t.Fatal(err)
	}
	// Resolvers that run as other users need access to the socket.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return &sensor{namespace: n, dir: dir, config: filepath.Join(dir, "sensor.hcl")}
}

// run starts the sensor with that configuration and returns when it has started.
func (s *sensor) run(t *testing.T, config string) {
	t.Helper()
	s.configure(t, config)
	cmd := exec.Command(sensorBinary, "run", "-c", s.config)
	cmd.Env = append(os.Environ(), "GORACE=exitcode=66 halt_on_error=1 atexit_sleep_ms=0")
	s.Process = s.namespace.Start(t, "sensor", cmd)
	s.awaitLog(t, "started", 1)
}

// configure writes the configuration file. A running sensor reads it at its next reload.
func (s *sensor) configure(t *testing.T, config string) {
	t.Helper()
	for _, sink := range []string{"first", "second", "third"} {
		if err := os.MkdirAll(filepath.Join(s.dir, sink), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(config, "admin {") { // the default address is shared by all sensors of a namespace
		config += "admin {\n  listen = \"\"\n}\n"
	}
	if err := os.WriteFile(s.config, []byte(strings.ReplaceAll(config, "DIR", s.dir)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// reload writes another configuration, sends SIGHUP and returns when the log has a new line
// with that message.
func (s *sensor) reload(t *testing.T, config, message string) {
	t.Helper()
	before := len(s.logged(t, message))
	s.configure(t, config)
	s.Signal(t, syscall.SIGHUP)
	s.awaitLog(t, message, before+1)
}

// awaitLog returns when that many lines with that message are in the log.
func (s *sensor) awaitLog(t *testing.T, message string, times int) {
	t.Helper()
	await(t, fmt.Sprintf("%d times %q in the sensor's log", times, message), func() bool {
		return len(s.logged(t, message)) >= times || s.Ended()
	})
	if s.Ended() && len(s.logged(t, message)) < times {
		t.Fatalf("the sensor ended before it logged %q", message)
	}
}

// stop stops the sensor with SIGTERM, checks its exit, and returns the closing ledger after
// checking its sums.
func (s *sensor) stop(t *testing.T) ledger {
	t.Helper()
	if took := s.Stop(t); took > stopTime+slack {
		t.Errorf("the sensor took %s to stop", took)
	}
	if err := s.Wait(0); err != nil {
		t.Errorf("the sensor ended with %v", err)
	}
	return s.closing(t)
}

// closing returns the closing ledger of a sensor that has ended.
func (s *sensor) closing(t *testing.T) ledger {
	t.Helper()
	lines := s.logged(t, "ledger")
	if len(lines) == 0 {
		t.Fatal("the sensor logged no closing ledger")
	}
	l := parseLedger(t, lines[len(lines)-1])
	l.check(t)
	return l
}

// delayFor waits, so that other processes have time for what they must not do.
func delayFor(d time.Duration) { time.Sleep(d) }

// await polls until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	awaitFor(t, what, waitTime, holds)
}

// awaitFor is await with another limit.
func awaitFor(t *testing.T, what string, limit time.Duration, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}

// awaitState is await for a condition on a state, which look returns. It returns the state, and
// logs the latest one if the condition never holds.
func awaitState[S any](t *testing.T, what string, look func() S, holds func(S) bool) (state S) {
	t.Helper()
	met := false
	defer func() {
		if !met {
			t.Logf("instead of %s: %+v", what, state)
		}
	}()
	await(t, what, func() bool {
		state = look()
		met = holds(state)
		return met
	})
	return state
}
