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

// A Listener listens on a Unix socket whose file it created.
type Listener struct {
	net.Listener
	path    string
	created unix.Stat_t // of the file, after bind
}

// Listen creates a socket file at the absolute path with access a, and listens. It replaces
// a socket file on which no process listens, and leaves any other file alone.
//
// Listen binds, then grants access, then listens: before the last step no peer can connect,
// so none connects that mode, owner or group exclude.
func Listen(path string, a Access) (*Listener, error) {
	if !filepath.IsAbs(path) || len(path) > longestPath {
		return nil, fmt.Errorf("a socket needs an absolute path of at most %d bytes", longestPath)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // net.FileListener duplicates the descriptor
	if err := bind(fd, path); err != nil {
		return nil, err
	}
	l := &Listener{path: path}
	if err := unix.Lstat(path, &l.created); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if err := l.Grant(a); err != nil {
		return nil, errors.Join(err, l.remove())
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return nil, errors.Join(os.NewSyscallError("listen", err), l.remove())
	}
	if l.Listener, err = net.FileListener(f); err != nil {
		return nil, errors.Join(err, l.remove())
	}
	return l, nil
}

// bind binds fd to path, and removes a stale socket first if one is there.
func bind(fd int, path string) error {
	addr := &unix.SockaddrUnix{Name: path}
	err := unix.Bind(fd, addr)
	if err == unix.EADDRINUSE {
		if err := removeStale(path); err != nil {
			return err
		}
		err = unix.Bind(fd, addr)
	}
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

// removeStale removes a socket file on which no process listens. It returns an error for any
// other file.
func removeStale(path string) error {
	found, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if found.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("the path is not a socket (%v); it is left alone: move it, or choose another path",
			found.Mode())
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

// Grant changes mode, owner and group of the socket file to a. It returns an error, and
// changes nothing, if the file at the path is no longer the one that Listen created.
func (l *Listener) Grant(a Access) error {
	uid, gid, err := a.ids(l.created.Uid, l.created.Gid)
	if err != nil {
		return err
	}
	fd, now, err := l.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if now.Uid != uid || now.Gid != gid {
		if err := unix.Fchownat(fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("giving the socket to user %d, group %d: %w "+
				"(this needs CAP_CHOWN, or, for the group alone, to be a member)", uid, gid, err)
		}
	}
	// Not by path: the resolver may own the directory, and could replace the socket by a
	// link to another file.
	if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), a.Mode.Perm()); err != nil {
		return fmt.Errorf("setting the socket's mode: %w", err)
	}
	return nil
}

// open opens the socket file with O_PATH and without following links. It returns an error
// unless it is the file that Listen created.
func (l *Listener) open() (fd int, now unix.Stat_t, err error) {
	fd, err = unix.Open(l.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.Fstat(fd, &now); err == nil && l.isOurs(&now) {
			return fd, now, nil
		}
		unix.Close(fd)
	}
	if err == nil || err == unix.ENOENT {
		err = errors.New("our socket has been removed or replaced; restart to create it again")
	}
	return -1, now, fmt.Errorf("%s: %w", l.path, err)
}

func (l *Listener) isOurs(now *unix.Stat_t) bool {
	return now.Mode&unix.S_IFMT == unix.S_IFSOCK && now.Dev == l.created.Dev && now.Ino == l.created.Ino
}

// remove removes the socket file if it is the one that Listen created.
func (l *Listener) remove() error {
	var now unix.Stat_t
	if err := unix.Lstat(l.path, &now); err != nil || !l.isOurs(&now) {
		return nil
	}
	if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing our socket: %w", err)
	}
	return nil
}

// Close removes the socket file, if it is the one that Listen created, and ends listening.
func (l *Listener) Close() error {
	removed := l.remove() // first: an open socket's inode number is not reused
	return errors.Join(removed, l.Listener.Close())
}
