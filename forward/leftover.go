package forward

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
)

// maxLeftovers is how many files a start looks after. The next one sees to others.
const maxLeftovers = 1000

var errManyLeftovers = fmt.Errorf("more than %d; the others are seen to at the next start", maxLeftovers)

// A leftover is a temporary file that nobody has completed.
type leftover struct {
	temp string
	path string // the name that it was to have, or a numbered one
}

// A search collects leftovers. What keeps it from one directory keeps it from no
// other.
type search struct {
	ctx   context.Context
	found []leftover
	err   error // the first
}

// leftovers returns temporary files of that shape, and what kept it from finding
// more. What is not there keeps it from nothing.
func (s shape) leftovers(ctx context.Context) ([]leftover, error) {
	found := search{ctx: ctx}
	found.under("/", s)
	slices.SortFunc(found.found, func(a, b leftover) int { return strings.Compare(a.temp, b.temp) })
	return found.found, found.err
}

// under looks at what is in a directory and of that shape.
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
