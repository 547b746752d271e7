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
	resolver, sensor string // services
	world            *world
	client           string // its binary
	port             string // of this machine's loopback, where the resolver answers as well
	asked            []string
	fresh            int
}

func (s *stack) do(t *testing.T, args ...string) string {
	t.Helper()
	return s.compose(t, s.active, args...)
}

// live starts the resolver first, then the sensor; restarts either; kills the sensor;
// and then checks all records. Clients have their answers all the while.
func (s *stack) live(t *testing.T, loses, view bool) {
	t.Cleanup(func() { s.end(t) })
	s.do(t, "up", "--no-start", "--no-build", s.resolver, s.sensor)
	s.world.plug(t)
	s.do(t, "up", "-d", "--no-build", "--no-deps", s.resolver)
	s.ask(t, "org. SOA\n")
	s.do(t, "up", "-d", "--no-build", s.resolver, s.sensor)
	s.awaitRecords(t, "after the start")
	s.checkLocked(t)
	await(t, "the sensor's health", func() bool {
		return strings.TrimSpace(call(t, "docker", "inspect", "-f", "{{.State.Health.Status}}", container(t, s.sensor))) == "healthy"
	})
	feed(t, "com. SOA\n", s.client, "127.0.0.1:"+s.port)
	s.ask(t, lines())
	s.asked = append(s.asked, leaves()...)

	if s.sensor == "sensor" {
		call(t, "go", "run", root+"/cmd/dnstap-pdns", "status", "127.0.0.1:"+os.Getenv("STATUS_PORT"))
	}

	s.selftest(t)

	s.do(t, "restart", "-t", "5", s.resolver)
	s.awaitRecords(t, "after the resolver's restart")
	s.do(t, "restart", "-t", "5", s.sensor)
	kept := s.askFresh(t)
	s.awaitRecords(t, "after the sensor's restart")
	s.kill(t)
	s.awaitRecords(t, "after the sensor was killed")
	if !loses {
		s.asked = append(s.asked, kept)
	}
	if view {
		s.view(t)
	}
	s.do(t, "stop", "-t", "5", s.resolver)
	s.do(t, "stop", "-t", "5", s.sensor)
	s.world.check(t, container(t, s.sensor), s.asked)
}

// selftest has the sensor's own container ask the resolver, as an operator would.
func (s *stack) selftest(t *testing.T) {
	t.Helper()
	args := []string{"exec", "-T", s.sensor, "dnstap-pdns", "selftest", "--resolver", s.resolver}
	if s.sensor == "pcap" { // on the host's network
		args = append(args[:len(args)-1], "127.0.0.1:"+s.port, "-c", "/etc/dnstap-pdns/pcap.hcl")
	}
	if said := s.do(t, args...); !strings.Contains(said, "\nproven: ") {
		t.Errorf("selftest says\n%s", said)
	}
}

// checkLocked holds both processes to have no rights but what they are documented to
// have.
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

// end shows what was said if the test has failed, and takes everything down.
func (s *stack) end(t *testing.T) {
	if t.Failed() {
		t.Log(s.do(t, "logs", "--tail", "40"))
	}
	s.do(t, "down", "-v", "-t", "2")
}

// ask has a client ask from a container of its own, and fails unless each question
// has an answer.
func (s *stack) ask(t *testing.T, questions string) {
	t.Helper()
	feed(t, questions, "docker", "run", "--rm", "-i", "--network", project+"_default", "--ip", client4,
		"--read-only", "--cap-drop", "ALL", "-v", s.client+":/client:ro", debianImage, "/client", resolver4+":53")
}

func (s *stack) askFresh(t *testing.T) string {
	t.Helper()
	s.fresh++
	name := fresh(s.fresh)
	s.ask(t, name+" A\n")
	return name
}

// awaitRecords asks new names until one of them is recorded: a resolver may take a
// while to find the sensor, and holds messages back before it sends them.
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

// kill ends the sensor's process as the kernel would when memory is short. The engine
// starts it again.
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

// view has cat print what leaves.
func (s *stack) view(t *testing.T) {
	t.Helper()
	active := s.active + ",view"
	s.compose(t, active, "up", "-d", "--no-build", "--no-deps", "view")
	t.Cleanup(func() { s.compose(t, active, "rm", "-s", "-f", "view") })
	id := container(t, "view")
	first := s.askFresh(t)
	await(t, "a name in what cat prints", func() bool {
		return strings.Contains(call(t, "docker", "logs", id), strings.TrimSuffix(first, "."))
	})
	s.ask(t, "portal.corp.example. A\n")
	s.awaitRecords(t, "with a viewer")
	if said := call(t, "docker", "logs", id); strings.Contains(said, "corp.example") {
		t.Errorf("the viewer shows what must stay:\n%s", said)
	}
}
