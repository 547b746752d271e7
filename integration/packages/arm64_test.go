package packages

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestARM64 builds the sensor for arm64, and compares what it does under qemu-user with the build
// for this machine. It also runs the tests of the packet ring's layout.
func TestARM64(t *testing.T) {
	const qemu = "qemu-aarch64-static"
	dir := t.TempDir()
	build := func(arch string, args ...string) string {
		t.Helper()
		binary := filepath.Join(dir, arch+args[0])
		cmd := exec.Command("go", append(append([]string{args[0], "-pgo=off", "-o", binary}, args[2:]...), args[1])...)
		cmd.Dir = root
		cmd.Env = environ("CGO_ENABLED=0", "GOARCH="+arch)
		run(t, cmd)
		return binary
	}
	arm, native := build("arm64", "build", "./cmd/dnstap-pdns"), build("amd64", "build", "./cmd/dnstap-pdns")
	if got := run(t, exec.Command(qemu, arm, "version")); !strings.HasSuffix(got, " linux/arm64\n") {
		t.Errorf("version prints %s", got)
	}
	times := regexp.MustCompile(`\d+(\.\d+)? ?(ms|µs|s)\b`)
	shown := func(cmd *exec.Cmd) string { return times.ReplaceAllString(run(t, cmd), "TIME") }
	if got, want := shown(exec.Command(qemu, arm, "demo")), shown(exec.Command(native, "demo")); got != want || !strings.Contains(got, "records") {
		t.Errorf("demo prints\n%s\nwant\n%s", got, want)
	}
	tests := build("arm64", "test", "./fallback/pcap/ring", "-c")
	layout := exec.Command(qemu, tests, "-test.v", "-test.run", "^Test(Block|Protocol|Config|Fanout|Filter|Merge)")
	layout.Dir = root + "fallback/pcap/ring"
	if out := run(t, layout); strings.Count(out, "--- PASS: TestBlock") < 4 {
		t.Errorf("few tests of the layout ran:\n%s", out)
	}
}
