// Package file writes batches to files: their names, rotation by time and size,
// completion after a crash, locking, and the command that runs for each finished file.
//
// A file gets its final name when it is complete. Goroutines for recovery and for
// on_rotate run next to the sink's, and are waited for when the transport is closed.
//
// The package does not know what waits for it, or which records a batch holds; of
// NMSG it knows only where the last whole container of an unfinished file ends.
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// filePerm lets the group read: files are often collected by another user.
const filePerm = 0o640

// Config is what only a file sink has.
type Config struct {
	Rotate     time.Duration // length of a file's interval, aligned to the epoch; 0: however long
	RotateSize int64         // bytes that a file holds at most, unless its only batch is larger; 0: however large
	OnRotate   []string      // program and arguments, run for each finished file, whose path is appended; nil: none
}

// New returns a transport to files whose names the sink's target, a strftime pattern,
// gives.
func (c Config) New(s *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	return newTransport(s.Target.Address, c, env)
}

// A transport writes units to files that have their final name when they are complete:
// each is written under a temporary one in the same directory, synced to disk, and
// renamed. Its name shows the time at which it begins: the wall clock's in Live, the
// first record's in Replay. It never replaces a file. What a crash leaves under a
// temporary name is completed when a sink of that name starts again, in Live.
type transport struct {
	naming  naming
	shape   shape         // of all names
	rotate  time.Duration // 0: none by time
	maxSize int64         // 0: none by size
	mode    forward.Mode
	log     *slog.Logger
	create  func(path string) (openFile, error)

	// What goes on next to the sink's goroutine, from Open to Close.
	start      sync.Once
	background context.Context
	cut        context.CancelCauseFunc // ends it before it is done
	recovering sync.WaitGroup
	runner     *runner

	open  openFile // nil: none
	path  string   // its final name
	temp  string   // its present name
	began time.Time
	size  int64 // of what is whole
	torn  bool  // there may be a part of a unit after size

	// No name is given twice, though its file may have been taken away.
	given string // the last file's final name, without its number
	next  int    // number of another of that name
}

// An openFile is the part of an *os.File that is used.
type openFile interface {
	WriteAt(b []byte, offset int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

func newTransport(pattern string, c Config, env forward.Env) (*transport, error) {
	n, err := newNaming(pattern)
	if err != nil {
		return nil, err
	}
	s, err := newShape(pattern)
	if err != nil {
		return nil, err
	}
	f := &transport{
		naming:  n,
		shape:   s,
		rotate:  rotation(pattern, c.Rotate),
		maxSize: c.RotateSize,
		mode:    env.Mode,
		log:     env.Log,
		create:  createFile,
	}
	f.background, f.cut = context.WithCancelCause(context.Background())
	f.runner = newRunner(f.background, c.OnRotate, env.Mode, env.Log)
	return f, nil
}

// createFile makes a file and locks it, so that no other start completes it. Where files
// cannot be locked, none does.
func createFile(path string) (openFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return nil, err
	}
	if err := lock(f, path); errors.Is(err, errInUse) {
		f.Close()
		return nil, os.ErrExist
	}
	return f, nil
}

// Open starts the recovery of what a crash left, once.
func (f *transport) Open(ctx context.Context) error {
	defer f.until(ctx)()
	f.start.Do(func() {
		f.runner.check()
		if f.mode == forward.Live {
			left, err := f.shape.leftovers(f.background) // before any file of ours is there
			f.recovering.Go(func() { f.recover(left, err) })
		}
	})
	return nil
}

// Divides reports whether records of these times belong in different files.
func (f *transport) Divides(a, b transform.Time) bool {
	return f.rotate != 0 && intervalOf(wall(a), f.rotate) != intervalOf(wall(b), f.rotate)
}

// Send writes the units, each batch into the file of its time.
func (f *transport) Send(ctx context.Context, bs []*forward.Batch, from int) (r forward.Result, err error) {
	defer f.until(ctx)()
	for _, b := range bs {
		if err := f.write(&r, b, from); err != nil {
			return r, err
		}
		from = 0
	}
	return r, nil
}

func (f *transport) write(r *forward.Result, b *forward.Batch, from int) error {
	now := wall(b.Time)
	if f.mode == forward.Live {
		now = time.Now()
	}
	units := b.Buf[b.Start(from):]
	if err := f.ready(now, len(units)); err != nil {
		return err
	}
	n, err := f.open.WriteAt(units, f.size)
	before := r.Sent.Bytes
	r.Deliver(b, from, n)
	f.size += int64(r.Sent.Bytes - before)
	if err != nil {
		f.torn = true
		f.trim() // or else the next write does, or Close
		return fmt.Errorf("writing to a file: %w", advise(err, f.temp))
	}
	return nil
}

// ready opens the file to which n bytes belong now.
func (f *transport) ready(now time.Time, n int) error {
	if f.open != nil && (f.over(now) || f.full(n)) {
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

// over reports whether now is in another interval than the open file's.
func (f *transport) over(now time.Time) bool {
	return f.rotate != 0 && intervalOf(now, f.rotate) != intervalOf(f.began, f.rotate)
}

// full reports whether n bytes more would be too many for the open file.
func (f *transport) full(n int) bool {
	return f.maxSize != 0 && f.size != 0 && f.size+int64(n) > f.maxSize
}

// trim removes what follows the last whole unit.
func (f *transport) trim() error {
	if !f.torn {
		return nil
	}
	if err := f.open.Truncate(f.size); err != nil {
		return err
	}
	f.torn = false
	return nil
}

// Rest publishes a file whose interval is over, so that it does not wait for the next
// record.
func (f *transport) Rest(ctx context.Context) (time.Time, error) {
	defer f.until(ctx)()
	if f.open == nil || f.rotate == 0 || f.mode == forward.Replay {
		return time.Time{}, nil
	}
	if f.over(time.Now()) {
		return time.Time{}, f.publish()
	}
	return intervalEnd(f.began, f.rotate), nil
}

// errCut is why recovery or on_rotate was given up.
var errCut = errors.New("the sensor stopped, and it was not done in time")

// until ends recovery and on_rotate when ctx ends, until the returned function is
// called. So a call that ctx cannot end, on a disk that hangs, leaves nothing running.
func (f *transport) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { f.cut(errCut) })
}

// Close publishes the open file, and waits for recovery and on_rotate.
func (f *transport) Close(ctx context.Context) error {
	defer f.until(ctx)()
	var err error
	if f.open != nil {
		err = f.publish()
	}
	f.recovering.Wait() // it may have files for the runner
	f.runner.wait()
	f.cut(nil)
	return err
}

// CommandRuns returns what became of finished files.
func (f *transport) CommandRuns() forward.CommandRuns { return f.runner.account() }

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
