// Package file writes batches to files: their names, rotation by time and size,
// completion after a crash, locking, and the command that runs for each finished file.
//
// A file gets its final name when it is complete. Recovery and on_rotate run in goroutines
// of their own, for which Close of the transport waits.
//
// The package does not know which batches are queued, or which records a batch contains. Of
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

// filePerm allows the group to read, because another user often collects the files.
const filePerm = 0o640

// Config is the configuration that only file sinks have.
type Config struct {
	Rotate     time.Duration // length of a file's interval, aligned to the epoch; 0: no limit
	RotateSize int64         // bytes of a file at most, unless its only batch is larger; 0: no limit
	OnRotate   []string      // program and arguments to run for each finished file, whose path is appended; nil: none
}

// New returns a transport that writes files. The address of the sink's target is the
// strftime pattern of their names.
func (c Config) New(s *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	return newTransport(s.Target.Address, c, env)
}

// A transport writes units to files. Each file is written under a temporary name in the
// same directory, synced to disk, and renamed when it is complete. Its name contains the
// time at which it begins: that of the wall clock in Live, that of the first record in
// Replay. A transport never replaces a file. In Live, it first completes the temporary
// files that a crash of an earlier run left.
type transport struct {
	naming  naming
	shape   shape         // of all names
	rotate  time.Duration // 0: no rotation by time
	maxSize int64         // 0: no rotation by size
	mode    forward.Mode
	log     *slog.Logger
	create  func(path string) (openFile, error)

	// Recovery and on_rotate, which run in other goroutines from Open to Close.
	start      sync.Once
	background context.Context
	cancel     context.CancelCauseFunc // ends it before it is done
	recovering sync.WaitGroup
	runner     *runner

	open       openFile // nil: none
	path       string   // final name of the open file
	temp       string   // temporary name of the open file
	began      time.Time
	size       int64 // bytes of whole units
	incomplete bool  // there may be a part of a unit after size

	// No name is used twice, even if its file was removed.
	given string // the final name of the last file, without its number
	next  int    // number of the next file of that name
}

// An openFile is the part of *os.File that is used.
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
	f.background, f.cancel = context.WithCancelCause(context.Background())
	f.runner = newRunner(f.background, c.OnRotate, env.Mode, env.Log)
	return f, nil
}

// createFile makes a file and locks it, so that recovery in another process does not
// complete it. If files cannot be locked, no process recovers any.
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

// Open starts the recovery of temporary files, once.
func (f *transport) Open(ctx context.Context) error {
	defer f.until(ctx)()
	f.start.Do(func() {
		f.runner.check()
		if f.mode == forward.Live {
			left, err := f.shape.leftovers(f.background) // before this transport creates a file
			f.recovering.Go(func() { f.recover(left, err) })
		}
	})
	return nil
}

// Divides reports whether records of these times belong in different files.
func (f *transport) Divides(a, b transform.Time) bool {
	return f.rotate != 0 && intervalOf(wallTime(a), f.rotate) != intervalOf(wallTime(b), f.rotate)
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
	now := wallTime(b.Time)
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
		f.incomplete = true
		f.trim() // if it fails, the next write or Close retries it
		return fmt.Errorf("writing to a file: %w", advise(err, f.temp))
	}
	return nil
}

// ready opens the file for n bytes at the time now, and publishes the one before it.
func (f *transport) ready(now time.Time, n int) error {
	if f.open != nil && (f.intervalOver(now) || f.full(n)) {
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
		f.open, f.path, f.temp, f.began, f.size, f.incomplete = open, path, temp, now, 0, false
		return nil
	}
}

// intervalOver reports whether now is in another interval than the open file's.
func (f *transport) intervalOver(now time.Time) bool {
	return f.rotate != 0 && intervalOf(now, f.rotate) != intervalOf(f.began, f.rotate)
}

// full reports whether n more bytes would exceed the size of the open file.
func (f *transport) full(n int) bool {
	return f.maxSize != 0 && f.size != 0 && f.size+int64(n) > f.maxSize
}

// trim removes the bytes after the last whole unit.
func (f *transport) trim() error {
	if !f.incomplete {
		return nil
	}
	if err := f.open.Truncate(f.size); err != nil {
		return err
	}
	f.incomplete = false
	return nil
}

// Rest publishes a file whose interval is over, so that it does not wait for the next
// record.
func (f *transport) Rest(ctx context.Context) (time.Time, error) {
	defer f.until(ctx)()
	if f.open == nil || f.rotate == 0 || f.mode == forward.Replay {
		return time.Time{}, nil
	}
	if f.intervalOver(time.Now()) {
		return time.Time{}, f.publish()
	}
	return intervalEnd(f.began, f.rotate), nil
}

// errStopped is the reason why recovery or on_rotate was cancelled.
var errStopped = errors.New("the sensor stopped before it was done")

// until cancels recovery and on_rotate if ctx ends before the returned function is called.
// A call that ctx cannot end, such as a write to a disk that hangs, would not cancel them.
func (f *transport) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { f.cancel(errStopped) })
}

// Close publishes the open file, and waits for recovery and on_rotate.
func (f *transport) Close(ctx context.Context) error {
	defer f.until(ctx)()
	var err error
	if f.open != nil {
		err = f.publish()
	}
	f.recovering.Wait() // recovery may give files to the runner
	f.runner.wait()
	f.cancel(nil)
	return err
}

// CommandRuns returns the account of on_rotate.
func (f *transport) CommandRuns() forward.CommandRuns { return f.runner.account() }

// advise adds to an error how the operator can fix it.
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
