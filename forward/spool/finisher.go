package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
)

// A finisher syncs the segments and the index, and closes full segments, in its own
// goroutine, because a sync may take seconds.
type finisher struct {
	dir     string
	disk    disk
	log     *slog.Logger
	wake    chan struct{}
	doubt   func()        // a sync failed
	stop    chan struct{} // closed when no more is written
	working sync.WaitGroup

	syncing  sync.Mutex // of one sync at a time
	mu       sync.Mutex
	open     segmentFile   // the last segment; nil: none
	full     []segmentFile // to be synced and closed
	unsynced file.Unsynced // bytes of all of them, and of the index
	broken   bool          // a sync of the open segment failed: no more may be appended to it

	failing bool // the latest sync failed; only the goroutine uses it
}

func newFinisher(dir string, d disk, log *slog.Logger, doubt func()) *finisher {
	return &finisher{dir: dir, disk: d, log: log, doubt: doubt, wake: make(chan struct{}, 1), stop: make(chan struct{})}
}

func (k *finisher) start() { k.working.Go(k.run) }

// wrote notes that n bytes were written to the open segment f, or with nil to the index.
func (k *finisher) wrote(f segmentFile, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f != nil {
		k.open = f
	}
	if k.unsynced.Wrote(n) {
		signal(k.wake)
	}
}

// finish takes a full segment.
func (k *finisher) finish(f segmentFile) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open, k.broken = nil, false
	k.full = append(k.full, f)
	signal(k.wake)
}

// discard closes a segment that is removed.
func (k *finisher) discard(f segmentFile) {
	k.mu.Lock()
	k.open, k.broken = nil, false
	k.mu.Unlock()
	f.Close()
}

func (k *finisher) run() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		t.Stop()
		if due := k.due(); !due.IsZero() {
			t.Reset(time.Until(due))
		}
		select {
		case <-k.wake:
		case <-t.C:
		case <-k.stop:
			return
		}
		if k.isDue() {
			k.note(k.sync())
		}
	}
}

func (k *finisher) due() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsynced.Due()
}

// isDue reports whether a sync is due, and begins to count anew.
func (k *finisher) isDue() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsynced.Take(time.Now()) || len(k.full) > 0
}

// isBroken reports whether no more may be appended to the open segment.
func (k *finisher) isBroken() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.broken
}

// sync syncs the open segment, the index and the directory, and syncs and closes the full
// segments. A failed sync is in doubt also when the next one succeeds: the kernel does not write
// the data again.
func (k *finisher) sync() error {
	k.syncing.Lock()
	defer k.syncing.Unlock()
	err := k.syncAll()
	if err != nil {
		k.doubt()
	}
	return err
}

func (k *finisher) syncAll() error {
	k.mu.Lock()
	open, full := k.open, k.full
	k.full = nil
	k.mu.Unlock()
	var errs []error
	for _, f := range full {
		errs = append(errs, f.Sync(), f.Close())
	}
	if open != nil {
		if err := open.Sync(); !errors.Is(err, os.ErrClosed) { // it was removed meanwhile
			errs = append(errs, err)
			k.noteOpen(open, err)
		}
	}
	if err := k.disk.sync(filepath.Join(k.dir, indexName)); !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, k.disk.sync(k.dir))...)
}

// noteOpen notes the result of a sync of the segment that was open then.
func (k *finisher) noteOpen(f segmentFile, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil && k.open == f {
		k.broken = true
	}
}

// note logs the first failure in a row.
func (k *finisher) note(err error) {
	if err != nil && !k.failing {
		k.log.Error("the spool cannot be synced: a power cut may lose records", "error", err)
	}
	k.failing = err != nil
}

// end waits for the goroutine, and syncs all.
func (k *finisher) end() error {
	close(k.stop)
	k.working.Wait()
	if err := k.sync(); err != nil {
		return fmt.Errorf("syncing the spool: %w", err)
	}
	return nil
}

// signal puts an element into a channel with room for one, unless it contains one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
