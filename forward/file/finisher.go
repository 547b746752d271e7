package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

const (
	// Waits between retries of failed completions, doubled until one succeeds.
	firstWait   = time.Second
	longestWait = 30 * time.Second

	maxRetried = 64 // files that are retried; then the sink waits
)

// A finisher syncs the open file, and completes full ones, in its own goroutine, because a
// sync may take seconds. It has at most one file that is neither complete nor retried.
type finisher struct {
	transport *transport
	mode      forward.Mode
	log       *slog.Logger
	settle    forward.Settle

	slot    chan struct{}    // holds an element while full or the goroutine has a file
	full    chan *unfinished // to be completed
	wake    chan struct{}    // the open file needs a sync
	confirm chan chan error  // all files have to be completed now; gets why one is not
	stop    chan struct{}    // closed when no more files come
	working sync.WaitGroup

	mu       sync.Mutex
	open     *unfinished // nil: none
	unsynced Unsynced    // bytes of it
	retried  int
	last     *unfinished // the open file when the transport is closed
	err      error       // failures after which no more files are written, and that were not returned

	// The goroutine owns these.
	retry   []*unfinished // to be completed again, oldest first
	retryAt time.Time
	wait    time.Duration
	held    bool // the slot is held because too many files are retried

	// No name is used twice, even if its file was removed.
	given string // the final name of the last file, without its number
	next  int    // number of the next file of that name
}

func newFinisher(f *transport, env forward.Env) *finisher {
	return &finisher{
		transport: f,
		mode:      env.Mode,
		log:       env.Log,
		settle:    env.Settle,
		slot:      make(chan struct{}, 1),
		full:      make(chan *unfinished, 1),
		wake:      make(chan struct{}, 1),
		confirm:   make(chan chan error),
		stop:      make(chan struct{}),
	}
}

// wrote notes that n bytes were written to the open file u.
func (k *finisher) wrote(u *unfinished, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open = u
	if k.unsynced.Wrote(n) {
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
}

// take gives the open file to the finisher. It waits until the finisher has completed the
// file before it, or ctx ends.
func (k *finisher) take(ctx context.Context, u *unfinished) error {
	select {
	case k.slot <- struct{}{}:
	default:
		select {
		case k.slot <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	k.mu.Lock()
	k.open, k.unsynced = nil, Unsynced{}
	k.mu.Unlock()
	k.full <- u
	return nil
}

// completeAll waits until the finisher has completed all files that it has, or has failed to complete
// one, or ctx ends.
func (k *finisher) completeAll(ctx context.Context) error {
	result := make(chan error, 1)
	select {
	case k.confirm <- result:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end waits until the finisher has completed all files, the last of which is u (nil: none).
// It tries each file once more, and returns why some are not complete.
func (k *finisher) end(u *unfinished) error {
	k.mu.Lock()
	k.open, k.unsynced, k.last = nil, Unsynced{}, u
	k.mu.Unlock()
	close(k.stop)
	k.working.Wait()
	return k.failure()
}

// failure returns the failures after which no more files are written, each once.
func (k *finisher) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.err
	k.err = nil
	return err
}

// failureOf returns why the records of the open file u failed; nil: they did not.
func (k *finisher) failureOf(u *unfinished) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return u.failed
}

// fail notes why the records of u failed.
func (k *finisher) fail(u *unfinished, err error) {
	k.mu.Lock()
	u.failed = err
	if k.mode == forward.Replay {
		k.err = errors.Join(k.err, fmt.Errorf("records of %s failed: %w", u.temp, err))
	}
	k.mu.Unlock()
	if k.mode == forward.Replay {
		return // the error is reported
	}
	k.log.Error("records of a file failed; the ledger counts them", "file", u.temp, "error", err)
}

// retriedFiles returns the number of files that are retried.
func (k *finisher) retriedFiles() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return uint64(k.retried)
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
		case u := <-k.full:
			k.finish(u)
		case <-k.wake:
		case <-t.C:
		case result := <-k.confirm:
			result <- k.finishNow()
		case <-k.stop:
			k.finishAll()
			return
		}
		k.finishFull()
		k.syncOpen()
		k.finishRetried()
	}
}

// due returns when the next sync or retry is due; zero: none is.
func (k *finisher) due() (due time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open != nil && k.open.failed == nil {
		due = k.unsynced.Due()
	}
	if len(k.retry) > 0 && (due.IsZero() || k.retryAt.Before(due)) {
		due = k.retryAt
	}
	return due
}

// syncOpen syncs the open file if that is due.
func (k *finisher) syncOpen() {
	k.mu.Lock()
	u := k.open
	due := u != nil && u.failed == nil && k.unsynced.Take(time.Now())
	k.mu.Unlock()
	if !due {
		return
	}
	if err := u.SyncData(); err != nil {
		k.fail(u, fmt.Errorf("syncing it failed, and is not retried: %w", err))
		return
	}
	k.syncName(u)
}

// syncName puts the temporary name on disk, once. A failure is retried after the next sync.
func (k *finisher) syncName(u *unfinished) {
	if u.dirSynced {
		return
	}
	err := k.transport.disk.syncDir(filepath.Dir(u.temp))
	u.dirSynced = err == nil
	if err != nil && !u.dirFailed {
		u.dirFailed = true
		k.log.Error("the directory of the open file cannot be synced: a power cut may lose the file", "file", u.temp, "error", err)
	}
}

// finishFull completes the full file, if there is one, so that the open file is synced after it:
// a power cut must not lose older records and keep newer ones.
func (k *finisher) finishFull() {
	select {
	case u := <-k.full:
		k.finish(u)
	default:
	}
}

// finish completes a file, which is retried if that fails. It makes room for the next file.
func (k *finisher) finish(u *unfinished) {
	if err := k.complete(u); err != nil {
		k.noteFailure(u, err)
	}
	if k.held = len(k.retry) >= maxRetried; !k.held {
		<-k.slot
	}
}

// noteFailure notes that the completion of u failed with err. In Live it is retried.
func (k *finisher) noteFailure(u *unfinished, err error) {
	err = notComplete(u, err)
	if k.mode == forward.Replay {
		k.giveUp(u, err)
		return
	}
	if len(k.retry) == 0 {
		k.wait = firstWait
		k.retryAt = time.Now().Add(k.wait)
		k.log.Error("a file cannot be completed, and is retried", "error", err)
	}
	k.setRetried(append(k.retry, u))
}

func (k *finisher) setRetried(files []*unfinished) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retry, k.retried = files, len(files)
}

// giveUp counts the records of a file that is not retried as failed.
func (k *finisher) giveUp(u *unfinished, err error) {
	u.settle(k.settle, forward.Outcome{Lost: true, Why: forward.Failed})
	u.Close()
	u.final.release()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = errors.Join(k.err, err)
}

// notComplete returns err, with the name that the file has.
func notComplete(u *unfinished, err error) error {
	name := u.temp
	if u.final.path != "" {
		name = u.final.path
	}
	return fmt.Errorf("completing %s, which keeps this name: %w", name, advise(err, name))
}

// finishNow completes the files that it has. The error is that of the last one that it cannot
// complete.
func (k *finisher) finishNow() error {
	select {
	case u := <-k.full:
		k.finish(u)
	default:
	}
	return k.retryAll()
}

// finishRetried retries the files, if that is due.
func (k *finisher) finishRetried() {
	if len(k.retry) > 0 && !time.Now().Before(k.retryAt) {
		k.retryAll()
		k.wait = min(2*k.wait, longestWait)
		k.retryAt = time.Now().Add(k.wait)
	}
}

// retryAll retries all files. The error is that of the last one that it cannot complete.
func (k *finisher) retryAll() (err error) {
	if len(k.retry) == 0 {
		return nil
	}
	k.setRetried(slices.DeleteFunc(k.retry, func(u *unfinished) bool {
		failure := k.complete(u)
		if failure != nil {
			err = notComplete(u, failure)
		}
		return failure == nil
	}))
	if len(k.retry) == 0 {
		k.log.Info("files are completed again")
	}
	if k.held && len(k.retry) < maxRetried {
		k.held = false
		<-k.slot
	}
	return err
}

// finishAll completes all files, each at the last try.
func (k *finisher) finishAll() {
	files := k.retry
	select {
	case u := <-k.full:
		files = append(files, u)
	default:
	}
	if k.last != nil {
		files = append(files, k.last)
	}
	for _, u := range files {
		if err := k.complete(u); err != nil {
			k.giveUp(u, notComplete(u, err))
		}
	}
	k.setRetried(nil)
}
