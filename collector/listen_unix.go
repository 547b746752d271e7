package collector

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

// longestPath is what struct sockaddr_un holds before its final zero.
const longestPath = 107

// listenUnix binds first, grants access next and listens last: until then nobody
// can connect, so nobody is served whom mode, owner and group would keep out.
func listenUnix(cfg Config) (net.Listener, *socketFile, error) {
	if !filepath.IsAbs(cfg.Address) || len(cfg.Address) > longestPath {
		return nil, nil, fmt.Errorf("a socket needs an absolute path of at most %d bytes", longestPath)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), cfg.Address)
	defer f.Close() // the listener has a descriptor of its own
	if err := bind(fd, cfg.Address); err != nil {
		return nil, nil, err
	}
	socket, err := newSocketFile(cfg.Address)
	if err != nil {
		return nil, nil, err
	}
	if err := socket.grant(cfg); err != nil {
		return nil, nil, errors.Join(err, socket.remove())
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return nil, nil, errors.Join(os.NewSyscallError("listen", err), socket.remove())
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, nil, errors.Join(err, socket.remove())
	}
	return l, socket, nil
}

// bind takes the place of a stale socket, and of nothing else.
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

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if there.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("something is there that is no socket (%v); it is left alone: move it, or choose another path",
			there.Mode())
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
		return fmt.Errorf("a socket is there, and whether it is in use cannot be told (%w); remove it, or choose another path",
			withoutAddress(err))
	}
	if now, err := os.Lstat(path); err == nil && !os.SameFile(there, now) {
		return errors.New("another process has just begun to listen there")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a stale socket: %w", err)
	}
	return nil
}
