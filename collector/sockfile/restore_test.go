package sockfile

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// accepting accepts connections of l until it is closed, and answers each with one byte.
func accepting(t *testing.T, l *Listener) {
	done := make(chan error, 1)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				done <- err
				return
			}
			nc.Write([]byte{1})
			t.Cleanup(func() { nc.Close() })
		}
	}()
	t.Cleanup(func() {
		l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept ended with %v", err)
		}
	})
}

// connect connects to path, and waits until the connection is accepted.
func connect(t *testing.T, path string) net.Conn {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
		t.Fatal("not accepted: ", err)
	}
	return nc
}

func TestRestore(t *testing.T) {
	remove := func(_ *testing.T, path string) error { return os.Remove(path) }
	for name, tt := range map[string]struct {
		harm     func(*testing.T, string) error
		restored bool
		err      string
	}{
		"nothing":                    {func(*testing.T, string) error { return nil }, false, ""},
		"removed":                    {remove, true, ""},
		"moved":                      {func(_ *testing.T, path string) error { return os.Rename(path, path+".moved") }, true, ""},
		"replaced by a stale socket": {func(t *testing.T, path string) error { os.Remove(path); makeStaleSocket(t, path); return nil }, true, ""},
		"replaced by a file": {func(_ *testing.T, path string) error { os.Remove(path); return os.WriteFile(path, nil, 0o600) },
			false, "the path is not a socket"},
		"replaced by a link": {func(_ *testing.T, path string) error { os.Remove(path); return os.Symlink(path+".x", path) },
			false, "the path is not a socket"},
		"replaced by another process": {func(t *testing.T, path string) error {
			os.Remove(path)
			_, err := listen(t, path, defaultAccess)
			return err
		},
			false, "another process listens there"},
		"removed with its folder": {func(_ *testing.T, path string) error { return os.RemoveAll(filepath.Dir(path)) },
			false, "there is no directory"},
		"folder replaced by a file": {func(_ *testing.T, path string) error {
			return errors.Join(os.RemoveAll(filepath.Dir(path)), os.WriteFile(filepath.Dir(path), nil, 0o600))
		}, false, "there is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run", "dnstap.sock")
			if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			l, err := listen(t, path, Access{Mode: 0o600})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Grant(Access{Mode: 0o620}); err != nil {
				t.Fatal(err)
			}
			accepting(t, l)
			before := connect(t, path)
			if err := tt.harm(t, path); err != nil {
				t.Fatal(err)
			}
			was, _ := os.Lstat(path)
			restored, err := l.Restore()
			if restored != tt.restored || tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("got %v, %v; want %v, %q", restored, err, tt.restored, tt.err)
			}
			if err != nil { // what is there is left alone
				if now, _ := os.Lstat(path); (now == nil) != (was == nil) || now != nil && !os.SameFile(was, now) {
					t.Errorf("%v became %v", was, now)
				}
				os.RemoveAll(path)
				if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
					if err := errors.Join(os.RemoveAll(filepath.Dir(path)), os.Mkdir(filepath.Dir(path), 0o755)); err != nil {
						t.Fatal(err)
					}
				}
				if restored, err := l.Restore(); !restored || err != nil {
					t.Fatalf("after the problem has ended: %v, %v", restored, err)
				}
			}
			connect(t, path)
			if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o620 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if again, err := l.Restore(); again || err != nil {
				t.Errorf("restored again: %v, %v", again, err)
			}
			if _, err := before.Write([]byte{1}); err != nil {
				t.Errorf("the connection from before: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if restored, err := l.Restore(); restored || err != nil {
				t.Errorf("restored after Close: %v, %v", restored, err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
		})
	}
}

func TestIdentifyOnlySockets(t *testing.T) {
	path := socketPath(t)
	if _, err := Identify(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: got %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Identify(path); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("a file: got %v", err)
	}
}
