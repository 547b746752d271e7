package sockfile

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestObstacleOfAUser(t *testing.T) {
	unbound := account{uid: 103, group: "unbound", gids: []uint32{107, 4}}
	open := inode{"/", 0o755, 0, 0}
	socket := func(mode fs.FileMode, uid, gid uint32) inode { return inode{"/run/tap.sock", mode, uid, gid} }
	folder := func(mode fs.FileMode, uid, gid uint32) inode { return inode{"/run", fs.ModeDir | mode, uid, gid} }
	tests := []struct {
		name            string
		folder, socket  inode
		problem, advice string // parts of the texts; empty: no obstacle
	}{
		{"all users", open, socket(0o666, 0, 0), "", ""},
		{"its group", open, socket(0o660, 0, 107), "", ""},
		{"another group of its", open, socket(0o660, 0, 4), "", ""},
		{"its own", open, socket(0o600, 103, 0), "", ""},
		{"only write is needed", open, socket(0o222, 0, 0), "", ""},
		{"root's", open, socket(0o660, 0, 0), "the user cannot write to the socket (mode 0660, owner root, group root)",
			`set group = "unbound"`},
		{"root's, with mode 0600", open, socket(0o600, 0, 0), "cannot write to the socket", `set group = "unbound" and mode = "0620"`},
		{"readable only", open, socket(0o444, 0, 0), "cannot write to the socket", `set group = "unbound" and mode = "0464"`},
		{"its group, without write permission", open, socket(0o606, 0, 107), "cannot write to the socket", `set mode = "0626"`},
		{"its own, without write permission", open, socket(0o066, 103, 107), "cannot write to the socket", `set mode = "0266"`},
		{"a private folder", folder(0o700, 0, 0), socket(0o666, 0, 0), "the user cannot search the folder /run (mode 0700, owner root, group root)",
			"chmod o+x /run"},
		{"a folder of its group, without search permission", folder(0o701, 0, 107), socket(0o666, 0, 0), "the folder /run", "chmod g+x /run"},
		{"a folder of its own, without search permission", folder(0o077, 103, 107), socket(0o666, 0, 0), "the folder /run", "chmod u+x /run"},
		{"a folder that it may only search", folder(0o711, 0, 0), socket(0o666, 0, 0), "", ""},
		{"both", folder(0o700, 0, 0), socket(0o600, 0, 0), "the folder /run", "chmod o+x /run"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problem, advice := unbound.obstacle([]inode{{"/", 0o755, 0, 0}, tt.folder}, tt.socket, ourConfiguration)
			if !strings.Contains(problem, tt.problem) || (problem == "") != (tt.problem == "") || advice != tt.advice {
				t.Errorf("got %q and %q, want %q and %q", problem, advice, tt.problem, tt.advice)
			}
		})
	}
}

func TestFoldersOf(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(path string) string { return filepath.Join(base, path) }
	for _, err := range []error{
		os.MkdirAll(in("a/b/c"), 0o755), os.MkdirAll(in("d/e"), 0o755),
		os.Symlink("../d", in("a/near")), os.Symlink(in("a/b"), in("far")), os.Symlink("loop", in("loop")),
		os.Symlink("missing", in("dangling")), os.WriteFile(in("file"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		dir   string
		want  []string // of base and below
		whole bool
	}{
		{"a/b/c", []string{".", "a", "a/b", "a/b/c"}, true},
		{"a/near/e", []string{".", "a", "d", "d/e"}, true},
		{"far/c", []string{".", "a", "a/b", "a/b/c"}, true},
		{"a/missing/c", []string{".", "a"}, false},
		{"dangling", []string{"."}, false},
		{"loop", []string{"."}, false},
		{"file", []string{"."}, false},
	}
	for _, tt := range tests {
		all, whole := foldersOf(in(tt.dir))
		var got []string
		for _, n := range all[1:] {
			if rel, err := filepath.Rel(base, n.path); err == nil && !strings.HasPrefix(rel, "..") {
				got = append(got, rel)
			}
		}
		if all[0].path != "/" || !slices.Equal(got, tt.want) || whole != tt.whole {
			t.Errorf("%s: got %q, %v; want %q, %v", tt.dir, got, whole, tt.want, tt.whole)
		}
	}
}

func TestExclusionsOfAnUnknownOwner(t *testing.T) {
	_, err := PredictExclusions(socketPath(t), Access{Mode: 0o660, Owner: "no-such-user-here"})
	if err == nil || !strings.Contains(err.Error(), "no-such-user-here") {
		t.Errorf("got %v", err)
	}
}

// The advice on a socket that systemd created names settings of its socket unit.
func TestExclusionsOfAnInheritedSocket(t *testing.T) {
	path := socketPath(t)
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	a := account{uid: 1 << 30, group: "unbound", gids: []uint32{1 << 30}}
	_, advice := a.obstacle(nil, inode{path, 0o600, 0, 0}, socketUnit)
	if want := "set SocketGroup=unbound in its socket unit and SocketMode=0620 in its socket unit"; advice != want {
		t.Errorf("got %q, want %q", advice, want)
	}
	all, err := CurrentExclusions(path, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if !strings.Contains(e.Problem, "mode 0600") && !strings.Contains(e.Problem, "folder") {
			t.Errorf("%s: %s", e.User, e.Problem)
		}
	}
	os.Remove(path)
	if _, err := CurrentExclusions(path, true); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("of a socket that is gone: %v", err)
	}
}
