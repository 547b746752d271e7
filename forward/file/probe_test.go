package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestProbePredictsTheFirstFile compares Probe with a write. It leaves no file.
func TestProbePredictsTheFirstFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "2026"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 20, 0, 0, 0, time.UTC)
	for pattern, want := range map[string]string{
		"%H.nmsg":      "",
		"%Y/%H.nmsg":   "",
		"%Y%m/%H.nmsg": "creating a file in " + dir + "/202611: no such file or directory (directories are not created: make " + dir + "/202611, ",
		"file/%H.nmsg": "not a directory",
		"x%":           "not a strftime pattern",
	} {
		err := Probe(filepath.Join(dir, pattern), now)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", pattern, err, want)
		}
	}
	for folder, n := range map[string]int{dir: 2, filepath.Join(dir, "2026"): 0} {
		if left, err := os.ReadDir(folder); err != nil || len(left) != n {
			t.Errorf("%s: %v, %v", folder, left, err)
		}
	}
}

func TestFree(t *testing.T) {
	if n, err := Free(t.TempDir()); err != nil || n == 0 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := Free("/nonexistent"); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("got %v", err)
	}
}
