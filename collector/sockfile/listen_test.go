package sockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var defaultAccess = Access{Mode: 0o660}

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "dnstap.sock") }

// listen closes the listener at the end of the test.
func listen(t *testing.T, path string, a Access) (*Listener, error) {
	t.Helper()
	l, err := Listen(path, a)
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return l, err
}

// makeStaleSocket leaves a socket file on which no process listens.
func makeStaleSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	makeStaleSocket(t, path)
	if _, err := listen(t, path, defaultAccess); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestLiveSocketIsRefused(t *testing.T) {
	path := socketPath(t)
	if _, err := listen(t, path, defaultAccess); err != nil {
		t.Fatal(err)
	}
	_, err := listen(t, path, defaultAccess)
	if err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("got %v", err)
	}
	if nc, err := net.Dial("unix", path); err != nil {
		t.Errorf("the live socket was harmed: %v", err)
	} else {
		nc.Close()
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	put := map[string]func(path string) error{
		"a file":          func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"an empty file":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a dangling link": func(path string) error { return os.Symlink(path+".not", path) },
		"a link to a stale socket": func(path string) error {
			makeStaleSocket(t, path+".stale")
			return os.Symlink(path+".stale", path)
		},
		"a datagram socket": func(path string) error {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err == nil {
				t.Cleanup(func() { c.Close() })
			}
			return err
		},
	}
	for name, put := range put {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = listen(t, path, defaultAccess)
			if err == nil || !strings.Contains(err.Error(), "another path") || strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want advice without the path, which the caller adds", err)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || after.Size() != before.Size() {
				t.Errorf("it was changed: %v, %v", after, err)
			}
		})
	}
}

func TestSocketHasModeOwnerAndGroup(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	owner, group := uid, gid // without root a process can only name itself
	if uid == 0 {
		owner, group = 65533, 65532
	}
	path := socketPath(t)
	l, err := listen(t, path, Access{0o666, fmt.Sprint(owner), fmt.Sprint(group)})
	if err != nil {
		t.Fatal(err)
	}
	expectFile(t, path, 0o666, owner, group)

	if err := l.Grant(Access{Mode: 0o620}); err != nil {
		t.Fatal(err)
	}
	expectFile(t, path, 0o620, uid, gid)
}

func expectFile(t *testing.T, path string, mode fs.FileMode, uid, gid uint32) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	if info.Mode() != fs.ModeSocket|mode || stat.Uid != uid || stat.Gid != gid {
		t.Errorf("mode %v, owner %d, group %d; want %v, %d, %d", info.Mode(), stat.Uid, stat.Gid, mode, uid, gid)
	}
}

func TestAccountsByNameAndNumber(t *testing.T) {
	tests := []struct {
		account string
		lookup  func(string) (string, error)
		want    uint32
		err     string
	}{
		{"", userID, 42, ""},
		{"root", userID, 0, ""},
		{"root", groupID, 0, ""},
		{"123", userID, 123, ""},
		{"4294967295", userID, 0, "not a valid account"},
		{"no-such-user-here", userID, 0, "no user"},
		{"no-such-group-here", groupID, 0, "no group"},
	}
	for _, tt := range tests {
		got, err := accountID(tt.account, 42, tt.lookup)
		if got != tt.want || (tt.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: got %d, %v; want %d, %q", tt.account, got, err, tt.want, tt.err)
		}
	}
}

func TestNoSocketWithoutItsAccess(t *testing.T) {
	path := socketPath(t)
	_, err := listen(t, path, Access{Mode: 0o660, Owner: "no-such-user-here"})
	if err == nil || !strings.Contains(err.Error(), "no-such-user-here") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file is left: %v", err)
	}
}

func TestInvalidSocketPaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ path, want string }{
		"no directory":      {filepath.Join(dir, "missing", "s"), "there is no directory " + filepath.Join(dir, "missing")},
		"below a file":      {filepath.Join(file, "s"), "there is no directory " + file},
		"relative":          {"dnstap.sock", "absolute path"},
		"abstract":          {"@dnstap", "absolute path"},
		"abstract, as zero": {"\x00dnstap", "absolute path"},
		"too long":          {filepath.Join(dir, strings.Repeat("x", 108)), "at most 107 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := listen(t, tt.path, defaultAccess); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestOnlyOurOwnSocketIsRemoved(t *testing.T) {
	path := socketPath(t)
	l, err := listen(t, path, defaultAccess)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	successor, err := listen(t, path, defaultAccess)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Grant(defaultAccess); err == nil || !strings.Contains(err.Error(), "removed or replaced") {
		t.Errorf("changed the successor's socket: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
	if err := successor.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("our own socket is still there: %v", err)
	}
}

func TestGrantFollowsNoLink(t *testing.T) {
	path := socketPath(t)
	l, err := listen(t, path, defaultAccess)
	if err != nil {
		t.Fatal(err)
	}
	secret := path + ".secret"
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.Symlink(secret, path)); err != nil {
		t.Fatal(err)
	}
	if err := l.Grant(Access{Mode: 0o666}); err == nil {
		t.Error("no error")
	}
	if info, err := os.Lstat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
}
