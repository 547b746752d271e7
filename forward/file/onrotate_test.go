package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

// A fakeRun replaces the execution of a command.
type fakeRun struct {
	mu    sync.Mutex
	paths []string      // in the order of the runs
	takes time.Duration // duration of a run, unless it is killed
	err   error
}

func (r *fakeRun) run(ctx context.Context, path string) error {
	r.mu.Lock()
	r.paths = append(r.paths, path)
	takes, err := r.takes, r.err
	r.mu.Unlock()
	select {
	case <-time.After(takes):
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *fakeRun) set(takes time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takes, r.err = takes, err
}

func (r *fakeRun) ran() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.paths)
}

// stopTime is the time that a Forwarder gives its sinks to stop.
const stopTime = 3 * time.Second

// newTestRunner returns a runner with its log and the function that cancels its context.
func newTestRunner(mode forward.Mode, r *fakeRun) (*runner, *forwardtest.Log, context.CancelCauseFunc) {
	var log forwardtest.Log
	ctx, cancel := context.WithCancelCause(context.Background())
	k := newRunner(ctx, []string{"fake"}, "files", mode, slog.New(slog.NewTextHandler(&log, nil)))
	k.run = r.run
	return k, &log, cancel
}

// errFake is the error of fake commands.
var errFake = errors.New("fake failure")

func TestCommandsRunInOrderAndOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRun{takes: time.Minute}
		k, log, cancel := newTestRunner(forward.Live, &r)
		defer cancel(nil)
		for i := range 5 {
			k.enqueue(named{path: fmt.Sprint(i)})
		}
		time.Sleep(150 * time.Second) // the third is at work
		synctest.Wait()
		if diff := cmp.Diff(forward.CommandRuns{Done: 2, Waiting: 3}, k.account()); diff != "" || len(r.ran()) != 3 {
			t.Errorf("meanwhile, %v started (-want +got):\n%s", r.ran(), diff)
		}
		k.wait()
		k.enqueue(named{path: "5"})
		k.wait()
		if diff := cmp.Diff([]string{"0", "1", "2", "3", "4", "5"}, r.ran()); diff != "" || k.account() != (forward.CommandRuns{Done: 6}) {
			t.Errorf("%+v (-want +got):\n%s", k.account(), diff)
		}
		if log.String() != "" {
			t.Errorf("log: %s", log)
		}
	})
}

func TestFilesAreSkippedIfTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRun{takes: time.Minute}
		k, log, cancel := newTestRunner(forward.Live, &r)
		defer cancel(nil)
		for i := range maxWaiting + 10 {
			k.enqueue(named{path: fmt.Sprint(i)})
		}
		if diff := cmp.Diff(forward.CommandRuns{Skipped: 10, Waiting: maxWaiting}, k.account()); diff != "" {
			t.Errorf("while they wait (-want +got):\n%s", diff)
		}
		if n := strings.Count(log.String(), "is too slow"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, log)
		}
		k.wait()
		if diff := cmp.Diff(forward.CommandRuns{Skipped: 10, Done: maxWaiting}, k.account()); diff != "" {
			t.Errorf("in the end (-want +got):\n%s", diff)
		}
		if !strings.Contains(log.String(), `msg="on_rotate has caught up" skipped=10`) {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestReplayWaitsForItsCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRun{takes: time.Minute}
		k, log, cancel := newTestRunner(forward.Replay, &r)
		defer cancel(nil)
		start := time.Now()
		for i := range maxWaiting + 10 {
			k.enqueue(named{path: fmt.Sprint(i)})
		}
		if took := time.Since(start); took != 10*time.Minute {
			t.Errorf("it took %v to enqueue %d files too many", took, 10)
		}
		k.wait()
		if k.account() != (forward.CommandRuns{Done: maxWaiting + 10}) || log.String() != "" {
			t.Errorf("%+v, log:\n%s", k.account(), log)
		}
	})
}

func TestRecoveredFilesLeaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRun{takes: time.Minute}
		k, log, cancel := newTestRunner(forward.Live, &r)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range maxWaiting + 10 {
				k.enqueueRecovered(named{path: fmt.Sprint(i)})
			}
		}()
		synctest.Wait()
		if diff := cmp.Diff(forward.CommandRuns{Waiting: maxWaiting / 2}, k.account()); diff != "" {
			t.Errorf("of many recovered files (-want +got):\n%s", diff)
		}
		k.enqueue(named{path: "new"})
		time.Sleep(150 * time.Second)
		synctest.Wait()
		cancel(errStopped) // nothing waits for the rest
		<-done
		k.wait()
		if got := k.account(); got.Done != 2 || got.Failed != 1 || got.Skipped != maxWaiting+10+1-3 {
			t.Errorf("in the end: %+v, log:\n%s", got, log)
		}
	})
}

func TestOnlyTheFirstOfFailuresInARowIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRun{err: errFake}
		k, log, cancel := newTestRunner(forward.Live, &r)
		defer cancel(nil)
		for i := range 3 {
			k.enqueue(named{path: fmt.Sprint(i)})
			k.wait()
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "on_rotate for 0: fake failure") {
			t.Errorf("log:\n%s", log)
		}
		r.set(0, nil)
		k.enqueue(named{path: "3"})
		k.wait()
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "works again") {
			t.Errorf("log:\n%s", log)
		}
		if k.account() != (forward.CommandRuns{Done: 1, Failed: 3}) {
			t.Errorf("%+v", k.account())
		}
	})
}

func TestTheStopKillsACommandAndSkipsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRun{takes: time.Hour, err: errFake}
		k, log, cancel := newTestRunner(forward.Live, &r)
		for i := range 4 {
			k.enqueue(named{path: fmt.Sprint(i)})
		}
		synctest.Wait()
		cancel(errStopped)
		k.wait()
		if diff := cmp.Diff(forward.CommandRuns{Failed: 1, Skipped: 3}, k.account()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, want := range []string{"on_rotate for 0: " + errStopped.Error(), "files=3"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("log without %q:\n%s", want, log)
			}
		}
	})
}

func TestSinksWithoutOnRotateRunNothing(t *testing.T) {
	k := newRunner(t.Context(), nil, "files", forward.Live, nil)
	k.check()
	k.enqueue(named{path: "x"})
	k.wait()
	if k.account() != (forward.CommandRuns{}) {
		t.Errorf("%+v", k.account())
	}
}

// execute runs a shell script for a file, within limit, and returns the log from level on.
func execute(t *testing.T, script, path string, limit time.Duration, level slog.Level) (logged string, err error) {
	t.Helper()
	var log bytes.Buffer
	h := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level})
	k := newRunner(t.Context(), []string{"/bin/sh", "-c", script, "sh", "two words; $HOME", ""}, "files", forward.Live, slog.New(h))
	k.limit = limit
	err = k.run(t.Context(), path)
	return log.String(), err
}

func TestTheCommandGetsItsArgumentsAndThenThePath(t *testing.T) {
	out := filepath.Join(t.TempDir(), "args")
	script := `printf '<%s>' "$@" >` + out + `; cat >>` + out // standard input is empty
	if _, err := execute(t, script, "/d/a b.nmsg", time.Minute, slog.LevelInfo); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if want := "<two words; $HOME><></d/a b.nmsg>"; string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestTheErrorOfACommandStatesItsStatus(t *testing.T) {
	if _, err := execute(t, "exit 7", "x", time.Minute, slog.LevelInfo); err == nil || err.Error() != "exit status 7" {
		t.Errorf("got %v", err)
	}
	var log forwardtest.Log
	k := newRunner(t.Context(), []string{"no-such-program"}, "files", forward.Live, slog.New(slog.NewTextHandler(&log, nil)))
	k.check()
	if !strings.Contains(log.String(), "no-such-program") {
		t.Errorf("log: %s", &log)
	}
	if err := k.run(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "executable file not found") {
		t.Errorf("got %v", err)
	}
}

func TestTheCommandGetsNoSecretOfTheEnvironment(t *testing.T) {
	t.Setenv("PDNS_TEST_SECRET", "top-secret")
	t.Setenv("HOME", "/home/of sensor")
	t.Setenv("LANG", "C.UTF-8")
	out := filepath.Join(t.TempDir(), "env")
	if _, err := execute(t, "cat /proc/$$/environ >"+out, "/d/a b.nmsg", time.Minute, slog.LevelInfo); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
	slices.Sort(got)
	want := []string{"DNSTAP_PDNS_FILE=/d/a b.nmsg", "DNSTAP_PDNS_SINK=files", "HOME=/home/of sensor", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

// eventually waits until ok returns true.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("never happened: %s", what)
		}
	}
}

func TestACommandThatTakesTooLongIsKilledWithItsProcessGroup(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	start := time.Now()
	_, err := execute(t, "sleep 1000 & echo $! >"+pid+"; sleep 1000", "x", 300*time.Millisecond, slog.LevelInfo)
	if err == nil || err.Error() != "killed, as it did not end within 300ms" {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	raw, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "what it started dies", func() bool { return !alive(strings.TrimSpace(string(raw))) })
}

// alive reports whether a process runs. A zombie does not run.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

func TestACommandEndsWithItsProcess(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	start := time.Now()
	if _, err := execute(t, "sleep 1000 & echo $! >"+pid, "x", time.Minute, slog.LevelInfo); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	raw, _ := os.ReadFile(pid)
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(strconv.Itoa(n)) {
		t.Error("the process that it started was killed")
	}
	p, _ := os.FindProcess(n)
	p.Kill()
}

func TestOutputOfACommandIsLoggedAtDebugLevelOnly(t *testing.T) {
	const script = "echo out; echo wrong >&2; head -c 1000000 /dev/zero | tr '\\0' x"
	logged, err := execute(t, script, "x", time.Minute, slog.LevelInfo)
	if err != nil || logged != "" {
		t.Errorf("logged %q, %v", logged, err)
	}
	logged, err = execute(t, script, "x", time.Minute, slog.LevelDebug)
	if err != nil || !strings.Contains(logged, `output="out\nwrong\nxxx`) || len(logged) > maxOutput+1000 {
		t.Errorf("%d bytes logged, %v: %.200s", len(logged), err, logged)
	}
}

// withCommand returns a Forwarder with a file sink that has a fake command.
func withCommand(t *testing.T, mode forward.Mode, c forward.SinkConfig, r *fakeRun) (*forward.Forwarder, forward.SinkConfig) {
	t.Helper()
	config := c.Transport.(Config)
	config.OnRotate = []string{"/bin/true"}
	c.Transport = &altered{config, func(f *transport) { f.runner.run = r.run }}
	return forwardtest.New(t, mode, io.Discard, c), c
}

func TestOnRotateRunsForEveryFileThatGetsItsName(t *testing.T) {
	for _, mode := range []forward.Mode{forward.Live, forward.Replay} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			var r fakeRun
			f, c := withCommand(t, mode, fileSink(dir, "out.nmsg", Config{RotateSize: 100_000}), &r)
			if err := forwardtest.Run(f, func(l *forward.Lane) {
				forwardtest.Burst(t, l, 0, 1000, 300)
				time.Sleep(time.Second)
				if mode == forward.Live { // a reload removes the sink, another one adds it again
					for _, sinks := range [][]forward.SinkConfig{nil, {c}} {
						if err := f.Apply(forwardtest.Policy(t), sinks, nil); err != nil {
							t.Error(err)
						}
						time.Sleep(time.Second)
					}
				}
				forwardtest.Burst(t, l, 1000, 10, 300)
			}); err != nil {
				t.Error(err)
			}
			var want []string
			for name := range contents(t, dir) {
				want = append(want, filepath.Join(dir, name))
			}
			got := r.ran()
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" || len(got) < 4 {
				t.Errorf("mode %v (-files +runs):\n%s", mode, diff)
			}
		})
	}
}

func TestACommandBlocksNeitherSinkNorStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRun{takes: time.Hour}
		f, _ := withCommand(t, forward.Live, fileSink(t.TempDir(), "out.nmsg", Config{RotateSize: 10_000}), &r)
		var start time.Time
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 10 {
				forwardtest.Burst(t, l, 100*i, 100, 300)
				time.Sleep(time.Second)
			}
			if s := f.Ledger().Sinks[0]; s.Written == 0 || s.Delivered+s.Written != 1000 || s.OnRotate.Waiting < 5 {
				t.Errorf("meanwhile: %+v", s)
			}
			start = time.Now()
		}); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != stopTime {
			t.Errorf("the stop took %v, want the %v that sinks have", took, stopTime)
		}
		s := f.Ledger().Sinks[0]
		if s.OnRotate.Failed != 1 || s.OnRotate.Skipped < 5 || s.OnRotate.Waiting != 0 || s.Offered != s.Sum() {
			t.Errorf("in the end: %+v", s)
		}
	})
}

func TestTheStopWaitsForTheLastCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRun{takes: stopTime - time.Millisecond}
		f, _ := withCommand(t, forward.Live, fileSink(t.TempDir(), "out.nmsg", Config{}), &r)
		if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) }); err != nil {
			t.Error(err)
		}
		if s := f.Ledger().Sinks[0]; s.OnRotate != (forward.CommandRuns{Done: 1}) {
			t.Errorf("%+v", s)
		}
	})
}

func TestAFailingCommandLosesNoRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRun{err: errors.New("no")}
		f, _ := withCommand(t, forward.Replay, fileSink(t.TempDir(), "out.nmsg", Config{}), &r)
		if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) }); err != nil {
			t.Error(err)
		}
		if s := f.Ledger().Sinks[0]; s.OnRotate != (forward.CommandRuns{Failed: 1}) || s.Delivered != 10 || s.Error != "" {
			t.Errorf("%+v", s)
		}
	})
}
