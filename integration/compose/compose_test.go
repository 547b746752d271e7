package compose

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// profiles lists the profiles of compose.yaml, each with one generation of Compose.
var profiles = []struct {
	name, active     string
	resolver, sensor string
	second           bool // use Compose v2
	loses            bool // whether messages are lost while the sensor does not run
	view             bool
}{
	{name: "unbound", active: "unbound", resolver: "unbound", sensor: "sensor", second: true, view: true},
	{name: "bind", active: "bind", resolver: "bind", sensor: "sensor", loses: true},
	{name: "pcap", active: "unbound,pcap", resolver: "unbound", sensor: "pcap", second: true, loses: true},
}

// TestCompose builds the images and runs the lifecycle of each profile.
func TestCompose(t *testing.T) {
	lockMachine(t)
	for _, program := range []string{"docker", "docker-compose", "ip"} {
		need(t, program)
	}
	if out, err := try("", "docker", "info", "-f", "{{.ServerVersion}}"); err != nil {
		t.Fatalf("no Docker engine answers, which this test needs: %v", err)
	} else {
		t.Logf("Docker engine %s", strings.TrimSpace(out))
	}
	port := freePort(t)
	t.Setenv("DNS_PORT", port)
	t.Setenv("STATUS_PORT", freePort(t))
	t.Setenv("SENSOR_VERSION", version)
	files := []string{filepath.Join(root, "compose.yaml"), override(t)}
	first, second := tool{program: "docker-compose", files: files}, tool{program: composeV2(t), files: files}
	cleanUp(t, first)
	t.Cleanup(func() { cleanUp(t, first) })

	baseImages(t)
	buildImages(t, first)
	again := second
	again.suffix = "-again"
	rebuilt := make(chan error, 1) // with BuildKit, while the test mostly waits
	go func() {
		_, err := try("", again.line("unbound", "build", "sensor")...)
		rebuilt <- err
	}()
	client := buildClient(t)
	w := newWorld(t)
	for _, p := range profiles {
		t.Run(p.name, func(t *testing.T) {
			s := &stack{tool: first, active: p.active, resolver: p.resolver, sensor: p.sensor, world: w, client: client, port: port}
			if p.second {
				s.tool = second
			}
			s.runLifecycle(t, p.loses, p.view)
		})
	}
	if err := <-rebuilt; err != nil {
		t.Fatalf("Compose v2 cannot build the sensor: %v", err)
	}
	one, other := binarySum(t, ours["sensor"]), binarySum(t, againImage)
	if one != other {
		t.Errorf("two builders made different binaries: %s and %s", one, other)
	}
	t.Logf("the SHA-256 of the binary is %s", one)
}

// lockMachine waits until no other run of this test is in progress on the machine.
func lockMachine(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), project+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

// composeV2 returns the path of Compose v2, as a plugin of the docker command or as
// installed by make test-compose.
func composeV2(t *testing.T) string {
	t.Helper()
	paths := []string{root + "/.cache/docker-compose-v2"}
	for _, dir := range []string{os.Getenv("HOME") + "/.docker", "/usr/local/lib/docker", "/usr/libexec/docker", "/usr/lib/docker"} {
		paths = append(paths, dir+"/cli-plugins/docker-compose")
	}
	for _, p := range paths {
		if p, err := filepath.Abs(p); err == nil {
			if _, err := os.Stat(p); err == nil {
				return p
			}
		}
	}
	t.Fatalf("Docker Compose v2 is at none of %v: make test-compose installs it", paths)
	return ""
}

// cleanUp removes everything of this test, and of earlier runs that were killed.
func cleanUp(t *testing.T, c tool) {
	t.Helper()
	c.compose(t, "unbound,bind,pcap,view", "down", "-v", "--remove-orphans", "-t", "2")
	try("", "ip", "link", "del", "pdnstest1")
	for _, image := range slices.Concat(slices.Collect(maps.Values(ours)), []string{buildImage, againImage}) {
		try("", "docker", "rmi", image)
	}
	for _, kind := range []string{"container", "network", "volume"} {
		args := []string{"docker", kind, "ls", "-q", "--filter", "label=com.docker.compose.project=" + project}
		if left := call(t, args...); left != "" {
			t.Errorf("a %s is left: %s", kind, left)
		}
	}
}

// Names of images that would otherwise remain without a name.
const (
	buildImage = project + "-build" // the stage with the sources
	againImage = project + "-sensor-again"
)

// version is the version that the images are built with.
const version = "v0.0.0-test"

// buildImages builds the images with the classic builder.
func buildImages(t *testing.T, classic tool) {
	t.Helper()
	classic.compose(t, "unbound,bind", "build", "unbound", "bind", "sensor")
	call(t, "docker", "build", "-q", "--target", "build", "--build-arg", "VERSION="+version, "-t", buildImage, root)
	const limit = 30e6 // of which the clients of sinks (TLS, HTTP, Kafka), and the CA certificates, take some
	size, err := strconv.ParseFloat(strings.TrimSpace(call(t, "docker", "image", "inspect", "-f", "{{.Size}}", ours["sensor"])), 64)
	if err != nil || size >= limit {
		t.Errorf("the sensor's image has %g bytes (%v), want less than %g", size, err, limit)
	}
	t.Logf("sensor's image %g MB", size/1e6)
	if out := call(t, "docker", "run", "--rm", ours["sensor"], "version"); !strings.HasPrefix(out, "dnstap-pdns "+version+" go") {
		t.Errorf("the image prints %q, want version %s", out, version)
	}
}

// binarySum returns the SHA-256 of the binary in an image of the sensor.
func binarySum(t *testing.T, image string) string {
	t.Helper()
	id := strings.TrimSpace(call(t, "docker", "create", image))
	defer call(t, "docker", "rm", id)
	path := filepath.Join(t.TempDir(), "binary")
	call(t, "docker", "cp", id+":/usr/local/bin/dnstap-pdns", path)
	return strings.Fields(call(t, "sha256sum", path))[0]
}

// buildClient builds a static binary of the client and returns its path.
func buildClient(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client")
	call(t, "env", "CGO_ENABLED=0", "go", "build", "-o", path, "./client")
	return path
}

// fresh returns a name that is in no cache.
func fresh(n int) string { return fmt.Sprintf("fresh%d.wild.shop.com.", n) }
