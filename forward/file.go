package forward

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// filePerm lets the group read: whoever collects the files need not be the sensor.
const filePerm = 0o640

// file writes containers to files that have their final name when they are
// complete: each is written under a temporary one in the same directory, synced
// to disk, and renamed. Its name tells the time at which it begins: the wall clock's
// in Live, the first record's in Replay. It never replaces a file. What a crash
// leaves under a temporary name is not touched again, and can be read as far as it
// goes.
type file struct {
	naming naming
	rotate time.Duration // 0: one file
	mode   Mode
	create func(path string) (openFile, error)

	open  openFile // nil: none
	path  string   // its final name
	temp  string   // its present name
	began time.Time
	size  int64 // of what is whole
	torn  bool  // there may be a part of a container behind size
}

// An openFile is what file wants of an *os.File.
type openFile interface {
	WriteAt(b []byte, offset int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

func newFile(c *SinkConfig, mode Mode) (*file, error) {
	n, err := newNaming(c.Target.Address)
	if err != nil {
		return nil, fmt.Errorf("sink %q: %w", c.Name, err)
	}
	return &file{naming: n, rotate: rotation(c), mode: mode, create: createFile}, nil
}

func createFile(path string) (openFile, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
}

func (f *file) Send(_ context.Context, b *batch, from int) (outcome, error) {
	now := wall(b.clock)
	if f.mode == Live {
		now = time.Now()
	}
	if err := f.ready(now); err != nil {
		return outcome{}, err
	}
	n, err := f.open.WriteAt(b.buf[b.start(from):], f.size)
	o := b.written(from, n)
	f.size += int64(o.sent.Bytes)
	if err != nil {
		f.torn = true
		f.cut() // or else the next write does, or Close
		return o, fmt.Errorf("writing to a file: %w", advise(err, f.temp))
	}
	return o, nil
}

// ready has the file open that now belongs to.
func (f *file) ready(now time.Time) error {
	if f.open != nil && f.over(now) {
		if err := f.publish(); err != nil {
			return err
		}
	}
	if f.open != nil {
		return nil
	}
	path := f.naming.path(now)
	for n := 0; ; n++ {
		temp := partial(numbered(path, n))
		open, err := f.create(temp)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("creating a file: %w", advise(err, temp))
		}
		f.open, f.path, f.temp, f.began, f.size, f.torn = open, path, temp, now, 0, false
		return nil
	}
}

// over reports whether now lies in another interval than the open file's.
func (f *file) over(now time.Time) bool {
	return f.rotate != 0 && intervalOf(now, f.rotate) != intervalOf(f.began, f.rotate)
}

// cut removes what stands behind the last whole container.
func (f *file) cut() error {
	if !f.torn {
		return nil
	}
	if err := f.open.Truncate(f.size); err != nil {
		return err
	}
	f.torn = false
	return nil
}

// Rest publishes a file whose interval is over, so that nobody waits for it until
// something else is to be written.
func (f *file) Rest() (time.Time, error) {
	if f.open == nil || f.rotate == 0 || f.mode == Replay {
		return time.Time{}, nil
	}
	if f.over(time.Now()) {
		return time.Time{}, f.publish()
	}
	return intervalEnd(f.began, f.rotate), nil
}

// Close publishes the open file.
func (f *file) Close() error {
	if f.open == nil {
		return nil
	}
	return f.publish()
}

// publish completes the open file and gives it its final name. Where that fails it
// stays under its temporary one, and the error says so.
func (f *file) publish() error {
	err := errors.Join(f.cut(), f.open.Sync(), f.open.Close())
	f.open = nil
	if f.size == 0 {
		return errors.Join(err, os.Remove(f.temp))
	}
	if err == nil {
		err = renameFree(f.temp, f.path)
	}
	if err != nil {
		return fmt.Errorf("completing %s, which stays under this name: %w", f.temp, advise(err, f.temp))
	}
	return syncDir(filepath.Dir(f.path))
}

// renameFree renames old to path, or to the first numbered name that is free.
func renameFree(old, path string) error {
	for n := 0; ; n++ {
		if err := rename(old, numbered(path, n)); !errors.Is(err, os.ErrExist) {
			return err
		}
	}
}

// rename never replaces. Not every file system can do that in one step.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return relink(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// relink is rename in two steps.
func relink(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

// syncDir makes a new name last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing a directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) { // some file systems have no need of it
		return fmt.Errorf("syncing a directory: %w", err)
	}
	return nil
}

// advise adds to an error what the operator can do about it.
func advise(err error, path string) error {
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w (directories are not created: make %s, writable for uid %d)", err, dir, os.Geteuid())
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w (%s must be writable for uid %d)", err, dir, os.Geteuid())
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w (%s is mounted read-only)", err, dir)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w (free some space for %s)", err, dir)
	}
	return err
}
