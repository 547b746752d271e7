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
	outputLag   = 200 * time.Millisecond // that its output may stay open after it has ended
	maxWaiting  = 64                     // files whose command has not ended
	maxOutput   = 4 << 10                // bytes of what a command prints that are logged
)

// A runner runs the on_rotate command for finished files, like the kicker of nmsgtool: the
// file's path follows the arguments. It runs one command at a time, in its own goroutine. A
// nil runner runs nothing.
type runner struct {
	command []string
	sink    string // its name
	limit   time.Duration
	mode    forward.Mode
	log     *slog.Logger
	run     func(ctx context.Context, path string) error
	unmark  func(path string) error // called after the command has succeeded

	ctx     context.Context // of the commands; its cause is the reason to kill one
	working sync.WaitGroup  // for the goroutine, which ends when no file waits

	mu      sync.Mutex
	room    sync.Cond // waiting has room, or ctx has ended
	waiting []named   // the command runs for the first
	runs    forward.CommandRuns
	late    bool      // the goroutine was too slow: files were skipped since it began
	failing time.Time // since when the command fails; zero: it does not
}

func newRunner(ctx context.Context, command []string, sink string, mode forward.Mode, log *slog.Logger) *runner {
	if len(command) == 0 {
		return nil
	}
	k := &runner{command: command, sink: sink, limit: commandTime, mode: mode, log: log, ctx: ctx}
	k.run, k.room.L = k.execute, &k.mu
	k.unmark = func(string) error { return nil } // a transport replaces it
	return k
}

// check logs an error if the program does not exist, before the first file is finished.
func (k *runner) check() {
	if k == nil {
		return
	}
	if _, err := exec.LookPath(k.command[0]); err != nil {
		k.noteFailure(fmt.Errorf("on_rotate: %w", err))
	}
}

// enqueue adds a finished file, for which the command will run. If maxWaiting files wait,
// it skips the file in Live, and waits in Replay. The mark of a skipped file stays, and the
// next start runs the command.
func (k *runner) enqueue(file named) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.mode == forward.Replay && len(k.waiting) == maxWaiting && k.ctx.Err() == nil {
		k.room.Wait()
	}
	if len(k.waiting) == maxWaiting {
		k.skip(file)
		return
	}
	k.add(file)
}

// enqueueRecovered is enqueue for recovered files, of which there may be many: it waits
// until there is room, and leaves half of the room for new files.
func (k *runner) enqueueRecovered(file named) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting) >= maxWaiting/2 {
		k.room.Wait()
	}
	k.add(file)
}

func (k *runner) add(file named) {
	k.waiting = append(k.waiting, file)
	if len(k.waiting) == 1 {
		k.working.Go(k.work)
	}
}

func (k *runner) skip(file named) {
	file.release()
	k.runs.Skipped++
	if !k.late {
		k.late = true
		k.log.Error("on_rotate is too slow: the next start runs it for files that are finished now, and the ledger counts them",
			"waiting", len(k.waiting), "first", file.path)
	}
}

func (k *runner) work() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting) > 0 && k.ctx.Err() == nil {
		file := k.waiting[0]
		k.mu.Unlock()
		err := k.run(k.ctx, file.path)
		if err == nil {
			err = k.unmark(file.path)
		}
		file.release()
		k.noteRun(file.path, err)
		k.mu.Lock()
		k.waiting = k.waiting[1:]
		if err == nil {
			k.runs.Done++
		} else {
			k.runs.Failed++
		}
		k.room.Broadcast()
	}
	k.endWork()
}

// noteRun notes whether the command works, and logs when that changes. k.mu is not held.
func (k *runner) noteRun(path string, err error) {
	if err != nil {
		k.noteFailure(fmt.Errorf("on_rotate for %s: %w", path, err))
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

// noteFailure logs the first failure in a row, and a failure that was caused by the stop.
func (k *runner) noteFailure(err error) {
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

// endWork counts the files that still wait as skipped, because ctx has ended, and logs how
// the goroutine ended. k.mu is held.
func (k *runner) endWork() {
	if n := len(k.waiting); n > 0 {
		k.runs.Skipped += uint64(n)
		for _, file := range k.waiting {
			file.release()
		}
		k.waiting = nil
		k.log.Error("on_rotate was not run for every file; the next start runs it", "files", n, "error", context.Cause(k.ctx))
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
// child processes continue. After k.limit, or when ctx ends, it kills the process group.
func (k *runner) execute(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, k.limit, fmt.Errorf("killed, as it did not end within %v", k.limit))
	defer cancel()
	var out output
	cmd := exec.CommandContext(ctx, k.command[0], append(slices.Clone(k.command[1:]), path)...)
	cmd.Env = k.environment(path)
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

// inherited are the variables of the sensor's environment that the command gets. The others
// may hold secrets of the configuration.
var inherited = []string{"PATH", "HOME", "LANG"}

// environment returns the environment of the command for one file.
func (k *runner) environment(path string) []string {
	env := []string{"DNSTAP_PDNS_FILE=" + path, "DNSTAP_PDNS_SINK=" + k.sink}
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
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
