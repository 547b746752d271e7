package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

// A slowFile is a file whose syncs take time, and are noted.
type slowFile struct {
	openFile
	takes time.Duration
	syncs *syncLog
}

// A syncLog notes the size of the file and the time at each sync of data, and counts other syncs.
type syncLog struct {
	mu    sync.Mutex
	sizes []int64
	at    []time.Time

	whole   int
	wholeAt time.Time // the latest
}

func (f slowFile) SyncData() error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	f.syncs.mu.Lock()
	f.syncs.sizes, f.syncs.at = append(f.syncs.sizes, info.Size()), append(f.syncs.at, time.Now())
	f.syncs.mu.Unlock()
	<-time.After(f.takes)
	return f.openFile.SyncData()
}

func (f slowFile) Sync() error {
	f.syncs.mu.Lock()
	f.syncs.whole++
	f.syncs.wholeAt = time.Now()
	f.syncs.mu.Unlock()
	<-time.After(f.takes)
	return f.openFile.Sync()
}

// slowly returns a function that creates files whose syncs take that time.
func slowly(takes time.Duration, syncs *syncLog) func(string) (openFile, error) {
	return func(path string) (openFile, error) {
		f, err := realDisk{}.create(path)
		return slowFile{f, takes, syncs}, err
	}
}

func TestTheOpenFileIsSyncedSoonAfterItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var syncs syncLog
		f := newForwarder(t, forward.Live, fileSink(t.TempDir(), "out.nmsg", Config{}), slowly(0, &syncs))
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 3 {
				forwardtest.Burst(t, l, i, 1, 100)
				time.Sleep(1100 * time.Millisecond) // flush takes 500ms: written at .5, 1.6, 2.7
			}
			time.Sleep(time.Minute) // without a record: no sync
			forwardtest.Burst(t, l, 3, 1, 100)
			time.Sleep(10 * time.Second)
		}); err != nil {
			t.Error(err)
		}
		if len(syncs.sizes) != 3 || syncs.whole != 1 {
			t.Fatalf("synced at %v, and %d times at the end", syncs.sizes, syncs.whole)
		}
		if took := syncs.at[1].Sub(syncs.at[0]); took < syncTime || took > syncTime+syncTime/2 {
			t.Errorf("%v between the first two syncs, want about %v", took, syncTime)
		}
	})
}

func TestTheOpenFileIsSyncedAfterManyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var syncs syncLog
		c := fileSink(t.TempDir(), "out.nmsg", Config{})
		c.Queue = 64 << 20
		f := newForwarder(t, forward.Live, c, slowly(0, &syncs))
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 12 { // of 2.5 MB each, without time between them
				forwardtest.Burst(t, l, 50*i, 50, 50_000)
				synctest.Wait()
			}
			syncs.mu.Lock()
			defer syncs.mu.Unlock()
			if len(syncs.sizes) < 2 || len(syncs.sizes) > 4 {
				t.Errorf("synced at sizes %v", syncs.sizes)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}

// TestAFullFileIsSyncedBeforeTheNextOne fills a file during a slow sync of it, and lets the sync
// of the next file become due meanwhile. Otherwise a power cut could lose records of the first
// file and not those of the second.
func TestAFullFileIsSyncedBeforeTheNextOne(t *testing.T) {
	for range 20 { // the finisher's select chooses at random
		synctest.Test(t, func(t *testing.T) {
			var all []*syncLog // of each file
			f := newForwarder(t, forward.Live, fileSink(t.TempDir(), "out.nmsg", Config{RotateSize: 25_000}), func(path string) (openFile, error) {
				all = append(all, new(syncLog))
				return slowly(3*time.Second, all[len(all)-1])(path)
			})
			if err := forwardtest.Run(f, func(l *forward.Lane) {
				for i := range 2 { // a file holds one of these
					forwardtest.Burst(t, l, 50*i, 50, 300)
					time.Sleep(2200 * time.Millisecond) // written at .5, 2.7; the first sync takes from 2.5 to 5.5
				}
				time.Sleep(time.Minute)
			}); err != nil {
				t.Error(err)
			}
			if len(all) != 2 || all[0].whole != 1 || len(all[1].at) == 0 {
				t.Fatalf("%d files, want 2 that are synced", len(all))
			}
			if open, full := all[1].at[0], all[0].wholeAt; !open.After(full) {
				t.Fatalf("the next file was synced %v before the full one", full.Sub(open))
			}
		})
	}
}

// TestASlowSyncDoesNotDelayTheSink checks that the sink writes the next file while a full
// one is synced, but not the second next.
func TestASlowSyncDoesNotDelayTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var syncs syncLog
		f := newForwarder(t, forward.Live, fileSink(dir, "out.nmsg", Config{RotateSize: 25_000}), slowly(time.Minute, &syncs))
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 5 { // a file holds one of these
				forwardtest.Burst(t, l, 50*i, 50, 300)
				time.Sleep(time.Second)
			}
			s := f.Ledger().Sinks[0]
			if s.Written != 100 || s.Queued != 150 {
				t.Errorf("during the first sync: %+v", s)
			}
			if got := contents(t, dir); len(got) != 2 {
				t.Errorf("files during the first sync: %v", got)
			}
			time.Sleep(20 * time.Minute)
			if s := f.Ledger().Sinks[0]; s.Written == 0 || s.Delivered+s.Written != 250 || s.Queued != 0 {
				t.Errorf("afterwards: %+v", s)
			}
		}); err == nil || !strings.Contains(err.Error(), "did not return") {
			t.Errorf("the stop during a sync: %v", err)
		}
		time.Sleep(2 * time.Minute) // the last sync returns
		if s := forwardtest.CheckLedger(t, f); s.Delivered != 250 {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// TestRotationLosesNothing checks that a queue that holds less than what comes during one sync
// does not overflow at rotations.
func TestRotationLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fileSink(t.TempDir(), "out.nmsg", Config{RotateSize: 1 << 20})
		c.Queue = 200_000
		c.Flush = 50 * time.Millisecond
		var syncs syncLog
		f := newForwarder(t, forward.Live, c, slowly(time.Second, &syncs))
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 200 { // 450 kB a second
				forwardtest.Burst(t, l, 50*i, 50, 300)
				time.Sleep(50 * time.Millisecond)
			}
		}); err != nil {
			t.Error(err)
		}
		if s := forwardtest.CheckLedger(t, f); s.Delivered != 10_000 || syncs.whole < 4 {
			t.Errorf("%d files: %+v", syncs.whole, s)
		}
	})
}

// TestRecordsOfAFileThatAnotherProgramChangesFail checks that this is noticed within about a
// second, and that only the file's records fail.
func TestRecordsOfAFileThatAnotherProgramChangesFail(t *testing.T) {
	for name, change := range map[string]func(dir, temp string) error{
		"removed":            func(_, temp string) error { return os.Remove(temp) },
		"replaced":           func(dir, temp string) error { return os.Rename(dir+"/other", temp) },
		"truncated":          func(_, temp string) error { return os.Truncate(temp, 0) },
		"cut":                func(_, temp string) error { return os.Truncate(temp, 10) },
		"extended":           func(_, temp string) error { return os.Truncate(temp, 1<<20) },
		"directory replaced": func(dir, _ string) error { return errorOf(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700)) },
	} {
		for _, busy := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, busy %v", name, busy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir := filepath.Join(t.TempDir(), "out")
					write(t, filepath.Join(dir, "other"), []byte("another program's"))
					var log forwardtest.Log
					f := forwardtest.New(t, forward.Live, &log, fileSink(dir, "out.nmsg", Config{}))
					err := forwardtest.Run(f, func(l *forward.Lane) {
						forwardtest.Burst(t, l, 0, 10, 100)
						time.Sleep(time.Second)
						if err := change(dir, filepath.Join(dir, ".out.nmsg.part")); err != nil {
							t.Fatal(err)
						}
						if busy { // written soon after that
							forwardtest.Burst(t, l, 10, 10, 100)
						}
						time.Sleep(3 * time.Second)
						failed := f.Ledger().Sinks[0].Lost[forward.Failed]
						if failed != 10 && !busy || failed < 10 {
							t.Errorf("%d failed", failed)
						}
						forwardtest.Burst(t, l, 20, 10, 100)
					})
					if err != nil {
						t.Error(err)
					}
					s := forwardtest.CheckLedger(t, f)
					got := 0
					for name, n := range contentsOf(t, dir, "out*.nmsg") {
						if n != 10 && n != 20 {
							t.Errorf("%s has %d records", name, n)
						}
						got += n
					}
					if s.Written != 0 || s.Delivered != uint64(got) || got < 10 {
						t.Errorf("%d records in files: %+v", got, s)
					}
					if strings.Count(log.String(), "records of a file failed") != 1 {
						t.Errorf("log:\n%s", &log)
					}
				})
			})
		}
	}
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// contentsOf is contents for the files of that pattern.
func contentsOf(t *testing.T, dir, pattern string) map[string]int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names, _, err := forwardtest.Names(b)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		got[filepath.Base(path)] = len(names)
	}
	return got
}

func TestAChangedFileIsFinalInReplay(t *testing.T) {
	dir := t.TempDir()
	changing := func(path string) (openFile, error) {
		f, err := realDisk{}.create(path)
		return badFile{openFile: f, changed: path}, err
	}
	f := newForwarder(t, forward.Replay, fileSink(dir, "out.nmsg", Config{}), changing)
	err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) })
	if err == nil || !strings.Contains(err.Error(), ".out.nmsg.part was removed") {
		t.Errorf("Run: %v", err)
	}
	if s := forwardtest.CheckLedger(t, f); s.Lost[forward.Failed] != 10 {
		t.Errorf("ledger: %+v", s)
	}
}

// TestAFailedSyncEndsTheFile checks that later records go to a new file and are delivered.
func TestAFailedSyncEndsTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var files atomic.Int64
		bad := func(path string) (openFile, error) {
			f, err := realDisk{}.create(path)
			if files.Add(1) == 1 {
				return badFile{openFile: f, syncData: unix.EIO}, err
			}
			return f, err
		}
		f := newForwarder(t, forward.Live, fileSink(dir, "out.nmsg", Config{}), bad)
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			forwardtest.Burst(t, l, 0, 10, 100)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if s := f.Ledger().Sinks[0]; s.Lost[forward.Failed] != 10 || s.Written != 0 {
				t.Errorf("after the sync: %+v", s)
			}
			forwardtest.Burst(t, l, 10, 5, 100)
		}); err != nil {
			t.Error(err)
		}
		if s := forwardtest.CheckLedger(t, f); s.Delivered != 5 || s.Lost[forward.Failed] != 10 {
			t.Errorf("in the end: %+v", s)
		}
		if diff := cmp.Diff(map[string]int{"out.nmsg": 10, "out-1.nmsg": 5}, contents(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	})
}

// TestAFailedCompletionIsRetried checks renames and syncs of the directory that fail for a
// while: nothing is lost, and on_rotate runs afterwards, in the order of the files.
func TestAFailedCompletionIsRetried(t *testing.T) {
	for name, disk := range map[string]func(fails *atomic.Bool) disk{
		"rename": func(fails *atomic.Bool) disk {
			return testDisk{naming: func(string, string) error { return failing(fails) }}
		},
		"directory": func(fails *atomic.Bool) disk {
			return testDisk{syncing: func(string) error { return failing(fails) }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				var fails atomic.Bool
				var log forwardtest.Log
				r := fakeRun{}
				c := fileSink(dir, "%Y%m%dT%H%M%S.nmsg", Config{Rotate: time.Minute, OnRotate: []string{"fake"}})
				c.Transport = &altered{c.Transport, func(f *transport) { f.disk, f.runner.run = disk(&fails), r.run }}
				f := forwardtest.New(t, forward.Live, &log, c)
				if err := forwardtest.Run(f, func(l *forward.Lane) {
					for i := range 3 {
						forwardtest.Burst(t, l, 10*i, 10, 100)
						time.Sleep(30 * time.Second)
						fails.Store(true)
						time.Sleep(30 * time.Second)
						synctest.Wait()
						if s := f.Ledger().Sinks[0]; s.Written != 10 || s.Files.Retried != 1 || s.OnRotate.Done != uint64(i) {
							t.Errorf("while it fails: %+v", s)
						}
						fails.Store(false)
						time.Sleep(time.Minute)
						synctest.Wait()
						if s := f.Ledger().Sinks[0]; s.Delivered != uint64(10*i+10) || s.Files.Retried != 0 || s.OnRotate.Done != uint64(i+1) {
							t.Errorf("afterwards: %+v", s)
						}
					}
				}); err != nil {
					t.Error(err)
				}
				for _, want := range []string{"a file cannot be completed, and is retried", "files are completed again"} {
					if n := strings.Count(log.String(), want); n != 3 {
						t.Errorf("%d times %q:\n%s", n, want, &log)
					}
				}
			})
		})
	}
}

func failing(fails *atomic.Bool) error {
	if fails.Load() {
		return unix.ENOSPC
	}
	return nil
}

// TestACompletionThatFailsToTheEndIsAnError, and the sink waits when too many files are
// retried.
func TestACompletionThatFailsToTheEndIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d := testDisk{naming: func(string, string) error { return unix.EACCES }}
		f := forwardtest.New(t, forward.Live, new(forwardtest.Log), onDisk(fileSink(dir, "%Y%m%dT%H%M%S.nmsg", Config{Rotate: time.Second}), d))
		err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range maxRetried + 5 {
				forwardtest.Burst(t, l, i, 1, 100)
				time.Sleep(2 * time.Second)
			}
			if s := f.Ledger().Sinks[0]; s.Files.Retried != maxRetried || s.Written != maxRetried+1 || s.Queued != 4 {
				t.Errorf("while it fails: %+v", s)
			}
		})
		if err == nil || !strings.Contains(err.Error(), ".nmsg.part, which keeps this name: permission denied ("+dir+" must be writable") {
			t.Errorf("Run: %v", err)
		}
		if s := forwardtest.CheckLedger(t, f); s.Delivered != 0 || s.Written != 0 || s.Lost[forward.Failed]+s.Lost[forward.Stopped] != maxRetried+5 {
			t.Errorf("ledger: %+v", s)
		}
	})
}

func TestACompletionThatFailsInReplayIsFinal(t *testing.T) {
	dir := t.TempDir()
	d := testDisk{naming: func(string, string) error { return unix.EACCES }}
	f := forwardtest.New(t, forward.Replay, new(forwardtest.Log), onDisk(fileSink(dir, "out.nmsg", Config{RotateSize: 10_000}), d))
	err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 1000, 300) })
	if err == nil || strings.Count(err.Error(), "/.out.nmsg.part, which keeps this name: permission denied") != 1 {
		t.Errorf("Run: %v", err)
	}
	if s := forwardtest.CheckLedger(t, f); s.Delivered != 0 || s.Lost[forward.Failed] != 1000 {
		t.Errorf("ledger: %+v", s)
	}
}
