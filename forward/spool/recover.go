package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// recover reads the index of an earlier run, and what that run wrote to segments since it
// wrote the index. Segments that it wrote are not appended to.
func (s *store) recover(ctx context.Context) error {
	files, err := s.files()
	if err != nil {
		return err
	}
	if files, err = s.readIndex(files); err != nil {
		return err
	}
	if err := s.adopt(ctx, files); err != nil {
		return err
	}
	s.adjustMarks()
	off := s.clock.offset(&s.index.Written)
	for i := range s.index.Segments {
		g := &s.index.Segments[i]
		g.First, g.Last = g.First+off, g.Last+off
	}
	return nil
}

// A found is a segment file and its size.
type found struct {
	number uint64
	size   int64
}

// files returns the segments in the folder, by number.
func (s *store) files() (all []found, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("reading the folder of the spool: %w", err)
	}
	for _, e := range entries {
		number, ok := segmentNumber(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the folder of the spool: %w", err)
		}
		all = append(all, found{number, info.Size()})
	}
	return all, nil // names have leading zeros, and ReadDir sorts them
}

func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != segmentDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0
}

// readIndex reads the index, and returns the segments that may belong to it. It sets a damaged
// index aside: then all segments are sent, also those that were sent before. With an index of
// an unknown version it sets the segments aside too, because they may contain something else.
func (s *store) readIndex(files []found) ([]found, error) {
	s.index.Written = s.clock.moment()
	path := filepath.Join(s.dir, indexName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the index of the spool: %w", err)
	}
	x, err := decodeIndex(b)
	if err == nil {
		s.index = *x
		return files, nil
	}
	s.log.Error("the index of the spool cannot be used, and is set aside", "file", path, "error", err)
	suffix := time.Now().UTC().Format(".20060102T150405.000000000") + damagedSuffix
	s.asideFile(path, path+suffix)
	if _, unknown := errors.AsType[versionError](err); !unknown {
		return files, nil
	}
	for _, f := range files {
		s.asideFile(s.path(f.number), s.path(f.number)+suffix)
	}
	return nil, nil
}

// adopt compares the index with the files. A segment without a file was sent or dropped. A
// file that the index does not know was sent or dropped too, unless it is newer.
func (s *store) adopt(ctx context.Context, files []found) error {
	known := s.index.Segments
	next := s.index.Next
	s.index.Segments = nil
	for _, f := range files {
		i := slices.IndexFunc(known, func(g segment) bool { return g.Number == f.number })
		g := segment{Number: f.number, First: s.index.Written.Clock, Last: s.index.Written.Clock}
		if i >= 0 {
			g = known[i]
		}
		if i < 0 && f.number < next {
			s.unlink(s.path(f.number))
			continue
		}
		if i < 0 || i == len(known)-1 {
			if err := s.grow(ctx, &g); err != nil {
				return err
			}
		}
		if g.Bytes == 0 {
			s.unlink(s.path(f.number))
			continue
		}
		s.index.Segments = append(s.index.Segments, g)
		s.index.Next = max(s.index.Next, f.number+1)
	}
	s.index.Next = max(s.index.Next, 1)
	if s.empty() || len(known) == 0 || s.index.Segments[0].Number != known[0].Number {
		s.index.Acked = volume{}
	}
	return nil
}

// grow adds to a segment the whole containers after those that it has.
func (s *store) grow(ctx context.Context, g *segment) error {
	f, err := s.disk.read(s.path(g.Number), g.Bytes)
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	defer f.Close()
	for in := nmsg.NewContainers(f); ctx.Err() == nil; {
		container, records, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the spool: %w", err)
		}
		g.add(volume{int64(len(container)), 1, uint64(records)})
	}
	return ctx.Err()
}

// adjustMarks moves marks for containers that were not written to Carry, and removes those of
// segments that were sent or dropped.
func (s *store) adjustMarks() {
	marks := s.index.Marks
	s.index.Marks = nil
	for _, m := range marks {
		i := slices.IndexFunc(s.index.Segments, func(g segment) bool { return g.Number == m.Segment })
		switch {
		case i >= 0 && m.Offset < s.index.Segments[i].Bytes:
			s.index.Marks = append(s.index.Marks, m)
		case i >= 0 && i+1 < len(s.index.Segments):
			s.index.mark(s.index.Segments[i+1].Number, 0, m.Dropped)
		case i >= 0 || m.Segment+1 == s.index.Next:
			addDropped(&s.index.Carry, m.Dropped)
		}
	}
}
