package file

import (
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

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
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

// A search collects leftovers. It continues after a directory that it cannot read.
type search struct {
	ctx   context.Context
	found []leftover
	err   error // the first error
}

// leftovers returns the temporary files of that shape, and the first error that prevented
// finding more. A missing directory is not an error.
func (s shape) leftovers(ctx context.Context) ([]leftover, error) {
	found := search{ctx: ctx}
	found.under("/", s)
	slices.SortFunc(found.found, func(a, b leftover) int { return strings.Compare(a.temp, b.temp) })
	return found.found, found.err
}

// under adds the leftovers of that shape below a directory.
func (s *search) under(dir string, rest shape) {
	if len(rest) > 1 && rest[0].set == nil {
		s.under(filepath.Join(dir, rest[0].literal), rest[1:])
		return
	}
	d, err := os.Open(dir)
	if err != nil {
		s.fail(err)
		return
	}
	defer d.Close()
	for s.ctx.Err() == nil {
		some, err := d.ReadDir(1000) // there may be many
		for _, e := range some {
			s.entry(dir, e, rest)
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *search) entry(dir string, e fs.DirEntry, rest shape) {
	if len(rest) > 1 {
		if rest[0].has(e.Name()) {
			s.under(filepath.Join(dir, e.Name()), rest[1:])
		}
		return
	}
	base, ok := rest[0].permanent(e.Name())
	switch {
	case !ok || !e.Type().IsRegular():
	case len(s.found) == maxLeftovers:
		s.fail(errManyLeftovers)
	default:
		s.found = append(s.found, leftover{filepath.Join(dir, e.Name()), filepath.Join(dir, base)})
	}
}

func (s *search) fail(err error) {
	absent := errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
	if s.err == nil && err != io.EOF && !absent {
		s.err = err
	}
}

// A recovery is the result of completing leftovers.
type recovery struct {
	recovered int   // files that have their final name
	removed   int   // files without a whole container
	cut       int64 // bytes removed after the last whole container
	failed    []error
}

// recover completes the files that earlier runs left when they crashed; err is the error,
// if any, that prevented finding all of them. It never changes a file that a process is
// writing.
func (f *transport) recover(left []leftover, err error) {
	var s recovery
	if err != nil {
		s.failed = append(s.failed, fmt.Errorf("looking for them: %w", err))
	}
	for _, l := range left {
		if f.background.Err() != nil {
			break // the next start completes them
		}
		if err := s.complete(f, l); err != nil {
			s.failed = append(s.failed, fmt.Errorf("%s: %w", l.temp, err))
		}
	}
	s.report(f)
}

func (s *recovery) report(f *transport) {
	if s.recovered+s.removed > 0 {
		f.log.Info("completed files of an earlier run",
			"recovered", s.recovered, "removed", s.removed, "bytes_cut", s.cut)
	}
	if n := len(s.failed); n > 0 && f.background.Err() == nil {
		f.log.Error("cannot complete all files of an earlier run; the others stay as they are",
			"failures", n, "error", s.failed[0])
	}
}

// complete truncates one file after its last whole container, and renames it to its final
// name.
func (s *recovery) complete(f *transport, l leftover) error {
	open, err := os.OpenFile(l.temp, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // another process has completed it
	}
	if err != nil {
		return advise(err, l.temp)
	}
	defer open.Close() // complete has synced the file
	switch err := lock(open, l.temp); {
	case errors.Is(err, errInUse):
		return nil
	case err != nil:
		return err
	}
	info, err := open.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	whole, err := nmsg.Whole(contextReader{f.background, open})
	if err != nil {
		return err
	}
	if whole == 0 {
		s.removed++
		s.cut += size
		return os.Remove(l.temp)
	}
	if whole < size {
		if err := open.Truncate(whole); err != nil {
			return err
		}
	}
	path, _, err := complete(open, l.temp, l.path, 0)
	if err != nil {
		return advise(err, l.temp)
	}
	s.recovered++
	s.cut += size - whole
	f.runner.enqueueRecovered(path)
	return syncDir(filepath.Dir(path))
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
