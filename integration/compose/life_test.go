package compose

import (
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
	s.ask(t, lines())
	s.asked = append(s.asked, leaves()...)

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
	await(t, "a name in what cat prints", func() bool {
		name := s.askFresh(t)
		return strings.Contains(call(t, "docker", "logs", id), strings.TrimSuffix(name, "."))
	})
	s.ask(t, "portal.corp.example. A\n")
	s.awaitRecords(t, "with a viewer")
	if said := call(t, "docker", "logs", id); strings.Contains(said, "corp.example") {
		t.Errorf("the viewer shows what must stay:\n%s", said)
	}
}
