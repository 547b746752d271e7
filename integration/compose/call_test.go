package compose

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const waitTime = 40 * time.Second

// call runs a program and returns its output.
func call(t testing.TB, args ...string) string {
	t.Helper()
	return callWithInput(t, "", args...)
}

// callWithInput is call with standard input.
func callWithInput(t testing.TB, input string, args ...string) string {
	t.Helper()
	out, err := try(input, args...)
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return out
}

// try is call for commands that may fail; the error contains the output.
func try(input string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = errors.New(exit.Error() + ": " + string(exit.Stderr) + string(out))
	}
	return string(out), err
}

// need fails the test unless the program is installed.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is not installed: make test-compose installs it", program)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// await polls until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitTime); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", waitTime, what)
		}
	}
}
