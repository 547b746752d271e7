// Package sockfile creates the file of a listening Unix socket, sets its mode, owner and
// group, and removes it. It also predicts which resolvers' users the file or the folders
// above it exclude.
//
// It knows users, groups and permission bits. It must not know dnstap, connections or
// configuration.
package sockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// longestPath is the length of sun_path in struct sockaddr_un without its final zero. conf
// checks it too, to report the place in the configuration.
const longestPath = 107

// Access is who may connect to a socket: only users who may write to its file.
type Access struct {
	Mode  fs.FileMode // permission bits
	Owner string      // user name or number; empty: as created
	Group string      // group name or number; empty: as created
}

// ids returns the numbers of owner and group. uid and gid are those of the file as created.
func (a Access) ids(uid, gid uint32) (owner, group uint32, err error) {
	if owner, err = accountID(a.Owner, uid, userID); err != nil {
		return 0, 0, fmt.Errorf("the socket's owner: %w", err)
	}
	if group, err = accountID(a.Group, gid, groupID); err != nil {
		return 0, 0, fmt.Errorf("the socket's group: %w", err)
	}
	return owner, group, nil
}

// A Listener listens on a Unix socket whose file it created. Its methods may be called from
// several goroutines.
type Listener struct {
	path string

	mu     sync.Mutex
	socket *socket
	access Access // granted last
	closed bool
}

// Listen creates a socket file at the absolute path with access a, and listens. It replaces
// a socket file on which no process listens, and leaves any other file alone.
func Listen(path string, a Access) (*Listener, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	s, err := create(path, a)
	if err != nil {
		return nil, err
	}
	return &Listener{path: path, socket: s, access: a}, nil
}

// current returns the socket that Restore created last, or else Listen.
func (l *Listener) current() *socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.socket
}

// Accept waits for a connection. It continues on the new socket after Restore.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		s := l.current()
		nc, err := s.Accept()
		if err != nil && s != l.current() {
			continue
		}
		return nc, err
	}
}

// Addr returns the address, which Restore does not change.
func (l *Listener) Addr() net.Addr { return l.current().Addr() }

// Grant changes mode, owner and group of the socket file to a. It returns an error, and
// changes nothing, if the file at the path is no longer the one that this Listener created.
func (l *Listener) Grant(a Access) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.socket.grant(a); err != nil {
		return err
	}
	l.access = a
	return nil
}

// Restore creates the socket file again, with the access granted last, if it was removed or
// replaced by a socket on which no process listens. It reports whether it did. Connections
// that were accepted before stay open. An error means that peers cannot connect.
func (l *Listener) Restore() (restored bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, nil
	}
	if present, err := l.socket.Present(); present || err != nil {
		return false, err
	}
	s, err := create(l.path, l.access)
	if err != nil {
		return false, err
	}
	was := l.socket
	l.socket = s
	was.Close() // ends Accept on it; fails only if it is closed
	return true, nil
}

// Close removes the socket file, if it is the one that this Listener created, and ends
// listening.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	removed := l.socket.remove() // first: an open socket's inode number is not reused
	return errors.Join(removed, l.socket.Close())
}

// A socket listens, and has the file that was created for it.
type socket struct {
	net.Listener
	*File
}

// create creates a socket file at path with access a, and listens. It binds, then grants
// access, then listens: no peer can connect before the last step, and therefore none that a
// excludes.
func create(path string, a Access) (*socket, error) {
	file, fd, err := createFile(path, path, a)
	if err != nil {
		return nil, err
	}
	s := &socket{File: file}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // net.FileListener duplicates the descriptor
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return nil, errors.Join(os.NewSyscallError("listen", err), s.remove())
	}
	if s.Listener, err = net.FileListener(f); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// createFile creates a socket file at path with access a. It returns the file and the descriptor
// of its socket, which does not listen; the caller closes it. shown is the path in errors.
func createFile(path, shown string, a Access) (f *File, fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, -1, os.NewSyscallError("socket", err)
	}
	if err = bind(fd, path, shown); err == nil {
		if f, err = Identify(path); err == nil {
			if err = f.grant(a); err == nil {
				return f, fd, nil
			}
			err = errors.Join(err, f.remove())
		}
	}
	return nil, -1, errors.Join(err, unix.Close(fd))
}

// bind binds fd to path, which errors call shown. If a stale socket file is at path, bind
// removes it first.
func bind(fd int, path, shown string) error {
	addr := &unix.SockaddrUnix{Name: path}
	err := unix.Bind(fd, addr)
	if err == unix.EADDRINUSE {
		if err := removeStale(path); err != nil {
			return err
		}
		err = unix.Bind(fd, addr)
	}
	return bindError(err, shown)
}

// bindError returns the error of bind for operators; nil stays nil.
func bindError(err error, path string) error {
	switch err {
	case nil:
		return nil
	case unix.ENOENT, unix.ENOTDIR:
		return fmt.Errorf("there is no directory %s; create it, or choose another path", filepath.Dir(path))
	case unix.EACCES, unix.EPERM, unix.EROFS:
		return fmt.Errorf("a socket may not be created in %s: %w", filepath.Dir(path), err)
	}
	return os.NewSyscallError("bind", err)
}

func checkPath(path string) error {
	if !filepath.IsAbs(path) || len(path) > longestPath {
		return fmt.Errorf("a socket needs an absolute path of at most %d bytes", longestPath)
	}
	return nil
}

func notASocket(found fs.FileInfo) error {
	return fmt.Errorf("the path is not a socket (%v); it is left alone: move it, or choose another path", found.Mode())
}

// removeStale removes the socket file at path. It returns an error if a process listens on the
// socket, or may listen, and if the file is not a socket.
func removeStale(path string) error {
	found, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if found.Mode().Type() != fs.ModeSocket {
		return notASocket(found)
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return errors.New("another process listens there; stop it, or choose another path")
	}
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // without the path, which the caller names
		}
		return fmt.Errorf("a socket is there, and it is unknown whether it is in use (%w); remove it, or choose another path",
			err)
	}
	if now, err := os.Lstat(path); err == nil && !os.SameFile(found, now) {
		return errors.New("another process has just begun to listen there")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a stale socket: %w", err)
	}
	return nil
}
