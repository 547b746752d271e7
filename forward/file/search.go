package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A search goes through the directories of a shape. It continues after a directory that it
// cannot read.
type search struct {
	ctx   context.Context
	visit func(dir string, name *element, e fs.DirEntry) error
	err   error // the first error
}

// search calls visit for each entry of every directory of that shape, with the last element
// of the shape, and returns the first error. A missing directory is not an error.
func (s shape) search(ctx context.Context, visit func(dir string, name *element, e fs.DirEntry) error) error {
	all := search{ctx: ctx, visit: visit}
	all.under("/", s)
	return all.err
}

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
	if len(rest) == 1 {
		s.fail(s.visit(dir, &rest[0], e))
	} else if rest[0].has(e.Name()) {
		s.under(filepath.Join(dir, e.Name()), rest[1:])
	}
}

func (s *search) fail(err error) {
	absent := errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
	if s.err == nil && err != io.EOF && !absent {
		s.err = err
	}
}
