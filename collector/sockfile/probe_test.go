package sockfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProbePredictsListen compares the two on every state of the path. Probe leaves no file.
func TestProbePredictsListen(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, path string)
		access  Access
		want    string // part of the error; empty: none
		inUse   bool
	}{
		"nothing there": {func(*testing.T, string) {}, Access{Mode: 0o660}, "", false},
		"no folder": {func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, Access{Mode: 0o660}, "there is no directory ", false},
		"a file": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, Access{Mode: 0o660}, "the path is not a socket", false},
		"a socket on which no process listens": {func(t *testing.T, path string) { makeStaleSocket(t, path) }, Access{Mode: 0o660}, "", false},
		"no such group":                        {func(*testing.T, string) {}, Access{Mode: 0o660, Group: "no-such-group"}, `there is no group "no-such-group"`, false},
		"in use": {func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, Access{Mode: 0o660}, "another process listens there", true},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			tt.prepare(t, path)
			before, _ := os.ReadDir(filepath.Dir(path))
			inUse, probed := Probe(path, tt.access)
			if after, _ := os.ReadDir(filepath.Dir(path)); len(after) != len(before) {
				t.Errorf("there were %v, and are %v", before, after)
			}
			l, listened := Listen(path, tt.access)
			if listened == nil {
				l.Close()
			}
			if inUse != tt.inUse {
				t.Errorf("in use: %v, want %v", inUse, tt.inUse)
			}
			if text(listened) != text(probed) && !inUse || !strings.Contains(text(listened), tt.want) || (tt.want == "") != (listened == nil) {
				t.Errorf("got %v, and Listen %v; want %q", probed, listened, tt.want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A path may be of the greatest length, and its folder hardly shorter.
func TestProbeOfALongPath(t *testing.T) {
	dir := filepath.Dir(socketPath(t))
	long := filepath.Join(dir, strings.Repeat("d", longestPath-len(dir)-len("//s")))
	if err := os.Mkdir(long, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, valid := range map[string]bool{long + "/s": true, long + "/ss": false, "relative": false} {
		if _, err := Probe(path, Access{Mode: 0o660}); (err == nil) != valid {
			t.Errorf("%d bytes: %v", len(path), err)
		}
	}
}

func TestDenied(t *testing.T) {
	dir, err := os.MkdirTemp("", "denied") // every user may search its parents
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("key.pem", filepath.Join(dir, "link.pem")); err != nil {
		t.Fatal(err)
	}
	own := groupName(uint32(os.Getegid()))
	for _, tt := range []struct {
		name         string
		folder, file fs.FileMode
		groups       []string
		want         string // the file in the answer; empty: may read
	}{
		{"private", 0o755, 0o600, nil, "key.pem"},
		{"readable by all", 0o755, 0o604, nil, ""},
		{"readable by the group", 0o755, 0o640, []string{own}, ""},
		{"readable by another group", 0o755, 0o640, nil, "key.pem"},
		{"in a private folder", 0o700, 0o644, nil, "the folder " + dir},
		{"in a folder of the group", 0o750, 0o644, []string{own}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for path, mode := range map[string]fs.FileMode{dir: tt.folder, file: tt.file} {
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(dir)
			for _, path := range []string{file, filepath.Join(dir, "link.pem"), "key.pem"} {
				got, err := Denied(path, 4, "no-such-user-here", tt.groups)
				if err != nil || !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
					t.Errorf("%s: got %q, %v, want %q", path, got, err, tt.want)
				}
			}
		})
	}
	if got, err := Denied(file, 4, "root", nil); got != "" || err != nil {
		t.Errorf("root: got %q, %v", got, err)
	}
	if _, err := Denied(file+"x", 4, "root", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a file that does not exist: %v", err)
	}
}
