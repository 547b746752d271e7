package integration

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"go.uber.org/goleak"
)

// sensorBinary is the path of the sensor, built once with the race detector.
var sensorBinary string

func TestMain(m *testing.M) {
	// Tests mostly wait. The command line, which is parsed next, can override this.
	flag.Set("test.parallel", fmt.Sprint(4*runtime.NumCPU()))
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
	build := exec.Command("go", "build", "-race", "-o", sensorBinary, "../cmd/dnstap-pdns")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n%s", build.Args, err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
