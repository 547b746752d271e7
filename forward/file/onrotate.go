package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

const (
	commandTime = 5 * time.Minute        // that a command may take
	outputLag   = 200 * time.Millisecond // that its output may stay open when it has ended
	maxWaiting  = 64                     // files whose command has not ended
	maxOutput   = 4 << 10                // bytes of what a command prints that are logged
)

// A runner runs the on_rotate command for finished files, like the kicker of nmsgtool: the
// file's path follows the arguments. It runs one command at a time, in its own goroutine. A
// nil runner runs nothing.
type runner struct {
	command []string
	limit   time.Duration
	mode    forward.Mode
	log     *slog.Logger
	run     func(ctx context.Context, path string) error

	ctx     context.Context // of the commands; its cause is the reason to kill one
	working sync.WaitGroup  // for the goroutine, which ends when no file waits

	mu      sync.Mutex
	room    sync.Cond // in waiting, and when ctx has ended
	waiting []string  // the first one's command runs
	runs    forward.CommandRuns
	late    bool      // files were skipped since nothing waited
	failing time.Time // since when the command fails; zero: it does not
}

func newRunner(ctx context.Context, command []string, mode forward.Mode, log *slog.Logger) *runner {
	if len(command) == 0 {
		return nil
	}
	k := &runner{command: command, limit: commandTime, mode: mode, log: log, ctx: ctx}
	k.run, k.room.L = k.execute, &k.mu
	return k
}

// check logs an error if the program does not exist, before the first file is finished.
func (k *runner) check() {
	if k == nil {
		return
	}
	if _, err := exec.LookPath(k.command[0]); err != nil {
		k.fails(fmt.Errorf("on_rotate: %w", err))
	}
}

// enqueue adds a finished file, for which the command will run. If maxWaiting files wait,
// it skips the file in Live, and waits in Replay.
func (k *runner) enqueue(path string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.mode == forward.Replay && len(k.waiting) == maxWaiting && k.ctx.Err() == nil {
		k.room.Wait()
	}
	if len(k.waiting) == maxWaiting {
		k.skip(path)
		return
	}
	k.add(path)
}

// enqueueRecovered is enqueue for recovered files, of which there may be many: it waits
// until there is room, and leaves half of the room for new files.
func (k *runner) enqueueRecovered(path string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting) >= maxWaiting/2 {
		k.room.Wait()
	}
	k.add(path)
}

func (k *runner) add(path string) {
	k.waiting = append(k.waiting, path)
	if len(k.waiting) == 1 {
		k.working.Go(k.work)
	}
}

func (k *runner) skip(path string) {
	k.runs.Skipped++
	if !k.late {
		k.late = true
		k.log.Error("on_rotate is too slow: it is not run for files that are finished now, and the ledger counts them",
			"waiting", len(k.waiting), "first", path)
	}
}

func (k *runner) work() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting) > 0 && k.ctx.Err() == nil {
		path := k.waiting[0]
		k.mu.Unlock()
		err := k.run(k.ctx, path)
		k.ran(path, err)
		k.mu.Lock()
		k.waiting = k.waiting[1:]
		if err == nil {
			k.runs.Done++
		} else {
			k.runs.Failed++
		}
		k.room.Broadcast()
	}
	k.rest()
}

// ran notes the result of a run. k.mu is not held.
func (k *runner) ran(path string, err error) {
	if err != nil {
		k.fails(fmt.Errorf("on_rotate for %s: %w", path, err))
		return
	}
	k.mu.Lock()
	since := k.failing
	k.failing = time.Time{}
	k.mu.Unlock()
	if !since.IsZero() {
		k.log.Info("on_rotate works again", "after", time.Since(since).Round(time.Millisecond))
	}
}

// fails logs the first failure in a row, and a failure that was caused by the stop.
func (k *runner) fails(err error) {
	k.mu.Lock()
	first := k.failing.IsZero()
	if first {
		k.failing = time.Now()
	}
	k.mu.Unlock()
	if first || k.ctx.Err() != nil {
		k.log.Error("on_rotate fails; files are still written, and the ledger counts further failures", "error", err)
	}
}

// rest ends the goroutine: no file waits, or ctx has ended and the waiting files are
// skipped.
func (k *runner) rest() {
	if n := len(k.waiting); n > 0 {
		k.runs.Skipped += uint64(n)
		k.waiting = nil
		k.log.Error("on_rotate was not run for every file", "files", n, "error", context.Cause(k.ctx))
	} else if k.late {
		k.log.Info("on_rotate has caught up", "skipped", k.runs.Skipped)
	}
	k.late = false
	k.room.Broadcast()
}

// wait returns when the command has run for every waiting file, or ctx has ended and the
// command is killed.
func (k *runner) wait() {
	if k != nil {
		k.working.Wait()
	}
}

// account returns the counts of files by result.
func (k *runner) account() forward.CommandRuns {
	if k == nil {
		return forward.CommandRuns{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	runs := k.runs
	runs.Waiting = uint64(len(k.waiting))
	return runs
}

// execute runs the command for one file. It returns when the process has ended, even if
// child processes continue. At the limit it kills the whole process group.
func (k *runner) execute(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, k.limit, fmt.Errorf("killed, as it did not end within %v", k.limit))
	defer cancel()
	var out output
	cmd := exec.CommandContext(ctx, k.command[0], append(slices.Clone(k.command[1:]), path)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = outputLag
	start := time.Now()
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	k.log.Debug("on_rotate has run", "file", path, "took", time.Since(start), "output", string(out.b), "error", err)
	return err
}

func killGroup(pid int) error {
	err := unix.Kill(-pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// output keeps the first maxOutput bytes of a command's output. It discards the rest, so
// that the command never blocks.
type output struct{ b []byte }

func (o *output) Write(p []byte) (int, error) {
	o.b = append(o.b, p[:min(len(p), maxOutput-len(o.b))]...)
	return len(p), nil
}
