package forward

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
)

// filePerm lets the group read: whoever collects the files need not be the sensor.
const filePerm = 0o640

// file writes containers to files that have their final name when they are
// complete: each is written under a temporary one in the same directory, synced
// to disk, and renamed. Its name tells the time at which it begins: the wall clock's
// in Live, the first record's in Replay. It never replaces a file. What a crash
// leaves under a temporary name is completed when a sink of that name starts again,
// in Live.
type file struct {
	naming  naming
	shape   shape         // of all names
	rotate  time.Duration // 0: none by time
	maxSize int64         // 0: none by size
	mode    Mode
	log     *slog.Logger
	create  func(path string) (openFile, error)

	// What goes on beside the sink's goroutine, from its first call to Close.
	start      sync.Once
	beside     context.Context
	cut        context.CancelCauseFunc // ends it before it is done
	recovering sync.WaitGroup
	kicker     *kicker

	open  openFile // nil: none
	path  string   // its final name
	temp  string   // its present name
	began time.Time
	size  int64 // of what is whole
	torn  bool  // there may be a part of a container behind size

	// No name is given twice, though its file may have been taken away.
	given string // the last file's final name, without its number
	next  int    // number of another of that name
}

// An openFile is what file wants of an *os.File.
type openFile interface {
	WriteAt(b []byte, offset int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

func newFile(c *SinkConfig, mode Mode, log *slog.Logger) (*file, error) {
	n, err := newNaming(c.Target.Address)
	if err != nil {
		return nil, fmt.Errorf("sink %q: %w", c.Name, err)
	}
	s, err := newShape(c.Target.Address)
	if err != nil {
		return nil, fmt.Errorf("sink %q: %w", c.Name, err)
	}
	f := &file{
		naming:  n,
		shape:   s,
		rotate:  rotation(c),
		maxSize: c.RotateSize,
		mode:    mode,
		log:     log,
		create:  createFile,
	}
	f.beside, f.cut = context.WithCancelCause(context.Background())
	f.kicker = newKicker(f.beside, c.OnRotate, mode, log)
	return f, nil
}

// createFile makes a file and locks it, so that nobody takes it for one that was
// left behind. Where files cannot be locked, nobody does.
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

// begin does what is to be done once the sink runs.
func (f *file) begin() {
	f.kicker.check()
	if f.mode == Live {
		left, err := f.shape.leftovers(f.beside) // before any file of ours is there
		f.recovering.Go(func() { f.recover(left, err) })
	}
}

func (f *file) Send(ctx context.Context, b *batch, from int) (outcome, error) {
	defer f.until(ctx)()
	f.start.Do(f.begin)
	now := wall(b.clock)
	if f.mode == Live {
		now = time.Now()
	}
	containers := b.buf[b.start(from):]
	if err := f.ready(now, len(containers)); err != nil {
		return outcome{}, err
	}
	n, err := f.open.WriteAt(containers, f.size)
	o := b.written(from, n)
	f.size += int64(o.sent.Bytes)
	if err != nil {
		f.torn = true
		f.trim() // or else the next write does, or Close
		return o, fmt.Errorf("writing to a file: %w", advise(err, f.temp))
	}
	return o, nil
}

// ready has the file open that so many bytes belong to now.
func (f *file) ready(now time.Time, n int) error {
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

// over reports whether now lies in another interval than the open file's.
func (f *file) over(now time.Time) bool {
	return f.rotate != 0 && intervalOf(now, f.rotate) != intervalOf(f.began, f.rotate)
}

// full reports whether n bytes more would be too many for the open file.
func (f *file) full(n int) bool {
	return f.maxSize != 0 && f.size != 0 && f.size+int64(n) > f.maxSize
}

// trim removes what stands behind the last whole container.
func (f *file) trim() error {
	if !f.torn {
		return nil
	}
	if err := f.open.Truncate(f.size); err != nil {
		return err
	}
	f.torn = false
	return nil
}

// Rest publishes a file whose interval is over, so that nobody waits for it until
// something else is to be written.
func (f *file) Rest(ctx context.Context) (time.Time, error) {
	defer f.until(ctx)()
	f.start.Do(f.begin)
	if f.open == nil || f.rotate == 0 || f.mode == Replay {
		return time.Time{}, nil
	}
	if f.over(time.Now()) {
		return time.Time{}, f.publish()
	}
	return intervalEnd(f.began, f.rotate), nil
}

// errCut is why something beside the sink was given up.
var errCut = errors.New("the sensor stopped, and it was not done in time")

// until ends what goes on beside when ctx ends, or does so no more when the returned
// function is called. A call that ctx cannot reach, on a disk that hangs, leaves
// nothing running so.
func (f *file) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { f.cut(errCut) })
}

// Close publishes the open file, and waits for what goes on beside.
func (f *file) Close(ctx context.Context) error {
	defer f.until(ctx)()
	var err error
	if f.open != nil {
		err = f.publish()
	}
	f.recovering.Wait() // it may have files for the kicker
	f.kicker.wait()
	f.cut(nil)
	return err
}

func (f *file) tell(l *SinkLedger) { f.kicker.tell(l) }

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
