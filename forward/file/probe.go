package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Probe returns the error with which the first file of a pattern could not be created at the
// time now. It creates a file in the same folder and removes it. A full disk is not an error,
// because records wait in the queue until there is room: see Free.
func Probe(pattern string, now time.Time) error {
	dir, err := Folder(pattern, now)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".dnstap-pdns-*")
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return nil
	}
	if err != nil {
		if op, ok := errors.AsType[*os.PathError](err); ok {
			err = op.Err // without the temporary name
		}
		return fmt.Errorf("creating a file in %s: %w", dir, advise(err, filepath.Join(dir, "x")))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Folder returns the folder of the files of a pattern that begin at the time now.
func Folder(pattern string, now time.Time) (string, error) {
	n, err := newNaming(pattern)
	if err != nil {
		return "", err
	}
	return filepath.Dir(n.path(now)), nil
}

// Free returns the number of bytes that this user may still write to a folder.
func Free(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return s.Bavail * uint64(s.Bsize), nil
}
