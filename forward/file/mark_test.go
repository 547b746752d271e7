package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

// names returns the names of the files in a directory, in order.
func names(t *testing.T, dir string) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(contents(t, dir)))
}

func TestAMarkIsOnDiskBeforeTheFileHasItsNameUntilTheCommandSucceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var order []string // operations of the finisher's goroutine
		d := testDisk{
			naming:  func(_, to string) error { order = append(order, "rename "+filepath.Base(to)); return nil },
			syncing: func(string) error { order = append(order, fmt.Sprint("sync ", names(t, dir))); return nil },
		}
		r := fakeRun{takes: time.Second}
		c := fileSink(dir, "out.nmsg", Config{OnRotate: []string{"true"}})
		c.Transport = &altered{c.Transport, func(f *transport) { f.disk, f.runner.run = d, r.run }}
		f := forwardtest.New(t, forward.Live, io.Discard, c)
		if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) }); err != nil {
			t.Error(err)
		}
		want := []string{
			"sync [.out.nmsg.part .out.nmsg.rotate]",
			"rename out.nmsg",
			"sync [.out.nmsg.rotate out.nmsg]",
		}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"out.nmsg"}, names(t, dir)); diff != "" {
			t.Errorf("in the end (-want +got):\n%s", diff)
		}
	})
}

// TestAStartRunsTheCommandForMarkedFiles checks commands that failed, that the stop killed,
// and that the stop did not start.
func TestAStartRunsTheCommandForMarkedFiles(t *testing.T) {
	for name, first := range map[string]*fakeRun{"failed": {err: errFake}, "killed": {takes: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				c := fileSink(dir, "out.nmsg", Config{RotateSize: 20_000, OnRotate: []string{"true"}})
				f, _ := withCommand(t, forward.Live, c, first)
				if err := forwardtest.Run(f, func(l *forward.Lane) {
					for i := range 4 {
						forwardtest.Burst(t, l, 50*i, 50, 300)
						time.Sleep(time.Second)
					}
				}); err != nil {
					t.Error(err)
				}
				files := []string{"out-1.nmsg", "out-2.nmsg", "out-3.nmsg", "out.nmsg"}
				var marks, paths []string
				for _, n := range files {
					marks, paths = append(marks, "."+n+".rotate"), append(paths, filepath.Join(dir, n))
				}
				slices.Sort(marks)
				if diff := cmp.Diff(append(marks, files...), names(t, dir)); diff != "" {
					t.Fatalf("after the stop (-want +got):\n%s", diff)
				}
				if name == "killed" && f.Ledger().Sinks[0].OnRotate.Skipped != 3 {
					t.Errorf("%+v", f.Ledger().Sinks[0].OnRotate)
				}
				var second fakeRun
				if log := recoverAll(t, c, &second); log != "" {
					t.Errorf("log: %s", log)
				}
				got := second.ran()
				slices.Sort(got)
				if diff := cmp.Diff(paths, got); diff != "" {
					t.Errorf("runs after the next start (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(files, names(t, dir)); diff != "" {
					t.Errorf("in the end (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAStartRemovesMarksWithoutAFileAndTouchesNoOther(t *testing.T) {
	dir := t.TempDir()
	others := []string{".other.nmsg.rotate", ".2024.nmsg.rotated", "2024.nmsg.rotate", ".2025.nmsg.rotate", "2025.nmsg", ".2027.nmsg.rotate", "2027.nmsg"}
	for _, n := range append(others, ".2023.nmsg.rotate", ".2023-7.nmsg.rotate") {
		write(t, filepath.Join(dir, n), nil)
	}
	holdLock(t, filepath.Join(dir, ".2025.nmsg.rotate")) // another process runs the command
	if err := os.Symlink("/dev/null", filepath.Join(dir, ".2026.nmsg.rotate")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, ".2028.nmsg.rotate"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := fakeRun{err: errFake}
	log := recoverAll(t, fileSink(dir, "%Y.nmsg", Config{OnRotate: []string{"true"}}), &r)
	if diff := cmp.Diff([]string{filepath.Join(dir, "2027.nmsg")}, r.ran()); diff != "" || strings.Count(log, "\n") != 1 {
		t.Errorf("log %s; runs (-want +got):\n%s", log, diff)
	}
	want := append(others, ".2026.nmsg.rotate", ".2028.nmsg.rotate")
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(listed(t, dir)))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestASinkWithoutOnRotateLeavesMarks(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".2024.nmsg.rotate"), nil)
	write(t, filepath.Join(dir, "2024.nmsg"), nil)
	recoverAll(t, fileSink(dir, "%Y.nmsg", Config{}), nil)
	if got := listed(t, dir); len(got) != 2 {
		t.Errorf("files: %v", got)
	}
}

// TestRecoveredFilesHaveMarks checks a crash while the command runs for a recovered file.
func TestRecoveredFilesHaveMarks(t *testing.T) {
	dir := t.TempDir()
	b, _ := series(t, 3, false)
	write(t, filepath.Join(dir, ".out.nmsg.part"), b)
	c := fileSink(dir, "out.nmsg", Config{OnRotate: []string{"true"}})
	r := fakeRun{err: errFake}
	recoverAll(t, c, &r)
	if diff := cmp.Diff([]string{".out.nmsg.rotate", "out.nmsg"}, names(t, dir)); diff != "" || len(r.ran()) != 1 {
		t.Errorf("%v (-want +got):\n%s", r.ran(), diff)
	}
}

// TestAReloadDoesNotRunACommandTwice checks that a transport leaves marks of the one before
// it, whose commands still run.
func TestAReloadDoesNotRunACommandTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := fakeRun{takes: time.Minute}
		c := fileSink(dir, "out.nmsg", Config{RotateSize: 20_000})
		f, c := withCommand(t, forward.Live, c, &r)
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 4 {
				forwardtest.Burst(t, l, 50*i, 50, 300)
				time.Sleep(time.Second)
			}
			c.Queue++
			if err := f.Apply(forwardtest.Policy(t), []forward.SinkConfig{c}, nil); err != nil {
				t.Error(err)
			}
			forwardtest.Burst(t, l, 200, 50, 300)
			time.Sleep(time.Hour)
		}); err != nil {
			t.Error(err)
		}
		got := r.ran()
		slices.Sort(got)
		if len(got) != 5 || len(slices.Compact(got)) != 5 {
			t.Errorf("runs: %v", got)
		}
	})
}

func TestAMarkWithAnOwnerMeansThatTheNameIsTaken(t *testing.T) {
	dir := t.TempDir()
	holdLock(t, filepath.Join(dir, ".out.nmsg.rotate"))
	write(t, filepath.Join(dir, ".out-1.nmsg.rotate"), nil) // of a crash: it has no owner
	var r fakeRun
	f, _ := withCommand(t, forward.Replay, fileSink(dir, "out.nmsg", Config{}), &r)
	if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) }); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]int{".out.nmsg.rotate": 0, "out-1.nmsg": 10}, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestAMarkThatCannotBeRemovedIsAFailure(t *testing.T) {
	var log forwardtest.Log
	k := newRunner(context.Background(), []string{"fake"}, "files", forward.Live, slog.New(slog.NewTextHandler(&log, nil)))
	k.run = new(fakeRun).run
	k.unmark = func(string) error { return errors.New("no permission") }
	k.enqueue(named{path: "x"})
	k.wait()
	if k.account() != (forward.CommandRuns{Failed: 1}) || !strings.Contains(log.String(), "on_rotate for x: no permission") {
		t.Errorf("%+v, log: %s", k.account(), &log)
	}
}
