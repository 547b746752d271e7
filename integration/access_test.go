package integration

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/collector/sockfile"
)

// TestExclusionsMatchTheKernel compares the predicted exclusions of the resolvers' users with
// the kernel, for every relevant mode of the socket and of its folder, and every kind of
// owner and group.
func TestExclusionsMatchTheKernel(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bind", "unbound", "pdns"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			as := becomeUser(t, name)
			base, err := os.MkdirTemp("", "access")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(base) })
			if err := os.Chmod(base, 0o755); err != nil {
				t.Fatal(err)
			}
			const other = 65533
			excluded, tried := 0, 0
			try := func(socket, folder access) {
				tried++
				if as.tryBoth(t, base, socket, folder) {
					excluded++
				}
			}
			for _, uid := range []uint32{0, as.uid, other} {
				for _, gid := range []uint32{0, as.gid, other} {
					for _, mode := range modes(0o222) {
						try(access{mode, uid, gid}, access{0o755, 0, 0})
					}
					for _, mode := range modes(0o111) {
						try(access{0o666, 0, 0}, access{mode, uid, gid})
					}
				}
			}
			// Files created in a setgid folder get its group.
			try(access{0o660, 0, unset}, access{0o755 | os.ModeSetgid, 0, as.gid})
			try(access{0o660, 0, unset}, access{0o755, 0, as.gid})
			if excluded == 0 || excluded == tried {
				t.Errorf("%d of %d combinations are excluded: the test needs both outcomes", excluded, tried)
			}
		})
	}
}

// TestExclusionsFollowLinks checks that a symbolic link to the socket's folder needs access
// to the folders of its target.
func TestExclusionsFollowLinks(t *testing.T) {
	t.Parallel()
	as := becomeUser(t, "unbound")
	base, err := os.MkdirTemp("", "access")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	inner := filepath.Join(base, "closed", "open")
	link := filepath.Join(base, "link")
	if err := errors.Join(os.Chmod(base, 0o755), os.MkdirAll(inner, 0o755), os.Symlink("closed/open", link)); err != nil {
		t.Fatal(err)
	}
	for _, mode := range modes(0o111) {
		if err := os.Chmod(filepath.Dir(inner), mode); err != nil {
			t.Fatal(err)
		}
		as.try(t, filepath.Join(link, "tap.sock"), access{0o666, 0, 0})
	}
}

// modes returns every combination of those bits, once with none and once with all of the
// other bits, which must not matter.
func modes(bits os.FileMode) (all []os.FileMode) {
	for mode := range os.FileMode(0o1000) {
		if others := mode &^ bits; others == 0 || others == 0o777&^bits {
			all = append(all, mode)
		}
	}
	return all
}

// access is the mode, owner and group of a file.
type access struct {
	mode     os.FileMode
	uid, gid uint32
}

// unset keeps the group with which a file is created.
const unset = 1<<32 - 1

// An otherUser connects as a user, on a thread that has become that user and ends with the test.
type otherUser struct {
	name     string
	uid, gid uint32
	calls    chan func()
}

func becomeUser(t *testing.T, name string) *otherUser {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatalf("%v (make test installs the resolvers, and with them their users)", err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		t.Fatal(err)
	}
	p := &otherUser{name: name, uid: number(t, u.Uid), gid: number(t, u.Gid), calls: make(chan func())}
	groups := []uint32{p.gid}
	for _, id := range ids {
		groups = append(groups, number(t, id))
	}
	became, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		became <- p.become(groups)
		for call := range p.calls {
			call()
		}
	}()
	t.Cleanup(func() { close(p.calls); <-done })
	if err := <-became; err != nil {
		t.Fatalf("become %s: %v (the integration tests run as root)", name, err)
	}
	return p
}

func number(t *testing.T, id string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// become changes the user of the calling thread only; package syscall would change the
// whole process.
func (p *otherUser) become(groups []uint32) error {
	_, _, setgroups := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0)
	_, _, setgid := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(p.gid), uintptr(p.gid), uintptr(p.gid))
	_, _, setuid := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(p.uid), uintptr(p.uid), uintptr(p.uid))
	for _, errno := range []syscall.Errno{setgroups, setgid, setuid} {
		if errno != 0 {
			return errno
		}
	}
	return nil
}

// connect returns the kernel's result of connecting to a socket.
func (p *otherUser) connect(path string) error {
	result := make(chan error, 1)
	p.calls <- func() {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
			unix.Close(fd)
		}
		result <- err
	}
	return <-result
}

// tryBoth makes a folder and a socket in it, and checks the access to both.
func (p *otherUser) tryBoth(t *testing.T, base string, socket, folder access) (excluded bool) {
	t.Helper()
	dir := filepath.Join(base, "folder")
	err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(folder.uid), int(folder.gid)), os.Chmod(dir, folder.mode))
	if err != nil {
		t.Fatal(err)
	}
	excluded = p.try(t, filepath.Join(dir, "tap.sock"), socket)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	return excluded
}

// try listens at path, and compares the predicted exclusion with the kernel's.
func (p *otherUser) try(t *testing.T, path string, socket access) (excluded bool) {
	t.Helper()
	cfg := collector.Config{
		Name: "tap", Network: "unix", Address: path, MaxConnections: 1, MaxFrame: 512, HandshakeTimeout: 1,
		Mode: socket.mode, Owner: fmt.Sprint(socket.uid),
	}
	if socket.gid != unset {
		cfg.Group = fmt.Sprint(socket.gid)
	}
	before := p.predict(t, cfg)
	source, err := collector.Listen(cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	err = p.connect(path)
	if err != nil && !errors.Is(err, unix.EACCES) {
		t.Fatal(err)
	}
	if after := p.predict(t, cfg); before != (err != nil) || after != before {
		t.Errorf("%s, socket %v: predicted exclusion %v before the socket existed and %v after; the kernel returns %v",
			p.name, socket, before, after, err)
	}
	return err != nil
}

func (p *otherUser) predict(t *testing.T, cfg collector.Config) bool {
	t.Helper()
	all, err := collector.PredictExclusions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(all, func(e sockfile.Exclusion) bool { return e.User == p.name })
}
