package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLeftovers is the number of files that one start completes. The next start completes
// others.
const maxLeftovers = 1000

var errManyLeftovers = fmt.Errorf("there are more than %d: the next start completes the others", maxLeftovers)

// A leftover is a temporary file that an earlier run did not complete.
type leftover struct {
	temp string
	path string // its intended final name
}

// leftovers returns the temporary files of that shape, and the first error that prevented
// finding more.
func (s shape) leftovers(ctx context.Context) (found []leftover, err error) {
	err = s.search(ctx, func(dir string, name *element, e fs.DirEntry) error {
		base, ok := name.permanent(e.Name())
		switch {
		case !ok || !e.Type().IsRegular():
		case len(found) == maxLeftovers:
			return errManyLeftovers
		default:
			found = append(found, leftover{filepath.Join(dir, e.Name()), filepath.Join(dir, base)})
		}
		return nil
	})
	slices.SortFunc(found, func(a, b leftover) int { return strings.Compare(a.temp, b.temp) })
	return found, err
}

// A recovery is the result of completing leftovers.
type recovery struct {
	recovered int   // files that have their final name
	foreign   int   // of these: files of another format, which were not changed
	removed   int   // files without a whole unit
	cut       int64 // bytes removed after the last whole unit
	failed    []error
}

// left is what earlier runs left.
type left struct {
	files  []leftover
	marked []string // files for which on_rotate has to run
	err    error    // prevented finding more
}

// findLeft finds what earlier runs left.
func (f *transport) findLeft() (l left) {
	l.files, l.err = f.shape.leftovers(f.background)
	if f.runner != nil {
		var err error
		l.marked, err = f.shape.marked(f.background)
		l.err = errors.Join(l.err, err)
	}
	return l
}

// recover completes the files that earlier runs left when they crashed, and runs on_rotate
// for files that have a mark. It never changes a file that a process is writing.
func (f *transport) recover(left left) {
	var s recovery
	if left.err != nil {
		s.failed = append(s.failed, fmt.Errorf("looking for them: %w", left.err))
	}
	for _, l := range left.files {
		if f.background.Err() != nil {
			break // the next start completes them
		}
		if err := s.complete(f, l); err != nil {
			s.failed = append(s.failed, fmt.Errorf("%s: %w", l.temp, err))
		}
	}
	for _, path := range left.marked { // after the files above, which may get such a name
		if f.background.Err() != nil {
			break
		}
		if err := f.runMarked(path); err != nil {
			s.failed = append(s.failed, fmt.Errorf("on_rotate for %s: %w", path, err))
		}
	}
	s.report(f)
}

func (s *recovery) report(f *transport) {
	if s.recovered+s.removed > 0 {
		f.log.Info("completed files of an earlier run",
			"recovered", s.recovered, "removed", s.removed, "bytes_cut", s.cut)
	}
	if s.foreign > 0 {
		f.log.Warn("files of an earlier run have another format than this sink: they got their names as they were, and may end in a part of a record",
			"files", s.foreign)
	}
	if n := len(s.failed); n > 0 && f.background.Err() == nil {
		f.log.Error("not all files of an earlier run could be completed and synced; the next start completes the others",
			"failures", n, "error", s.failed[0])
	}
}

// complete ends one file after its last whole unit, and renames it to its final name.
func (s *recovery) complete(f *transport, l leftover) error {
	open, err := os.OpenFile(l.temp, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // another process has completed it
	}
	if err != nil {
		return advise(err, l.temp)
	}
	defer open.Close() // the data are synced
	switch err := lock(open, l.temp); {
	case errors.Is(err, errInUse):
		return nil
	case err != nil:
		return err
	}
	empty, err := s.end(f, open)
	if err != nil {
		return advise(err, l.temp)
	}
	if empty {
		s.removed++
		return f.disk.remove(l.temp)
	}
	unsynced := open.Sync()
	file, _, err := f.rename(l.temp, l.path, 0)
	if err != nil {
		return advise(errors.Join(unsynced, err), l.temp)
	}
	s.recovered++
	err = f.disk.syncDir(filepath.Dir(file.path))
	f.runner.enqueueRecovered(file)
	return errors.Join(unsynced, err)
}

// end makes a file end after its last whole unit, and reports whether it has none. It does not
// change a file of another format.
func (s *recovery) end(f *transport, file *os.File) (empty bool, err error) {
	foreign, err := f.format.isForeign(file)
	if err != nil {
		return false, err
	}
	if foreign {
		s.foreign++
		return false, nil
	}
	whole, err := f.format.units.Whole(contextReader{f.background, file})
	if err != nil {
		return false, err
	}
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	if f.format.isEmpty(whole) {
		s.cut += info.Size()
		return true, nil
	}
	rest := make([]byte, len(f.format.end))
	if n, _ := file.ReadAt(rest, whole); bytes.Equal(rest[:n], f.format.end) && info.Size() == whole+int64(n) {
		return false, nil
	}
	s.cut += info.Size() - whole
	if err := file.Truncate(whole); err != nil {
		return false, err
	}
	_, err = file.WriteAt(f.format.end, whole)
	return false, err
}

// A contextReader reads from r until ctx ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (w contextReader) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}
