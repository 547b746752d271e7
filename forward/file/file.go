// Package file writes batches to files: their names, rotation by time and size, syncs,
// completion, also after a crash, locking, the command that runs for each finished file, and
// deletion of old files.
//
// A file gets its final name when it is complete and on disk; then its records count as
// delivered. The sink's goroutine only writes: syncs and completion, recovery, on_rotate and
// keep run in goroutines of their own, for which Close of the transport waits.
//
// The package does not know which batches are queued, which records a batch contains, or how a
// format looks: the format states how files begin and end, and where the whole units of an
// unfinished file end.
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
	Keep       Keep          // of finished files
}

// New returns a transport that writes files. The address of the sink's target is the
// strftime pattern of their names.
func (c Config) New(s *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	return newTransport(s, c, env)
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
	disk    disk
	format  format

	// These run in other goroutines from Open to Close.
	start      sync.Once
	background context.Context
	cancel     context.CancelCauseFunc // ends background
	finisher   *finisher
	recovering sync.WaitGroup
	runner     *runner
	keeper     *keeper
	keeping    sync.WaitGroup

	open    *unfinished // nil: none
	checked time.Time   // when the open file was last compared with its name

	// No temporary name is used twice: a power cut could save the second use of a name, but
	// not the rename before it.
	path string // final name of the last file, without its number
	next int    // number of the next temporary name for path
}

func newTransport(sink *forward.SinkConfig, c Config, env forward.Env) (*transport, error) {
	pattern := sink.Target.Address
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
		disk:    realDisk{},
		format:  newFormat(sink.Format),
	}
	f.background, f.cancel = context.WithCancelCause(context.Background())
	f.runner = newRunner(f.background, c.OnRotate, sink.Name, env.Mode, env.Log)
	if f.runner != nil {
		f.runner.unmark = f.unmark
	}
	f.keeper = newKeeper(f, c.Keep)
	f.finisher = newFinisher(f, env)
	return f, nil
}

// Open starts the recovery of temporary files, once.
func (f *transport) Open(ctx context.Context) error {
	defer f.cancelAfter(ctx)()
	f.start.Do(func() {
		f.runner.check()
		if f.mode == forward.Live {
			left := f.findLeft() // before this transport creates a file
			f.recovering.Go(func() { f.recover(left) })
		}
		f.finisher.working.Go(f.finisher.run)
		if f.keeper != nil {
			f.keeping.Go(f.keeper.run)
		}
	})
	return nil
}

// Divides reports whether records of these times belong in different files.
func (f *transport) Divides(a, b transform.Time) bool {
	return f.rotate != 0 && intervalOf(wallTime(a), f.rotate) != intervalOf(wallTime(b), f.rotate)
}

// Send writes the units, each batch into the file of its time. It ends before a unit that
// belongs in another file than those before it, because the sink must count the units of a
// file before the finisher settles them.
func (f *transport) Send(ctx context.Context, bs []*forward.Batch, from int) (r forward.Result, err error) {
	defer f.cancelAfter(ctx)()
	for _, b := range bs {
		now := wallTime(b.Time)
		if f.mode == forward.Live {
			now = time.Now()
		}
		units := b.Buf[b.Start(from):]
		if f.open != nil && f.ends(now, len(units)) {
			if r.Units > 0 {
				return r, nil
			}
			if err := f.finish(ctx); err != nil {
				return r, err
			}
		}
		if err := f.write(&r, b, from, units, now); err != nil {
			return r, err
		}
		from = 0
	}
	return r, nil
}

// ends reports whether the open file ends before n bytes of the time now.
func (f *transport) ends(now time.Time, n int) bool {
	return f.intervalOver(now) || f.full(n) || f.broken()
}

// finish gives the open file to the finisher.
func (f *transport) finish(ctx context.Context) error {
	if err := f.finisher.take(ctx, f.open); err != nil {
		return err
	}
	f.open = nil
	if f.mode == forward.Replay {
		return f.finisher.failure()
	}
	return nil
}

// write appends units of b to the open file, or to a new one of the time now.
func (f *transport) write(r *forward.Result, b *forward.Batch, from int, units []byte, now time.Time) error {
	if f.open == nil {
		if err := f.begin(now); err != nil {
			return err
		}
	}
	u := f.open
	if err := u.trim(); err != nil { // it failed after the last write
		return fmt.Errorf("removing a part of a unit from a file: %w", advise(err, u.temp))
	}
	if err := u.writeOnce(f.format.begin, u.size == 0); err != nil {
		return fmt.Errorf("writing to a file: %w", advise(err, u.temp))
	}
	n, err := u.Write(units)
	bytes, records := r.Sent.Bytes, r.Tentative[forward.Written]
	r.Write(b, from, n)
	u.size += int64(r.Sent.Bytes - bytes)
	u.records += r.Tentative[forward.Written] - records
	f.finisher.wrote(u, n)
	if err != nil {
		u.incomplete = true
		u.trim() // if it fails, the next write or the finisher retries it
		return fmt.Errorf("writing to a file: %w", advise(err, u.temp))
	}
	return nil
}

// begin opens a file of the time now.
func (f *transport) begin(now time.Time) error {
	path := f.naming.path(now)
	if path != f.path {
		f.path, f.next = path, 0
	}
	for {
		temp := partial(numbered(path, f.next))
		open, err := f.disk.create(temp)
		if err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("creating a file: %w", advise(err, temp))
		}
		f.next++
		if err != nil {
			continue
		}
		f.open = &unfinished{openFile: open, path: path, temp: temp, began: now}
		f.checked = time.Now()
		return nil
	}
}

// intervalOver reports whether now is in another interval than the open file's.
func (f *transport) intervalOver(now time.Time) bool {
	return f.rotate != 0 && intervalOf(now, f.rotate) != intervalOf(f.open.began, f.rotate)
}

// full reports whether n more bytes would exceed maxSize. A file without units is never full.
func (f *transport) full(n int) bool {
	end := f.open.size + int64(n) + int64(len(f.format.end))
	return f.maxSize != 0 && !f.format.isEmpty(f.open.size) && end > f.maxSize
}

// checkTime is the interval at which the open file is compared with its name.
const checkTime = time.Second

// broken reports whether the records of the open file are lost, so that a new file must
// begin: a sync of it failed, or another program removed or changed it.
func (f *transport) broken() bool {
	if f.finisher.failureOf(f.open) != nil {
		return true
	}
	now := time.Now()
	if now.Sub(f.checked) < checkTime {
		return false
	}
	f.checked = now
	_, changed := errors.AsType[changedError](f.open.check())
	return changed
}

// Idle ends a file whose interval is over, so that it does not wait for the next record,
// and a broken file.
func (f *transport) Idle(ctx context.Context) (time.Time, error) {
	defer f.cancelAfter(ctx)()
	if f.open == nil || f.mode == forward.Replay {
		return time.Time{}, nil
	}
	if f.intervalOver(time.Now()) || f.broken() {
		return time.Time{}, f.finish(ctx)
	}
	next := f.checked.Add(checkTime)
	if f.rotate != 0 {
		if end := intervalEnd(f.open.began, f.rotate); end.Before(next) {
			next = end
		}
	}
	return next, nil
}

// Confirm completes the open file, and waits until all files have their names and are on disk. An
// error is that of a file that is not complete.
func (f *transport) Confirm(ctx context.Context) error {
	defer f.cancelAfter(ctx)()
	if f.open != nil {
		if err := f.finish(ctx); err != nil {
			return err
		}
	}
	return f.finisher.completeAll(ctx)
}

// errStopped is the reason why recovery or on_rotate was cancelled.
var errStopped = errors.New("the sensor stopped before it was done")

// cancelAfter cancels recovery and on_rotate if ctx ends before stop is called, at the end
// of a call of the transport: the call itself may hang, for example in a write to disk.
func (f *transport) cancelAfter(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { f.cancel(errStopped) })
}

// Close completes the open file, waits for recovery and on_rotate, and ends keep.
func (f *transport) Close(ctx context.Context) error {
	defer f.cancelAfter(ctx)()
	err := f.finisher.end(f.open)
	f.recovering.Wait() // recovery may give files to the runner
	f.runner.wait()
	f.cancel(nil)
	f.keeping.Wait()
	return err
}

// CommandRuns returns the account of on_rotate.
func (f *transport) CommandRuns() forward.CommandRuns { return f.runner.account() }

// Files returns the account of the sink's files.
func (f *transport) Files() forward.Files {
	return forward.Files{Retried: f.finisher.retriedFiles(), Deleted: f.keeper.deletedFiles()}
}

// finished is called for each file that got its name.
func (f *transport) finished(file named) {
	f.runner.enqueue(file)
	f.keeper.wake()
}

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
