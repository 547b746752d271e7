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
	// stopTime is the contract: within it the sensor has ended, all flushed.
	stopTime = 5 * time.Second
	patience = 30 * time.Second

	// slack is what a busy machine may add to a time that a test measures once.
	slack = 5 * time.Second

	// site is the policy of a site that keeps a zone of its own.
	site = `
scrub {
  local_names    = ["corp.example"]
  local_networks = ["10.0.0.0/8"]
}
` + jsonLog

	// jsonLog is what tests read the log by.
	jsonLog = `
log {
  level  = "debug"
  format = "json"
}
`
)

// exactly is site without rounded times: each exchange can be told from the
// resolver's next attempt at the same.
var exactly = strings.Replace(site, "scrub {", "scrub {\n  time_resolution = \"1ns\"", 1)

// sensor is the binary at work. It may have several lives, one after the other;
// what it logs is that of the latest.
type sensor struct {
	*lab.Process
	namespace *lab.Namespace
	dir       string // holds the configuration, sockets and an out folder for each file sink
	config    string
}

// tapPath is where the sensor's Unix source listens.
func (s *sensor) tapPath() string { return filepath.Join(s.dir, "tap.sock") }

// unixSource and fileSink are blocks as most tests want them; DIR is replaced by
// the sensor's own directory.
const unixSource = `
source "dnstap" "tap" {
  listen = "unix://DIR/tap.sock"
  mode   = "0666"
}
`

func fileSink(name, message string) string {
	return fmt.Sprintf(`
sink "nmsg" %q {
  to      = "file://DIR/%s/%%Y%%m%%dT%%H%%M%%S.nmsg"
  message = %q
  rotate  = "0s"
}
`, name, name, message)
}

// startSensor runs the sensor with that configuration and returns once it says
// that it has started.
func startSensor(t *testing.T, n *lab.Namespace, config string) *sensor {
	t.Helper()
	s := newSensor(t, n)
	s.run(t, config)
	return s
}

// newSensor is one that does not run yet.
func newSensor(t *testing.T, n *lab.Namespace) *sensor {
	t.Helper()
	dir, err := os.MkdirTemp(n.Dir, "sensor")
	if err != nil {
		t.Fatal(err)
	}
	// The socket is for resolvers that run as users of their own.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return &sensor{namespace: n, dir: dir, config: filepath.Join(dir, "sensor.hcl")}
}

// run begins a life with that configuration and returns once the sensor says that
// it has started.
func (s *sensor) run(t *testing.T, config string) {
	t.Helper()
	s.configure(t, config)
	cmd := exec.Command(sensorBinary, "run", "-c", s.config)
	cmd.Env = append(os.Environ(), "GORACE=exitcode=66 halt_on_error=1 atexit_sleep_ms=0")
	s.Process = s.namespace.Start(t, "sensor", cmd)
	s.awaitLog(t, "started", 1)
}

// configure writes the configuration file; a running sensor does not see it
// before it is told.
func (s *sensor) configure(t *testing.T, config string) {
	t.Helper()
	for _, sink := range []string{"first", "second", "third"} {
		if err := os.MkdirAll(filepath.Join(s.dir, sink), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(config, "admin {") { // its address is one for all sensors of a namespace
		config += "admin {\n  listen = \"\"\n}\n"
	}
	if err := os.WriteFile(s.config, []byte(strings.ReplaceAll(config, "DIR", s.dir)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// reload gives the sensor another configuration and returns once it has said
// what it makes of it: that it took it, or that it did not.
func (s *sensor) reload(t *testing.T, config, says string) {
	t.Helper()
	before := len(s.logged(t, says))
	s.configure(t, config)
	s.Signal(t, syscall.SIGHUP)
	s.awaitLog(t, says, before+1)
}

// awaitLog returns once so many lines with that message are in the log.
func (s *sensor) awaitLog(t *testing.T, says string, times int) {
	t.Helper()
	await(t, fmt.Sprintf("%d times %q in the sensor's log", times, says), func() bool {
		return len(s.logged(t, says)) >= times || s.Ended()
	})
	if s.Ended() && len(s.logged(t, says)) < times {
		t.Fatalf("the sensor ended before it said %q", says)
	}
}

// stop ends the sensor as an operator does, checks that it went well, and returns
// the closing ledger, whose sums it has checked.
func (s *sensor) stop(t *testing.T) ledger {
	t.Helper()
	if took := s.Stop(t); took > stopTime+slack {
		t.Errorf("the sensor took %s to stop", took)
	}
	if err := s.Wait(0); err != nil {
		t.Errorf("the sensor ended with %v", err)
	}
	lines := s.logged(t, "ledger")
	if len(lines) == 0 {
		t.Fatal("the sensor left no ledger")
	}
	l := parseLedger(t, lines[len(lines)-1])
	l.check(t)
	return l
}

// forAWhile lets a time pass in which other processes must not do something.
func forAWhile(d time.Duration) { time.Sleep(d) }

// await polls until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s", patience, what)
		}
	}
}
