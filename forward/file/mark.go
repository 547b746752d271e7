package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A mark is an empty file, .NAME.rotate, which says that on_rotate has not succeeded yet for
// the file NAME. It is on disk before the file gets its name, and is removed when the
// command has succeeded. A start runs the command for the marks that it finds. Therefore the
// command runs at least once for each file, also if the sensor or the machine crashes.
//
// The process that will run the command, or runs it, holds the lock of the mark.

// markOf returns the mark of a file.
func markOf(path string) string { return hidden(path, markSuffix) }

// mark makes the mark of a file, or takes one that has no owner, and locks it. It is on disk
// when the directory is synced. The error is os.ErrExist if the mark has an owner. If files
// cannot be locked, no start runs the command.
func (realDisk) mark(path string) (io.Closer, error) {
	for {
		f, err := openMark(path, os.O_CREATE)
		if err != nil {
			return nil, err
		}
		if err := lock(f, path); !errors.Is(err, errInUse) {
			return f, nil
		}
		f.Close()
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			return nil, os.ErrExist
		} // its owner has just removed it
	}
}

func openMark(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|flag, filePerm)
}

// unmark removes the mark of a file.
func (f *transport) unmark(path string) error {
	if err := f.disk.remove(markOf(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing its mark: %w", err)
	}
	return nil
}

// marked returns the files of that shape that have a mark, and the first error that
// prevented finding more.
func (s shape) marked(ctx context.Context) (paths []string, err error) {
	err = s.search(ctx, func(dir string, name *element, e fs.DirEntry) error {
		base, ok := unhidden(e.Name(), markSuffix)
		switch {
		case !ok || !e.Type().IsRegular() || !name.hasNumbered(base):
		case len(paths) == maxLeftovers:
			return errManyLeftovers
		default:
			paths = append(paths, filepath.Join(dir, base))
		}
		return nil
	})
	return paths, err
}

// runMarked runs on_rotate for a file that had a mark when the sensor started, unless the
// file or the mark is gone, or the mark has another owner.
func (f *transport) runMarked(path string) error {
	mark, err := openMark(markOf(path), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = lock(mark, mark.Name())
	if err == nil && !exists(path) {
		err = f.unmark(path)
	} else if err == nil {
		f.runner.enqueueRecovered(named{path, mark})
		return nil
	}
	mark.Close()
	if errors.Is(err, errInUse) {
		return nil
	}
	return err
}
