package packages

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root    = "../../"
	version = "1.2.3"
)

// run runs a command that must succeed, and returns what it prints to standard output.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, &out, &errs)
	}
	return out.String()
}

// environ returns the environment with more variables.
func environ(more ...string) []string { return append(os.Environ(), more...) }

// copySource returns a copy of a source folder, without git.
func copySource(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	run(t, exec.Command("sh", "-e", "-c", `tar -C "$1" --exclude=./.git --exclude=./.cache --exclude=./bin -c . | tar -C "$2" -x`, "sh", from, dir))
	return dir
}

// buildPackages builds the packages for amd64 in a source folder and returns their folder.
// variables are for make.
func buildPackages(t *testing.T, dir string, variables ...string) string {
	t.Helper()
	make := exec.Command("make", append([]string{"-C", dir, "packages", "VERSION=" + version}, variables...)...)
	make.Env = environ("ARCHS=amd64", "SOURCE_DATE_EPOCH=1700000000")
	run(t, make)
	return filepath.Join(dir, "bin")
}

// TestPackagesAreReproducible builds in two folders, once with an empty build cache.
func TestPackagesAreReproducible(t *testing.T) {
	nfpm := filepath.Join(t.TempDir(), "nfpm") // compiled with the usual cache
	makefile := run(t, exec.Command("make", "-C", root, "--no-print-directory", "--eval=show: ; @echo $(NFPM)", "show"))
	install := exec.Command("go", "install", strings.TrimPrefix(strings.TrimSpace(makefile), "go run "))
	install.Env = environ("GOBIN=" + filepath.Dir(nfpm))
	run(t, install)
	source := copySource(t, root)
	second := buildPackages(t, copySource(t, source), "NFPM="+nfpm, "GOCACHE="+t.TempDir())
	first := buildPackages(t, source, "NFPM="+nfpm)
	for _, name := range []string{"dnstap-pdns_" + version + "_amd64.deb", "dnstap-pdns-" + version + "-1.x86_64.rpm"} {
		if a, b := hash(t, first, name), hash(t, second, name); a != b {
			t.Errorf("%s differs: %s and %s", name, a, b)
		}
	}
	if got := run(t, exec.Command(filepath.Join(first, "stage/amd64/dnstap-pdns"), "version")); !strings.HasPrefix(got, "dnstap-pdns "+version+" go") {
		t.Errorf("version prints %s", got)
	}
}

func hash(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}
