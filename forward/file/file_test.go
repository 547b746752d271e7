package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// fileSink returns a sink to files of that name in a directory.
func fileSink(dir, name string, c Config) forward.SinkConfig {
	return forwardtest.Sink("files", forward.Target{Scheme: forward.File, Address: filepath.Join(dir, name)}, c)
}

// An altered configuration makes a transport that a test changes before it is used.
type altered struct {
	forward.TransportConfig
	alter func(*transport)
}

func (a *altered) New(c *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	t, err := a.TransportConfig.New(c, env)
	if err == nil {
		a.alter(t.(*transport))
	}
	return t, err
}

// A testDisk is a disk whose operations a test replaces, unless they are nil.
type testDisk struct {
	realDisk
	make    func(path string) (openFile, error)
	naming  func(from, to string) error // before each rename
	syncing func(dir string) error      // before each sync of a directory
}

func (d testDisk) create(path string) (openFile, error) {
	if d.make != nil {
		return d.make(path)
	}
	return d.realDisk.create(path)
}

func (d testDisk) rename(from, to string) error {
	if d.naming != nil {
		if err := d.naming(from, to); err != nil {
			return err
		}
	}
	return d.realDisk.rename(from, to)
}

func (d testDisk) syncDir(dir string) error {
	if d.syncing != nil {
		if err := d.syncing(dir); err != nil {
			return err
		}
	}
	return d.realDisk.syncDir(dir)
}

// onDisk returns c with that disk.
func onDisk(c forward.SinkConfig, d disk) forward.SinkConfig {
	c.Transport = &altered{c.Transport, func(f *transport) { f.disk = d }}
	return c
}

// newForwarder returns a Forwarder with one file sink. create makes its files; nil: real
// files.
func newForwarder(t *testing.T, mode forward.Mode, c forward.SinkConfig, create func(string) (openFile, error)) *forward.Forwarder {
	t.Helper()
	if create != nil {
		c = onDisk(c, testDisk{make: create})
	}
	return forwardtest.New(t, mode, io.Discard, c)
}

// contents returns the number of records of each file in a directory. It fails the test if
// a file cannot be read to its end.
func contents(t *testing.T, dir string) map[string]int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		names, _, err := forwardtest.Names(b)
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
		got[e.Name()] = len(names)
	}
	return got
}

func TestAFileHasItsNameWhenItIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newForwarder(t, forward.Live, fileSink(dir, "out.nmsg", Config{}), nil)
		err := forwardtest.Run(f, func(l *forward.Lane) {
			time.Sleep(time.Second)
			if got := contents(t, dir); len(got) != 0 {
				t.Errorf("before the first record: %v", got)
			}
			forwardtest.Burst(t, l, 0, 10, 100)
			time.Sleep(time.Second)
			synctest.Wait()
			if diff := cmp.Diff(map[string]int{".out.nmsg.part": 10}, contents(t, dir)); diff != "" {
				t.Errorf("meanwhile (-want +got):\n%s", diff)
			}
			forwardtest.Burst(t, l, 10, 5, 100)
		})
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(map[string]int{"out.nmsg": 15}, contents(t, dir)); diff != "" {
			t.Errorf("in the end (-want +got):\n%s", diff)
		}
		info, err := os.Stat(filepath.Join(dir, "out.nmsg"))
		if err != nil || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("mode %v, %v: others may use it", info.Mode(), err)
		}
	})
}

func TestNoFileIsEverReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for _, taken := range []string{"out.nmsg", "out-1.nmsg", ".out.nmsg.part"} {
			if err := os.WriteFile(filepath.Join(dir, taken), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		holdLock(t, filepath.Join(dir, ".out.nmsg.part"))
		for range 2 {
			f := newForwarder(t, forward.Live, fileSink(dir, "out.nmsg", Config{}), nil)
			if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 3, 100) }); err != nil {
				t.Error(err)
			}
		}
		want := map[string]int{"out.nmsg": 0, "out-1.nmsg": 0, ".out.nmsg.part": 0, "out-2.nmsg": 3, "out-3.nmsg": 3}
		if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	})
}

func TestLiveFilesRotateByTheWallClockWithoutRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins at midnight UTC, 2000-01-01
		dir := t.TempDir()
		c := fileSink(dir, "%Y%m%dT%H%M%S.nmsg", Config{Rotate: time.Hour})
		f := newForwarder(t, forward.Live, c, nil)
		err := forwardtest.Run(f, func(l *forward.Lane) {
			time.Sleep(10 * time.Minute)
			forwardtest.Burst(t, l, 0, 3, 100)
			time.Sleep(49*time.Minute + 59*time.Second)
			forwardtest.Burst(t, l, 3, 2, 100) // is flushed before the hour is over
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if diff := cmp.Diff(map[string]int{"20000101T001000.nmsg": 5}, contents(t, dir)); diff != "" {
				t.Errorf("just after the hour (-want +got):\n%s", diff)
			}
			forwardtest.Burst(t, l, 5, 4, 100)
			time.Sleep(3 * time.Hour)
			forwardtest.Burst(t, l, 9, 1, 100)
		})
		if err != nil {
			t.Error(err)
		}
		want := map[string]int{"20000101T001000.nmsg": 5, "20000101T010001.nmsg": 4, "20000101T040001.nmsg": 1}
		if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
			t.Errorf("in the end (-want +got):\n%s", diff)
		}
	})
}

func TestReplayedFilesRotateByTheMessagesTimes(t *testing.T) {
	dir := t.TempDir()
	c := fileSink(dir, "%H%M%S.nmsg", Config{Rotate: 10 * time.Second})
	f := newForwarder(t, forward.Replay, c, nil)
	start := time.Date(2024, 2, 29, 12, 0, 3, 0, time.UTC)
	err := forwardtest.Run(f, func(l *forward.Lane) {
		for i := range 8 { // :03 :07 :11 :15 :19 :23 :27 :31
			l.Begin()
			if r := l.Take(forwardtest.Message(t, fmt.Sprintf("n%d.example.", i), start.Add(time.Duration(4*i)*time.Second), nil)); r != transform.Kept {
				t.Fatalf("message %d: %v", i, r)
			}
			l.End()
		}
	})
	if err != nil {
		t.Error(err)
	}
	want := map[string]int{"120003.nmsg": 2, "120011.nmsg": 3, "120023.nmsg": 2, "120031.nmsg": 1}
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A fullDisk is a file on a disk with limited room, which the test can extend.
type fullDisk struct {
	openFile
	room *atomic.Int64
	err  error
}

func (d fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), int(d.room.Load()))
	if n, err := d.openFile.Write(b[:n]); err != nil {
		return n, err
	}
	d.room.Add(-int64(n))
	if n < len(b) {
		return n, d.err
	}
	return n, nil
}

func TestAFullDiskLosesNothingIfRoomReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var room atomic.Int64
		room.Store(100_000)
		full := func(path string) (openFile, error) {
			f, err := realDisk{}.create(path)
			if err != nil {
				return nil, err
			}
			return fullDisk{f, &room, &fs.PathError{Op: "write", Path: path, Err: unix.ENOSPC}}, nil
		}
		f := newForwarder(t, forward.Live, fileSink(dir, "out.nmsg", Config{}), full)
		err := forwardtest.Run(f, func(l *forward.Lane) {
			forwardtest.Burst(t, l, 0, 1000, 100)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			s := f.Ledger().Sinks[0]
			if s.Written == 0 || s.Queued != 1000-s.Written || !strings.Contains(s.Error, "no space left on device (free some space for "+dir) {
				t.Errorf("while the disk is full: %+v", s)
			}
			got := contents(t, dir) // without an incomplete unit
			if got[".out.nmsg.part"] != int(s.Written) {
				t.Errorf("the file holds %v, written are %d", got, s.Written)
			}
			room.Store(1 << 30)
			time.Sleep(time.Minute)
		})
		if err != nil {
			t.Error(err)
		}
		s := f.Ledger().Sinks[0]
		if s.Delivered != 1000 || s.Error != "" {
			t.Errorf("in the end: %+v", s)
		}
		if diff := cmp.Diff(map[string]int{"out.nmsg": 1000}, contents(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	})
}

func TestADiskThatStaysFullLosesTheQueueAtStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var room atomic.Int64
		room.Store(10) // not even one container
		full := func(path string) (openFile, error) {
			f, err := realDisk{}.create(path)
			return fullDisk{f, &room, unix.ENOSPC}, err
		}
		f := newForwarder(t, forward.Live, fileSink(dir, "out.nmsg", Config{}), full)
		err := forwardtest.Run(f, func(l *forward.Lane) {
			forwardtest.Burst(t, l, 0, 10, 100)
			time.Sleep(10 * time.Second)
		})
		if !strings.Contains(err.Error(), "the last try failed") {
			t.Errorf("Run: %v, want that the last try failed", err)
		}
		if s := f.Ledger().Sinks[0]; s.Lost[forward.Failed] != 10 || s.Sum() != 10 {
			t.Errorf("ledger: %+v", s)
		}
		if got := contents(t, dir); len(got) != 0 {
			t.Errorf("an empty file is left: %v", got)
		}
	})
}

func TestErrorsOfFilesStateTheRemedy(t *testing.T) {
	for _, c := range []struct {
		name   string
		create error
		want   string
	}{
		{"missing directory", fs.ErrNotExist, "directories are not created: make DIR, writable for uid"},
		{"no permission", unix.EACCES, "DIR must be writable for uid"},
		{"read-only", unix.EROFS, "DIR is mounted read-only"},
		{"no space", unix.ENOSPC, "free some space for DIR"},
		{"quota", unix.EDQUOT, "free some space for DIR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			create := func(path string) (openFile, error) {
				return nil, &fs.PathError{Op: "open", Path: path, Err: c.create}
			}
			f := newForwarder(t, forward.Replay, fileSink(dir, "out.nmsg", Config{}), create)
			err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) })
			if want := strings.ReplaceAll(c.want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got  %v\nwant ... %s ...", err, want)
			}
			if s := f.Ledger().Sinks[0]; s.Lost[forward.Failed] != 10 || s.Sum() != 10 {
				t.Errorf("ledger: %+v", s)
			}
		})
	}
}

func TestAMissingDirectoryIsReportedAndRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "later")
		f := newForwarder(t, forward.Live, fileSink(dir, "out.nmsg", Config{}), nil)
		err := forwardtest.Run(f, func(l *forward.Lane) {
			forwardtest.Burst(t, l, 0, 10, 100)
			time.Sleep(10 * time.Second)
			if s := f.Ledger().Sinks[0]; !strings.Contains(s.Error, "no such file or directory (directories are not created") {
				t.Errorf("while it is missing: %+v", s)
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		})
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(map[string]int{"out.nmsg": 10}, contents(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	})
}

// A badFile is a file whose operations fail with the errors that the test sets.
type badFile struct {
	openFile
	sync, syncData error
	changed        string // the path of the file, which is removed when it is synced
}

func (f badFile) Sync() error {
	if f.changed != "" {
		return os.Remove(f.changed)
	}
	if f.sync != nil {
		return f.sync
	}
	return f.openFile.Sync()
}

func (f badFile) SyncData() error {
	if f.syncData != nil {
		return f.syncData
	}
	return f.openFile.SyncData()
}

// TestRecordsOfAFileThatCannotBeSyncedFail in Live and in Replay, in which the failure is
// final. The file gets its name, because most of it may be readable.
func TestRecordsOfAFileThatCannotBeSyncedFail(t *testing.T) {
	for _, mode := range []forward.Mode{forward.Live, forward.Replay} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			bad := func(path string) (openFile, error) {
				f, err := realDisk{}.create(path)
				return badFile{openFile: f, sync: unix.EIO}, err
			}
			f := newForwarder(t, mode, fileSink(dir, "out.nmsg", Config{}), bad)
			err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) })
			if errors.Is(err, unix.EIO) != (mode == forward.Replay) {
				t.Errorf("mode %v: Run: %v", mode, err)
			}
			if diff := cmp.Diff(map[string]int{"out.nmsg": 10}, contents(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if s := forwardtest.CheckLedger(t, f); s.Lost[forward.Failed] != 10 || s.Delivered != 0 || s.Written != 0 {
				t.Errorf("ledger: %+v", s)
			}
		})
	}
}

func TestFilesRotateBySize(t *testing.T) {
	const size = 150_000
	for _, mode := range []forward.Mode{forward.Live, forward.Replay} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			c := fileSink(dir, "out.nmsg", Config{RotateSize: size}) // without a time: its files differ in numbers
			f := newForwarder(t, mode, c, nil)
			if err := forwardtest.Run(f, func(l *forward.Lane) {
				for i := range 100 {
					forwardtest.Burst(t, l, 10*i, 10, 300)
					time.Sleep(time.Second)
				}
			}); err != nil {
				t.Error(err)
			}
			sum := 0
			got := contents(t, dir)
			for name, records := range got {
				sum += records
				if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > size {
					t.Errorf("mode %v: %s has %d bytes, %v", mode, name, info.Size(), err)
				}
			}
			if sum != 1000 || len(got) < 3 || got["out.nmsg"] == 0 || got[fmt.Sprintf("out-%d.nmsg", len(got)-1)] == 0 {
				t.Errorf("mode %v: files %v", mode, got)
			}
		})
	}
}

func TestReplayRotatesBySizeAtTheSameRecordsEachTime(t *testing.T) {
	var runs [2]map[string]int
	for i := range runs {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			c := fileSink(dir, "%Y%m%dT%H%M%S.nmsg", Config{Rotate: time.Hour, RotateSize: 20_000})
			c.Zlib = true
			f := newForwarder(t, forward.Replay, c, nil)
			if err := forwardtest.Run(f, func(l *forward.Lane) {
				for n := range 1000 {
					forwardtest.Burst(t, l, n, 1, n*13%900)
					time.Sleep(time.Duration(i) * time.Second) // that is not to matter
				}
			}); err != nil {
				t.Error(err)
			}
			runs[i] = contents(t, dir)
		})
	}
	if diff := cmp.Diff(runs[0], runs[1]); diff != "" || len(runs[0]) < 3 {
		t.Errorf("files of the first and the second run:\n%s", diff)
	}
}

func TestNoNameIsUsedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := fileSink(dir, "out.nmsg", Config{RotateSize: 10_000})
		f := newForwarder(t, forward.Live, c, nil)
		var seen []string
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range 30 {
				forwardtest.Burst(t, l, 10*i, 10, 300)
				time.Sleep(time.Second)
				synctest.Wait()
				for name := range contents(t, dir) { // another program removes them
					if !strings.HasPrefix(name, ".") {
						seen = append(seen, name)
						os.Remove(filepath.Join(dir, name))
					}
				}
			}
		}); err != nil {
			t.Error(err)
		}
		slices.Sort(seen)
		if n := len(seen); n < 5 || len(slices.Compact(seen)) != n {
			t.Errorf("names: %v", seen)
		}
	})
}

func TestRenameNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, p := range []string{a, b} {
		if err := os.WriteFile(p, []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, do := range map[string]func(from, to string) error{"rename": realDisk{}.rename, "link": relink} {
		if err := do(a, b); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
		c := filepath.Join(dir, name)
		if err := do(a, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := do(c, a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	second := filepath.Join(dir, "second")
	if err := os.Link(a, second); err != nil { // as a crash in relink leaves it
		t.Fatal(err)
	}
	if err := (realDisk{}).rename(a, second); err != nil {
		t.Errorf("to another name of the same file: %v", err)
	}
	if _, err := os.Stat(a); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old name is still there: %v", err)
	}
	if got, err := os.ReadFile(b); string(got) != b {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNamesOfFiles(t *testing.T) {
	n, err := newNaming("/d/%Y/%m-%d%%.nmsg")
	if err != nil {
		t.Fatal(err)
	}
	east := time.FixedZone("east", 14*3600)
	if got := n.path(time.Date(2024, 3, 1, 1, 0, 0, 0, east)); got != "/d/2024/02-29%.nmsg" {
		t.Errorf("in UTC: %s", got)
	}
	for _, c := range []struct {
		path string
		n    int
		want string
	}{
		{"/d/a.nmsg", 0, "/d/a.nmsg"},
		{"/d/a.nmsg", 12, "/d/a-12.nmsg"},
		{"/d.x/a", 1, "/d.x/a-1"},
	} {
		if got := numbered(c.path, c.n); got != c.want {
			t.Errorf("%s, %d: %s, want %s", c.path, c.n, got, c.want)
		}
	}
	if got := partial("/d/a.nmsg"); got != "/d/.a.nmsg.part" {
		t.Errorf("partial: %s", got)
	}
	for temp, want := range map[string]string{".a.nmsg.part": "a.nmsg", "..part": "", ".part": "", "a.part": "", ".a": ""} {
		if got, ok := unhidden(temp, partSuffix); ok != (want != "") || ok && got != want {
			t.Errorf("unhidden %s: %q, %v", temp, got, ok)
		}
	}
	for path, want := range map[string]string{
		"/d/a-1.nmsg": "/d/a.nmsg", "/d/a-12": "/d/a", "/d/a-0.nmsg": "", "/d/a.nmsg": "", "/d/a-x.nmsg": "", "/d/a1.nmsg": "",
	} {
		if got, ok := unnumbered(path); ok != (want != "") || got != want {
			t.Errorf("unnumbered %s: %q, %v", path, got, ok)
		}
	}
}

func TestIntervalsAreAlignedToTheEpoch(t *testing.T) {
	for _, c := range []struct {
		at   time.Duration // since the epoch
		want int64
	}{
		{0, 0}, {time.Hour - 1, 0}, {time.Hour, 1}, {-1, -1}, {-time.Hour, -1}, {-time.Hour - 1, -2},
	} {
		at := time.Unix(0, int64(c.at))
		if got := intervalOf(at, time.Hour); got != c.want {
			t.Errorf("%v: interval %d, want %d", c.at, got, c.want)
		}
		if end := intervalEnd(at, time.Hour); !end.Equal(time.Unix((c.want+1)*3600, 0)) {
			t.Errorf("%v: ends at %v", c.at, end)
		}
	}
}

func TestANameWithoutATimeDoesNotRotate(t *testing.T) {
	for name, want := range map[string]time.Duration{"a.nmsg": 0, "100%%.nmsg": 0, "%%%H.nmsg": time.Hour, "%s": time.Hour} {
		if got := rotation("/d/"+name, time.Hour); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestWritingABatchAllocNothing(t *testing.T) {
	c := fileSink(t.TempDir(), "out.nmsg", Config{RotateSize: 1 << 40})
	made, err := c.Transport.New(&c, forward.Env{Mode: forward.Live, Log: slog.New(slog.DiscardHandler), Settle: func(forward.State, uint64, forward.Outcome) {}})
	if err != nil {
		t.Fatal(err)
	}
	f := made.(*transport)
	if err := f.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := forwardtest.Batch(t, 100, 100, 10_000)
	now := time.Now()
	allocs := testing.AllocsPerRun(1000, func() {
		var r forward.Result
		if f.open != nil && (f.intervalOver(now) || f.full(len(b.Buf)) || f.finisher.failureOf(f.open) != nil) {
			t.Fatal("the file ends")
		}
		if err := f.write(&r, b, 0, b.Buf, now); err != nil || r.Units != len(b.Units) {
			t.Fatal(r.Units, err)
		}
	})
	if allocs >= 1 {
		t.Errorf("%v allocations for each batch", allocs)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
