package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward/ondisk"
)

// A disk has the operations whose effect must survive a crash. A test replaces it, to know
// their order.
type disk interface {
	create(path string) (openFile, error) // a new file, locked; os.ErrExist if there is one
	rename(from, to string) error         // never replaces a file
	syncDir(dir string) error             // so that the names in a directory survive a crash
	remove(path string) error             // removes a file
	mark(path string) (io.Closer, error)  // makes a mark, locked; os.ErrExist if it has an owner
}

// An openFile is the part of a file that is used.
type openFile interface {
	Write(b []byte) (int, error) // at the end
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Sync() error
	SyncData() error // without the times
	Close() error
}

// realDisk is the disk of the operating system.
type realDisk struct{}

// create makes a file and locks it, so that recovery in another process does not complete
// it. If files cannot be locked, no process recovers any. The file is appended to: when
// another program truncates it, its size stays wrong, which check notices.
func (realDisk) create(path string) (openFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, filePerm)
	if err != nil {
		return nil, err
	}
	if err := lock(f, path); errors.Is(err, errInUse) {
		f.Close()
		return nil, os.ErrExist
	}
	return realFile{f}, nil
}

func (realDisk) remove(path string) error { return os.Remove(path) }

// rename renames a file and never replaces another. Some file systems need two steps; after
// a crash between them the file has both names, and the next rename removes the old one.
func (realDisk) rename(from, to string) error {
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

// relink renames by a second link and removal of the first, for file systems that cannot
// refuse to replace a file.
func relink(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

func (realDisk) syncDir(dir string) error {
	if err := ondisk.Sync(dir); err != nil {
		return fmt.Errorf("syncing a directory: %w", err)
	}
	return nil
}

// realFile is a file of the operating system.
type realFile struct{ *os.File }

// SyncData writes the data and the size to disk.
func (f realFile) SyncData() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
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
