package collector

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A socketFile is a Unix socket's name in the file system.
type socketFile struct {
	path    string
	created unix.Stat_t // as the socket was bound
}

func newSocketFile(path string) (*socketFile, error) {
	f := &socketFile{path: path}
	if err := unix.Lstat(path, &f.created); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return f, nil
}

// grant gives the file the mode, owner and group of cfg; those it does not name
// are as created.
func (f *socketFile) grant(cfg Config) error {
	uid, err := accountID(cfg.Owner, f.created.Uid, userID)
	if err != nil {
		return fmt.Errorf("the socket's owner: %w", err)
	}
	gid, err := accountID(cfg.Group, f.created.Gid, groupID)
	if err != nil {
		return fmt.Errorf("the socket's group: %w", err)
	}
	fd, now, err := f.hold()
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
	// Through the descriptor, for the resolver may own the directory and put a link
	// to something else in the socket's place.
	if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), cfg.Mode.Perm()); err != nil {
		return fmt.Errorf("setting the socket's mode: %w", err)
	}
	return nil
}

// hold opens the file itself, without following links, if it is still ours.
func (f *socketFile) hold() (fd int, now unix.Stat_t, err error) {
	fd, err = unix.Open(f.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.Fstat(fd, &now); err == nil && f.isOurs(&now) {
			return fd, now, nil
		}
		unix.Close(fd)
	}
	if err == nil || err == unix.ENOENT {
		err = errors.New("our socket has been removed or replaced; restart to create it again")
	}
	return -1, now, fmt.Errorf("%s: %w", f.path, err)
}

func (f *socketFile) isOurs(now *unix.Stat_t) bool {
	return now.Mode&unix.S_IFMT == unix.S_IFSOCK && now.Dev == f.created.Dev && now.Ino == f.created.Ino
}

// remove removes the file, unless it is no longer ours.
func (f *socketFile) remove() error {
	var now unix.Stat_t
	if err := unix.Lstat(f.path, &now); err != nil || !f.isOurs(&now) {
		return nil
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing our socket: %w", err)
	}
	return nil
}
