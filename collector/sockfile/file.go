package sockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A File is the file of a socket, as it was when it was identified.
type File struct {
	path    string
	created unix.Stat_t
}

// Identify returns the file at path, which is a socket.
func Identify(path string) (*File, error) {
	f := &File{path: path}
	if err := unix.Lstat(path, &f.created); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if !f.is(&f.created) {
		return nil, fmt.Errorf("%s is not a socket", path)
	}
	return f, nil
}

// is reports whether the file that now describes is f. The socket of f must be open: then its
// inode number is not reused.
func (f *File) is(now *unix.Stat_t) bool {
	return now.Mode&unix.S_IFMT == unix.S_IFSOCK && now.Dev == f.created.Dev && now.Ino == f.created.Ino
}

// Present reports whether the file is still at its path: it was not removed, and not replaced
// by another one. The socket must be open. An error means that the path cannot be looked at.
func (f *File) Present() (bool, error) {
	var now unix.Stat_t
	switch err := unix.Lstat(f.path, &now); err {
	case nil:
		return f.is(&now), nil
	case unix.ENOENT, unix.ENOTDIR:
		return false, nil
	default:
		return false, fmt.Errorf("looking at the socket: %w", err)
	}
}

// grant changes mode, owner and group of the file to a, unless another file is at its path.
func (f *File) grant(a Access) error {
	uid, gid, err := a.ids(f.created.Uid, f.created.Gid)
	if err != nil {
		return err
	}
	fd, now, err := f.open()
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

// open opens the file with O_PATH and without following links. It returns an error if another
// file is at its path.
func (f *File) open() (fd int, now unix.Stat_t, err error) {
	fd, err = unix.Open(f.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.Fstat(fd, &now); err == nil && f.is(&now) {
			return fd, now, nil
		}
		unix.Close(fd)
	}
	if err == nil || err == unix.ENOENT {
		err = errors.New("our socket has been removed or replaced; try again when it has been created again")
	}
	return -1, now, fmt.Errorf("%s: %w", f.path, err)
}

// remove removes the file, unless another file is at its path.
func (f *File) remove() error {
	if present, err := f.Present(); !present || err != nil {
		return nil
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing our socket: %w", err)
	}
	return nil
}
