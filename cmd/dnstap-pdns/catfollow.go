package main

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
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
)

// An nmsgFile is a file to print.
type nmsgFile struct {
	path  string // at present
	final string // the path that it has, or will have, when it is finished
	fileStat
}

// A fileStat is what distinguishes files, also under other names.
type fileStat struct {
	id       fileID
	modified time.Time
	regular  bool
}

// A fileID identifies a file. File systems reuse the numbers of deleted files, but a file with the
// same number has another birth.
type fileID struct {
	device, inode uint64
	birth         unix.StatxTimestamp
}

// statOf returns the fileStat of a path or, if it is empty, of an open file.
func statOf(open int, path string) (fileStat, error) {
	var s unix.Statx_t
	if err := unix.Statx(open, path, unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &s); err != nil {
		return fileStat{}, err
	}
	return fileStat{
		id:       fileID{unix.Mkdev(s.Dev_major, s.Dev_minor), s.Ino, s.Btime},
		modified: time.Unix(s.Mtime.Sec, int64(s.Mtime.Nsec)),
		regular:  s.Mode&unix.S_IFMT == unix.S_IFREG,
	}, nil
}

// isUnfinished reports whether a path is the temporary name of a file that a sink is writing.
func isUnfinished(path string) bool {
	_, temporary := file.Permanent(filepath.Base(path))
	return temporary
}

// nmsgFiles returns the NMSG files of a folder, finished or not, in the order of their final names.
func nmsgFiles(folder string) ([]nmsgFile, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("reading the folder %s: %w", conf.Escape(folder), err)
	}
	var all []nmsgFile
	for _, e := range entries {
		name := e.Name()
		if final, temporary := file.Permanent(name); temporary {
			name = final
		}
		if filepath.Ext(name) != ".nmsg" {
			continue
		}
		f := nmsgFile{path: filepath.Join(folder, e.Name()), final: filepath.Join(folder, name)}
		f.fileStat, err = statOf(unix.AT_FDCWD, f.path)
		if errors.Is(err, fs.ErrNotExist) && f.path != f.final { // it was finished meanwhile
			f.path = f.final
			f.fileStat, err = statOf(unix.AT_FDCWD, f.path)
		}
		if err == nil && f.regular {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b nmsgFile) int { return strings.Compare(a.final, b.final) })
	return all, nil
}

// open opens the file and returns its path, which is the final one if it was finished meanwhile.
func (f *nmsgFile) open() (*os.File, string, error) {
	open, err := openInput(f.path)
	if errors.Is(err, fs.ErrNotExist) && f.final != f.path {
		open, err = openInput(f.final)
		return open, f.final, err
	}
	return open, f.path, err
}

// followTime is the time between two searches for more octets or files.
const followTime = time.Second

// follow prints a file or folder as it grows, until ctx ends.
func (p *printer) follow(ctx context.Context, path string) error {
	f := &follower{ctx: ctx, path: path}
	defer f.close()
	if err := f.begin(); err != nil {
		return err
	}
	for f.next() {
		if err := p.stream(conf.Escape(f.current.path), f, func() bool { return !f.last }); err != nil {
			return err
		}
	}
	return p.result()
}

// A follower reads one file after the other, each until a newer one exists.
type follower struct {
	ctx  context.Context
	path string // of a file or folder

	known, before map[fileID]bool // at the latest search, and at the one before
	waiting       []openFile      // not read yet, oldest first
	current       openFile
	last          bool // a newer file exists
}

// An openFile is a file under the path at which it was found.
type openFile struct {
	*os.File
	path string
}

// begin opens the newest file. A folder may have none yet.
func (f *follower) begin() error {
	all, err := f.list()
	if err != nil {
		return err
	}
	f.known = map[fileID]bool{}
	for i := range all {
		if i < len(all)-1 || f.add(&all[i]) {
			f.known[all[i].id] = true
		}
	}
	return nil
}

// list returns the present files, oldest first.
func (f *follower) list() ([]nmsgFile, error) {
	state, err := statOf(unix.AT_FDCWD, f.path)
	if err != nil {
		return nil, fmt.Errorf("following %s: %w", conf.Escape(f.path), err)
	}
	if state.regular {
		return []nmsgFile{{f.path, f.path, state}}, nil
	}
	all, err := nmsgFiles(f.path)
	slices.SortStableFunc(all, func(a, b nmsgFile) int { return a.modified.Compare(b.modified) })
	return all, err
}

// search opens the files that are new. It remembers two searches, because a listing may miss a file
// that is renamed meanwhile.
func (f *follower) search() {
	all, err := f.list()
	if err != nil {
		return // a file that is replaced, or a folder that is unmounted, may come back
	}
	found := make(map[fileID]bool, len(all))
	for i := range all {
		id := all[i].id
		if f.known[id] || f.before[id] || f.add(&all[i]) {
			found[id] = true
		}
	}
	f.known, f.before = found, f.known
}

// add opens a file for its turn. It returns false if the path is meanwhile that of another file or of
// none: then a later search finds the file under its new path.
func (f *follower) add(found *nmsgFile) bool {
	file, err := os.Open(found.path)
	if err != nil {
		return false
	}
	if state, err := statOf(int(file.Fd()), ""); err != nil || state.id != found.id {
		file.Close()
		return false
	}
	f.waiting = append(f.waiting, openFile{file, found.path})
	return true
}

// next waits for the next file. It returns false after ctx ended.
func (f *follower) next() bool {
	for len(f.waiting) == 0 {
		if !f.wait() {
			return false
		}
		f.search()
	}
	if f.current.File != nil {
		f.current.Close()
	}
	f.current, f.waiting, f.last = f.waiting[0], f.waiting[1:], false
	return true
}

func (f *follower) close() {
	for _, file := range append(f.waiting, f.current) {
		if file.File != nil {
			file.Close()
		}
	}
}

// wait waits for followTime; it returns false after ctx ended.
func (f *follower) wait() bool {
	timer := time.NewTimer(followTime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// Read waits for more octets of the current file. Its end is where the file ends after a newer file
// exists, or after ctx ended.
func (f *follower) Read(b []byte) (int, error) {
	for {
		n, err := f.current.Read(b)
		if n > 0 || err != io.EOF || f.last {
			return n, err
		}
		if !f.wait() {
			return 0, io.EOF
		}
		f.search()
		f.last = len(f.waiting) > 0
	}
}
