package compose

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A stack is a resolver with its sensor, in containers.
type stack struct {
	tool
	active           string // profiles
	resolver, sensor string // names of services
	world            *world
	client           string // path of its binary
	port             string // on this machine's loopback, at which the resolver answers too
	asked            []string
	fresh            int
}

func (s *stack) do(t *testing.T, args ...string) string {
	t.Helper()
	return s.compose(t, s.active, args...)
}

// runLifecycle starts the resolver and then the sensor, restarts both, kills the sensor, and
// then checks all records. Clients get answers all the time.
func (s *stack) runLifecycle(t *testing.T, loses, view bool) {
	t.Cleanup(func() { s.end(t) })
	s.do(t, "up", "--no-start", "--no-build", s.resolver, s.sensor)
	s.world.connect(t)
	s.do(t, "up", "-d", "--no-build", "--no-deps", s.resolver)
	s.ask(t, "org. SOA\n")
	s.do(t, "up", "-d", "--no-build", s.resolver, s.sensor)
	s.awaitRecords(t, "after the start")
	s.checkLocked(t)
	await(t, "the sensor's health", func() bool {
		return strings.TrimSpace(call(t, "docker", "inspect", "-f", "{{.State.Health.Status}}", container(t, s.sensor))) == "healthy"
	})
	callWithInput(t, "com. SOA\n", s.client, "127.0.0.1:"+s.port)
	s.ask(t, lines())
	s.asked = append(s.asked, recordedNames()...)

	if s.sensor == "sensor" {
		call(t, "go", "run", root+"/cmd/dnstap-pdns", "status", "127.0.0.1:"+os.Getenv("STATUS_PORT"))
	}

	s.selftest(t)

	s.do(t, "restart", "-t", "5", s.resolver)
	s.awaitRecords(t, "after the resolver's restart")
	s.do(t, "restart", "-t", "5", s.sensor)
	duringRestart := s.askFresh(t)
	s.awaitRecords(t, "after the sensor's restart")
	s.kill(t)
	s.awaitRecords(t, "after the sensor was killed")
	if !loses {
		s.asked = append(s.asked, duringRestart)
	}
	if view {
		s.view(t)
	}
	s.do(t, "stop", "-t", "5", s.resolver)
	s.do(t, "stop", "-t", "5", s.sensor)
	s.world.check(t, container(t, s.sensor), s.asked)
}

// selftest runs selftest in the sensor's own container, as an operator would.
func (s *stack) selftest(t *testing.T) {
	t.Helper()
	args := []string{"exec", "-T", s.sensor, "dnstap-pdns", "selftest", "--resolver", s.resolver}
	if s.sensor == "pcap" { // on the host's network
		args = append(args[:len(args)-1], "127.0.0.1:"+s.port, "-c", "/etc/dnstap-pdns/pcap.hcl")
	}
	if out := s.do(t, args...); !strings.Contains(out, "\nproven: ") {
		t.Errorf("selftest did not prove the set-up:\n%s", out)
	}
}

// checkLocked checks that both processes have only the documented rights.
func (s *stack) checkLocked(t *testing.T) {
	t.Helper()
	for _, service := range []string{s.resolver, s.sensor} {
		want := map[string]string{"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1"}
		if service == "pcap" {
			want["CapEff"], want["CapBnd"] = "0000000000002000", "0000000000002000" // CAP_NET_RAW
		}
		out := strings.Fields(call(t, "docker", "inspect", "-f", "{{.State.Pid}} {{.HostConfig.ReadonlyRootfs}}", container(t, service)))
		if out[1] != "true" {
			t.Errorf("%s may write to its root", service)
		}
		for line := range strings.Lines(read(t, "/proc/"+out[0]+"/status")) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			if w, ok := want[key]; ok && value != w {
				t.Errorf("%s has %s %s, want %s", service, key, value, w)
			}
			if root := strings.HasPrefix(value, "0\t"); key == "Uid" && root != (service == "pcap") {
				t.Errorf("%s is user %s", service, value)
			}
		}
	}
}

// end logs the containers' output if the test has failed, and removes everything.
func (s *stack) end(t *testing.T) {
	if t.Failed() {
		t.Log(s.do(t, "logs", "--tail", "40"))
	}
	s.do(t, "down", "-v", "-t", "2")
}

// ask runs a client in a container of its own, and fails unless each question is answered.
func (s *stack) ask(t *testing.T, questions string) {
	t.Helper()
	callWithInput(t, questions, "docker", "run", "--rm", "-i", "--network", project+"_default", "--ip", client4,
		"--read-only", "--cap-drop", "ALL", "-v", s.client+":/client:ro", debianImage, "/client", resolver4+":53")
}

func (s *stack) askFresh(t *testing.T) string {
	t.Helper()
	s.fresh++
	name := fresh(s.fresh)
	s.ask(t, name+" A\n")
	return name
}

// awaitRecords asks for new names until one of them is recorded: a resolver may need time to
// connect, and buffers messages before it sends them.
func (s *stack) awaitRecords(t *testing.T, when string) {
	t.Helper()
	began := time.Now()
	id := container(t, s.sensor)
	names := map[string]bool{}
	await(t, "a record "+when, func() bool {
		names[s.askFresh(t)] = true
		return recorded(id, names)
	})
	t.Logf("records %s: %s", when, time.Since(began).Round(100*time.Millisecond))
}

// kill kills the sensor's process, as the kernel does when memory is short. The engine starts
// it again.
func (s *stack) kill(t *testing.T) {
	t.Helper()
	id := container(t, s.sensor)
	state := func() []string {
		return strings.Fields(call(t, "docker", "inspect", "-f", "{{.State.Pid}} {{.RestartCount}} {{.State.Running}}", id))
	}
	before := state()
	pid, err := strconv.Atoi(before[0])
	if err != nil || pid <= 1 {
		t.Fatalf("the sensor's process is %q", before[0])
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.askFresh(t)
	await(t, "the sensor to run again", func() bool {
		now := state()
		return now[0] != before[0] && now[1] != before[1] && now[2] == "true"
	})
}

// view checks the output of the view service, which prints the records that leave.
func (s *stack) view(t *testing.T) {
	t.Helper()
	active := s.active + ",view"
	s.compose(t, active, "up", "-d", "--no-build", "--no-deps", "view")
	t.Cleanup(func() { s.compose(t, active, "rm", "-s", "-f", "view") })
	id := container(t, "view")
	first := s.askFresh(t)
	await(t, "a name in the output of the view service", func() bool {
		return strings.Contains(call(t, "docker", "logs", id), strings.TrimSuffix(first, "."))
	})
	s.ask(t, "portal.corp.example. A\n")
	s.awaitRecords(t, "with a viewer")
	if out := call(t, "docker", "logs", id); strings.Contains(out, "corp.example") {
		t.Errorf("the view service prints a local name:\n%s", out)
	}
}
