package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// publish completes the open file and renames it to its final name. If that fails, the file
// keeps its temporary name, which the error states.
func (f *transport) publish() error {
	open := f.open
	defer func() { f.open = nil }()
	err := f.trim()
	if f.size == 0 {
		return errors.Join(err, os.Remove(f.temp), open.Close())
	}
	var path string
	if err == nil {
		path, err = f.complete()
	}
	err = errors.Join(err, open.Close()) // it releases the lock, so it must follow the rename
	if path == "" {
		return fmt.Errorf("completing %s, which keeps this name: %w", f.temp, advise(err, f.temp))
	}
	f.runner.enqueue(path)
	return errors.Join(err, syncDir(filepath.Dir(path)))
}

// complete renames the open file to its final name, and returns that name.
func (f *transport) complete() (string, error) {
	if f.path != f.given {
		f.given, f.next = f.path, 0
	}
	path, n, err := complete(f.open, f.temp, f.path, f.next)
	if err != nil {
		return "", err
	}
	f.next = n + 1
	return path, nil
}

// complete syncs a file to disk and renames it to the first free name, from number n on. It
// returns that name and its number.
func complete(f openFile, temp, path string, n int) (string, int, error) {
	if err := f.Sync(); err != nil {
		return "", 0, err
	}
	for ; ; n++ {
		name := numbered(path, n)
		if err := rename(temp, name); !errors.Is(err, os.ErrExist) {
			return name, n, err
		}
	}
}

// rename renames a file and never replaces another. Some file systems need two steps; after
// a crash between them the file has both names, and rename removes the old one.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return relink(from, to)
	}
	if errors.Is(err, unix.EEXIST) && sameFile(from, to) {
		return os.Remove(from)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Lstat(a)
	infoB, errB := os.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// relink is rename in two steps.
func relink(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

// syncDir syncs a new name to disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing a directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) { // some file systems do not need it
		return fmt.Errorf("syncing a directory: %w", err)
	}
	return nil
}

var errInUse = errors.New("it is in use")

// lock locks an open file until it is closed, against all processes: a locked file is being
// written, an unlocked one was left by an earlier run. The error is errInUse if the file is
// locked, or if path is no longer its name, so that the holder of the lock can rely on the
// name.
func lock(f *os.File, path string) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errInUse
	}
	if err != nil {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	locked, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(locked, named) {
		return errInUse
	}
	return err
}
