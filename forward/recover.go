package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A salvage is what became of the files that earlier runs left behind.
type salvage struct {
	recovered int   // have their final name
	removed   int   // held nothing whole
	cut       int64 // bytes, behind the last whole container of either
	failed    []error
}

// recover completes files that earlier runs left behind, as a crash leaves them;
// err is what kept them from being found, if anything did. It never touches one that
// is being written, by whomever.
func (f *file) recover(left []leftover, err error) {
	var s salvage
	if err != nil {
		s.failed = append(s.failed, fmt.Errorf("looking for them: %w", err))
	}
	for _, l := range left {
		if f.beside.Err() != nil {
			break // the next start sees to them
		}
		if err := s.complete(f, l); err != nil {
			s.failed = append(s.failed, fmt.Errorf("%s: %w", l.temp, err))
		}
	}
	s.report(f)
}

func (s *salvage) report(f *file) {
	if s.recovered+s.removed > 0 {
		f.log.Info("completed files that an earlier run had left behind",
			"recovered", s.recovered, "removed", s.removed, "bytes_cut", s.cut)
	}
	if n := len(s.failed); n > 0 && f.beside.Err() == nil {
		f.log.Error("cannot complete all files that an earlier run has left behind; they stay as they are",
			"failures", n, "error", s.failed[0])
	}
}

// complete keeps what is whole of one file, and gives it its final name.
func (s *salvage) complete(f *file, l leftover) error {
	open, err := os.OpenFile(l.temp, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // somebody else was quicker
	}
	if err != nil {
		return advise(err, l.temp)
	}
	defer open.Close() // all is synced before
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
	whole, err := nmsg.Whole(whileReader{f.beside, open})
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
	f.kicker.kickRecovered(path)
	return syncDir(filepath.Dir(path))
}

// A whileReader reads until its context ends.
type whileReader struct {
	ctx context.Context
	r   io.Reader
}

func (w whileReader) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}
