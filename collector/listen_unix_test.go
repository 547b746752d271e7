package collector

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
	"time"
)

// listenOnly listens without serving.
func listenOnly(t *testing.T, cfg Config) (*Source, error) {
	t.Helper()
	s, err := Listen(cfg, nil, (&logbook{}).logger())
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// leaveStale leaves a socket behind on which nobody listens.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestStaleSocketIsReplaced(t *testing.T) {
	cfg := unixConfig(t)
	leaveStale(t, cfg.Address)
	if _, err := listenOnly(t, cfg); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("unix", cfg.Address)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestLiveSocketIsRefused(t *testing.T) {
	cfg := unixConfig(t)
	if _, err := listenOnly(t, cfg); err != nil {
		t.Fatal(err)
	}
	_, err := listenOnly(t, cfg)
	if err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("got %v", err)
	}
	if nc, err := net.Dial("unix", cfg.Address); err != nil {
		t.Errorf("the live socket was harmed: %v", err)
	} else {
		nc.Close()
	}
}

func TestWhatIsNoStaleSocketIsLeftAlone(t *testing.T) {
	put := map[string]func(path string) error{
		"a file":          func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"an empty file":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a dangling link": func(path string) error { return os.Symlink(path+".not", path) },
		"a link to a stale socket": func(path string) error {
			leaveStale(t, path+".stale")
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
			cfg := unixConfig(t)
			if err := put(cfg.Address); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(cfg.Address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := listenOnly(t, cfg); err == nil || !strings.Contains(err.Error(), "another path") {
				t.Errorf("got %v", err)
			}
			if after, err := os.Lstat(cfg.Address); err != nil || !os.SameFile(before, after) || after.Size() != before.Size() {
				t.Errorf("it was changed: %v, %v", after, err)
			}
		})
	}
}

func TestSocketHasModeOwnerAndGroup(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	owner, group := uid, gid // whoever is not root can only give to themselves
	if uid == 0 {
		owner, group = 65533, 65532
	}
	cfg := unixConfig(t)
	cfg.Mode, cfg.Owner, cfg.Group = 0o666, fmt.Sprint(owner), fmt.Sprint(group)
	s, err := listenOnly(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	expectFile(t, cfg.Address, 0o666, owner, group)

	cfg.Mode, cfg.Owner, cfg.Group = 0o620, "", ""
	if _, err := s.Reconfigure(cfg); err != nil {
		t.Fatal(err)
	}
	expectFile(t, cfg.Address, 0o620, uid, gid)
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
		{"4294967295", userID, 0, "no account"},
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

func TestNobodyIsLetInBeforeAccessIsGranted(t *testing.T) {
	cfg := unixConfig(t)
	cfg.Owner = "no-such-user-here"
	_, err := listenOnly(t, cfg)
	if err == nil || !strings.Contains(err.Error(), "no-such-user-here") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(cfg.Address); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a socket was left behind: %v", err)
	}
}

func TestSocketPathsThatCannotWork(t *testing.T) {
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
			if _, err := listenOnly(t, testConfig("unix", tt.path)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestOnlyOurOwnSocketIsRemoved(t *testing.T) {
	cfg := unixConfig(t)
	s, err := listenOnly(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cfg.Address); err != nil {
		t.Fatal(err)
	}
	successor, err := listenOnly(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reconfigure(cfg); err == nil || !strings.Contains(err.Error(), "removed or replaced") {
		t.Errorf("reconfigured another's socket: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(cfg.Address); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
	if err := successor.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(cfg.Address); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("our own socket is still there: %v", err)
	}
	if err := successor.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestReconfigureFollowsNoLink(t *testing.T) {
	cfg := unixConfig(t)
	s, err := listenOnly(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	secret := cfg.Address + ".secret"
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(cfg.Address), os.Symlink(secret, cfg.Address)); err != nil {
		t.Fatal(err)
	}
	cfg.Mode = 0o666
	if _, err := s.Reconfigure(cfg); err == nil {
		t.Error("it was done")
	}
	if info, err := os.Lstat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
}

func TestConnectionsWaitForRun(t *testing.T) {
	cfg := unixConfig(t)
	if _, err := listenOnly(t, cfg); err != nil {
		t.Fatal(err)
	}
	nc, err := net.DialTimeout("unix", cfg.Address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	send(t, nc, start)
}
