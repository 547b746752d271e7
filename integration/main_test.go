package integration

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// sensorBinary is the path of the sensor, built once with the race detector.
var sensorBinary string

func TestMain(m *testing.M) {
	// Tests mostly wait. The command line, which is parsed next, can override this.
	flag.Set("test.parallel", fmt.Sprint(8*runtime.NumCPU()))
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dnstap-pdns")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	sensorBinary = filepath.Join(dir, "dnstap-pdns")
	if err := build(sensorBinary, "../cmd/dnstap-pdns", "-race"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build builds a program. Without -pgo=off, all its packages are compiled once more, with the
// profile of the command.
func build(binary, folder string, flags ...string) error {
	args := append([]string{"build", "-pgo=off", "-o", binary}, flags...)
	if out, err := exec.Command("go", append(args, folder)...).CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", args, err, out)
	}
	return nil
}

// builtOnce returns a function that builds a program at its first call and returns its path.
func builtOnce(name, folder string) func(testing.TB) string {
	once := sync.OnceValues(func() (string, error) {
		binary := filepath.Join(filepath.Dir(sensorBinary), name)
		return binary, build(binary, folder)
	})
	return func(t testing.TB) string {
		t.Helper()
		binary, err := once()
		if err != nil {
			t.Fatal(err)
		}
		return binary
	}
}

var (
	plainSensor = builtOnce("plain", "../cmd/dnstap-pdns") // without the race detector
	ringProbe   = builtOnce("ringprobe", "./testdata/ringprobe")
)
