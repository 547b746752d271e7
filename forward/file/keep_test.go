package file

import (
	"io/fs"
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

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

// keeping returns an open transport with that limit, and its log. It is closed at the end of
// the test.
func keeping(t *testing.T, pattern string, c Config, r *fakeRun) (*transport, *forwardtest.Log) {
	t.Helper()
	var log forwardtest.Log
	sink := fileSink("/", pattern, c)
	made, err := c.New(&sink, forward.Env{Mode: forward.Live, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	f := made.(*transport)
	if f.runner != nil {
		f.runner.run = r.run
	}
	t.Cleanup(func() { f.cancel(errStopped); f.keeping.Wait(); f.recovering.Wait(); f.runner.wait() })
	return f, &log
}

// makeFiles makes files of 100 bytes, each one hour older than the one before it.
func makeFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	for i, name := range names {
		path := filepath.Join(dir, name)
		write(t, path, make([]byte, 100))
		at := time.Now().Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// listed returns the names of all files below a directory, in order.
func listed(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestKeepDeletesTheOldestFinishedFilesOfItsSinkOnly(t *testing.T) {
	others := []string{"1000", "a/1000-x.nmsg", "a/.1000.nmsg.part", "a/1000.nmsg.gz", "b/1000/1000.nmsg", "a/1000.nmsg/x"}
	own := []string{"a/2005.nmsg", "b/2004.nmsg", "a/2004-1.nmsg", "a/2002.nmsg", "b/2001.nmsg"} // newest first
	for name, c := range map[string]struct {
		keep Keep
		left int // of own
	}{
		"age":            {Keep{Age: 90 * time.Minute}, 2},
		"age of all":     {Keep{Age: time.Nanosecond}, 0},
		"size":           {Keep{Size: 350}, 3},
		"size, equal":    {Keep{Size: 300}, 3},
		"size of none":   {Keep{Size: 1}, 1},
		"both":           {Keep{Age: 150 * time.Minute, Size: 400}, 3},
		"nothing beyond": {Keep{Age: 24 * time.Hour, Size: 1 << 20}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			makeFiles(t, dir, others...) // %a: a day of the week
			makeFiles(t, dir, own...)
			if err := os.Symlink("/dev/null", filepath.Join(dir, "a/1999.nmsg")); err != nil {
				t.Fatal(err)
			}
			f, log := keeping(t, filepath.Join(dir, "%a/%Y.nmsg"), Config{}, nil)
			f.keeper = newKeeper(f, c.keep)
			f.keeper.look(time.Now().Add(time.Second))
			want := slices.Concat(others, own[:c.left], []string{"a/1999.nmsg"})
			slices.Sort(want)
			got := listed(t, dir)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if n := f.Files().Deleted; n != uint64(len(own)-c.left) {
				t.Errorf("%d are counted", n)
			}
			if lines := strings.Count(log.String(), "\n"); lines != min(1, len(own)-c.left) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

func TestKeepLeavesFilesForWhichOnRotateIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		makeFiles(t, dir, "2004.nmsg", "2003.nmsg", "2002.nmsg")
		r := fakeRun{takes: time.Minute}
		f, _ := keeping(t, filepath.Join(dir, "%Y.nmsg"), Config{OnRotate: []string{"fake"}, Keep: Keep{Age: time.Minute}}, &r)
		write(t, filepath.Join(dir, ".2003.nmsg.rotate"), nil)
		f.runner.enqueue(named{path: filepath.Join(dir, "2003.nmsg")})
		write(t, filepath.Join(dir, ".2002.nmsg.rotate"), nil)
		f.runner.enqueue(named{path: filepath.Join(dir, "2002.nmsg")})
		f.keeper.look(time.Now().Add(time.Hour))
		if diff := cmp.Diff([]string{".2002.nmsg.rotate", ".2003.nmsg.rotate", "2002.nmsg", "2003.nmsg"}, listed(t, dir)); diff != "" {
			t.Errorf("while it is due (-want +got):\n%s", diff)
		}
		f.runner.wait()
		f.keeper.look(time.Now().Add(time.Hour))
		if got := listed(t, dir); len(got) != 0 {
			t.Errorf("in the end: %v", got)
		}
	})
}

func TestKeepLooksAfterEveryFinishedFileAndEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := fileSink(dir, "%Y%m%dT%H%M%S.nmsg", Config{Rotate: 30 * time.Second, Keep: Keep{Size: 1}})
		f := newForwarder(t, forward.Live, c, nil)
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 5 {
				forwardtest.Burst(t, l, i, 1, 100)
				time.Sleep(40 * time.Second)
				synctest.Wait()
				if got := contents(t, dir); len(got) != 1 {
					t.Errorf("after file %d: %v", i, slices.Collect(maps.Keys(got)))
				}
			}
			if n := f.Ledger().Sinks[0].Files.Deleted; n != 4 {
				t.Errorf("%d deleted", n)
			}
			makeFiles(t, dir, "19990101T000000.nmsg", "19990102T000000.nmsg")
			time.Sleep(keepInterval)
			synctest.Wait()
			if got := listed(t, dir); len(got) != 1 {
				t.Errorf("a minute later: %v", got)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestKeepReportsWhatItCannotDeleteOnce(t *testing.T) {
	dir := t.TempDir()
	f, log := keeping(t, filepath.Join(dir, "%Y.nmsg"), Config{Keep: Keep{Age: time.Minute}}, nil)
	for _, err := range []error{errFake, errFake, nil, nil, errFake} {
		f.keeper.note(0, err)
	}
	if n := strings.Count(log.String(), "cannot delete all old files"); n != 2 || strings.Count(log.String(), "again\"\n") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

func TestKeepListsOnlyTheOldestOfVeryManyFiles(t *testing.T) {
	var s finishedFiles
	at := time.Unix(1e9, 0)
	for i := range 5 * maxOldest {
		s.addFile(finishedFile{path: "x", written: at.Add(-time.Duration(i) * time.Second), size: 2})
	}
	s.sort()
	if len(s.oldest) != maxOldest || cap(s.oldest) > 3*maxOldest || s.size != 10*maxOldest || !s.newest.written.Equal(at) {
		t.Errorf("%d listed of %d, %d bytes, the newest of %v", len(s.oldest), cap(s.oldest), s.size, s.newest.written)
	}
	if oldest := at.Add(-time.Duration(5*maxOldest-1) * time.Second); !s.oldest[0].written.Equal(oldest) {
		t.Errorf("the oldest is of %v", s.oldest[0].written)
	}
}

func TestReplayDeletesNothing(t *testing.T) {
	dir := t.TempDir()
	makeFiles(t, dir, "2004.nmsg", "2003.nmsg", "2002.nmsg")
	f := newForwarder(t, forward.Replay, fileSink(dir, "%Y.nmsg", Config{Keep: Keep{Size: 1, Age: time.Minute}}), nil)
	if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 3, 100) }); err != nil {
		t.Error(err)
	}
	if got := listed(t, dir); len(got) != 4 {
		t.Errorf("files: %v", got)
	}
}
