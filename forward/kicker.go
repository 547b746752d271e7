package forward

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
)

const (
	kickTime  = 5 * time.Minute        // that a command may take
	outputLag = 200 * time.Millisecond // that its output may stay open when it has ended
	maxKicks  = 64                     // files whose command has not ended
	maxOutput = 4 << 10                // bytes of what a command prints that are logged
)

// Kicks accounts for a sink's on_rotate command: each file that got its final name
// is in one of these.
type Kicks struct {
	Done    uint64 // the command ended with exit status 0
	Failed  uint64 // it could not be started, ended otherwise, or was killed
	Skipped uint64 // it was not started: too many files waited, or the sensor stopped
	Waiting uint64 // it runs, or is about to
}

func (k *Kicks) add(o *Kicks) {
	k.Done += o.Done
	k.Failed += o.Failed
	k.Skipped += o.Skipped
	k.Waiting += o.Waiting
}

// LogValue leaves out what is zero.
func (k Kicks) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, n := range []struct {
		name  string
		value uint64
	}{{"done", k.Done}, {"failed", k.Failed}, {"skipped", k.Skipped}, {"waiting", k.Waiting}} {
		if n.value > 0 {
			attrs = append(attrs, slog.Uint64(n.name, n.value))
		}
	}
	return slog.GroupValue(attrs...)
}

// A kicker runs on_rotate for finished files, as nmsgtool's kicker does: the command
// with the file's path behind its arguments, one at a time, on a goroutine of its
// own. A nil one runs nothing.
type kicker struct {
	command []string
	limit   time.Duration
	mode    Mode
	log     *slog.Logger
	run     func(ctx context.Context, path string) error

	ctx     context.Context // of the commands; its cause says why one is killed
	working sync.WaitGroup  // for the goroutine, which ends when nothing waits

	mu      sync.Mutex
	room    sync.Cond // in waiting, and when ctx has ended
	waiting []string  // the first one's command runs
	kicks   Kicks
	behind  bool // files were skipped since nothing waited
	health  health
}

func newKicker(ctx context.Context, command []string, mode Mode, log *slog.Logger) *kicker {
	if len(command) == 0 {
		return nil
	}
	k := &kicker{command: command, limit: kickTime, mode: mode, log: log, ctx: ctx}
	k.run, k.room.L = k.execute, &k.mu
	return k
}

// check tells of a program that is not there before the first file is finished.
func (k *kicker) check() {
	if k == nil {
		return
	}
	if _, err := exec.LookPath(k.command[0]); err != nil {
		k.fails(fmt.Errorf("on_rotate: %w", err))
	}
}

// kick has the command run for a finished file. In Live it never waits: what is too
// much is skipped. In Replay, where the input waits, it does.
func (k *kicker) kick(path string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.mode == Replay && len(k.waiting) == maxKicks && k.ctx.Err() == nil {
		k.room.Wait()
	}
	if len(k.waiting) == maxKicks {
		k.skip(path)
		return
	}
	k.add(path)
}

// kickRecovered is kick for files that a start finds, of which there may be many: it
// waits, and leaves room for those that are finished meanwhile.
func (k *kicker) kickRecovered(path string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting) >= maxKicks/2 {
		k.room.Wait()
	}
	k.add(path)
}

func (k *kicker) add(path string) {
	k.waiting = append(k.waiting, path)
	if len(k.waiting) == 1 {
		k.working.Go(k.work)
	}
}

func (k *kicker) skip(path string) {
	k.kicks.Skipped++
	if !k.behind {
		k.behind = true
		k.log.Error("on_rotate falls behind; it is not run for files that are finished meanwhile, and the ledger counts these",
			"waiting", len(k.waiting), "first", path)
	}
}

func (k *kicker) work() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.waiting) > 0 && k.ctx.Err() == nil {
		path := k.waiting[0]
		k.mu.Unlock()
		err := k.run(k.ctx, path)
		k.settle(path, err)
		k.mu.Lock()
		k.waiting = k.waiting[1:]
		if err == nil {
			k.kicks.Done++
		} else {
			k.kicks.Failed++
		}
		k.room.Broadcast()
	}
	k.rest()
}

// settle tells how a run ended.
func (k *kicker) settle(path string, err error) {
	if err != nil {
		k.fails(fmt.Errorf("on_rotate for %s: %w", path, err))
		return
	}
	if since, recovered := k.health.work(time.Now()); recovered {
		k.log.Info("on_rotate works again", "after", time.Since(since).Round(time.Millisecond))
	}
}

// fails tells of the first failure in a row, and of the one that the stop makes.
func (k *kicker) fails(err error) {
	if k.health.fail(err, time.Now(), false) || k.ctx.Err() != nil {
		k.log.Error("on_rotate fails; files are written all the same, and the ledger counts further failures", "error", err)
	}
}

// rest ends the goroutine: nothing waits, or nothing may be started any more.
func (k *kicker) rest() {
	if n := len(k.waiting); n > 0 {
		k.kicks.Skipped += uint64(n)
		k.waiting = nil
		k.log.Error("on_rotate was not run for every file", "files", n, "error", context.Cause(k.ctx))
	} else if k.behind {
		k.log.Info("on_rotate has caught up", "skipped", k.kicks.Skipped)
	}
	k.behind = false
	k.room.Broadcast()
}

// wait returns when all has been run or, ctx having ended, given up.
func (k *kicker) wait() {
	if k != nil {
		k.working.Wait()
	}
}

func (k *kicker) tell(l *SinkLedger) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l.OnRotate = k.kicks
	l.OnRotate.Waiting = uint64(len(k.waiting))
}

// execute runs the command for one file. It is over when its process has ended,
// whatever that has started; but when its time is over, all its process group is
// killed.
func (k *kicker) execute(ctx context.Context, path string) error {
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

// output is the beginning of what a command prints. It takes the rest too, so that
// the command never waits.
type output struct{ b []byte }

func (o *output) Write(p []byte) (int, error) {
	o.b = append(o.b, p[:min(len(p), maxOutput-len(o.b))]...)
	return len(p), nil
}
