package forward

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// fileSink is a sink to files of that name in a directory.
func fileSink(dir, name string) SinkConfig {
	c := testSink("files")
	c.Target = Target{Scheme: File, Address: filepath.Join(dir, name)}
	c.MTU = 1 << 20
	return c
}

// newFileForwarder is a Forwarder with one file sink, whose files create makes;
// nil: the real ones.
func newFileForwarder(t *testing.T, mode Mode, c SinkConfig, create func(string) (openFile, error)) *Forwarder {
	t.Helper()
	if create == nil {
		return newAlteredForwarder(t, mode, c, nil)
	}
	return newAlteredForwarder(t, mode, c, func(f *file) { f.create = create })
}

// newAlteredForwarder is a Forwarder with one sink. A file sink is altered before it
// is used, unless alter is nil.
func newAlteredForwarder(t *testing.T, mode Mode, c SinkConfig, alter func(*file)) *Forwarder {
	t.Helper()
	f := New(mode, transform.NewBudget(1000), slog.New(slog.DiscardHandler))
	if alter != nil {
		f.open = func(c *SinkConfig) (transport, error) {
			t, err := newFile(c, mode, f.log)
			if err == nil {
				alter(t)
			}
			return t, err
		}
	}
	if err := f.Apply(testPolicy(t), []SinkConfig{c}); err != nil {
		t.Fatal(err)
	}
	return f
}

// runFile runs f while feed fills a lane, then stops it.
func runFile(f *Forwarder, feed func(*Lane)) error {
	stop := (&rig{Forwarder: f}).run()
	l := f.Lane("source")
	feed(l)
	l.Close()
	return stop()
}

// contents are the numbers of records in a directory's files. The test fails on
// one that cannot be read to its end.
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
		names, _, err := readNames(b)
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
		f := newFileForwarder(t, Live, fileSink(dir, "out.nmsg"), nil)
		err := runFile(f, func(l *Lane) {
			time.Sleep(time.Second)
			if got := contents(t, dir); len(got) != 0 {
				t.Errorf("before the first record: %v", got)
			}
			burst(l, 0, 0, 10, 100)
			time.Sleep(time.Second)
			synctest.Wait()
			if diff := cmp.Diff(map[string]int{".out.nmsg.part": 10}, contents(t, dir)); diff != "" {
				t.Errorf("meanwhile (-want +got):\n%s", diff)
			}
			burst(l, 0, 10, 5, 100)
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
			f := newFileForwarder(t, Live, fileSink(dir, "out.nmsg"), nil)
			if err := runFile(f, func(l *Lane) { burst(l, 0, 0, 3, 100) }); err != nil {
				t.Error(err)
			}
		}
		want := map[string]int{"out.nmsg": 0, "out-1.nmsg": 0, ".out.nmsg.part": 0, "out-2.nmsg": 3, "out-3.nmsg": 3}
		if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	})
}

func TestLiveFilesRotateByTheWallClockEvenWhenNothingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins at midnight UTC, 2000-01-01
		dir := t.TempDir()
		c := fileSink(dir, "%Y%m%dT%H%M%S.nmsg")
		c.Rotate = time.Hour
		f := newFileForwarder(t, Live, c, nil)
		err := runFile(f, func(l *Lane) {
			time.Sleep(10 * time.Minute)
			burst(l, 0, 0, 3, 100)
			time.Sleep(49*time.Minute + 59*time.Second)
			burst(l, 0, 3, 2, 100) // is flushed before the hour is over
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if diff := cmp.Diff(map[string]int{"20000101T001000.nmsg": 5}, contents(t, dir)); diff != "" {
				t.Errorf("just after the hour (-want +got):\n%s", diff)
			}
			burst(l, 0, 5, 4, 100)
			time.Sleep(3 * time.Hour)
			burst(l, 0, 9, 1, 100)
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
	c := fileSink(dir, "%H%M%S.nmsg")
	c.Rotate = 10 * time.Second
	f := newFileForwarder(t, Replay, c, nil)
	start := time.Date(2024, 2, 29, 12, 0, 3, 0, time.UTC)
	err := runFile(f, func(l *Lane) {
		for i := range 8 { // :03 :07 :11 :15 :19 :23 :27 :31
			l.Begin()
			if r := l.Take(answer(t, fmt.Sprintf("n%d.example.com.", i), start.Add(time.Duration(4*i)*time.Second))); r != transform.Kept {
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

// answer is a resolver's response from a server.
func answer(t *testing.T, name string, at time.Time) *transform.Message {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.Response, m.RecursionDesired, m.Authoritative = true, false, true
	rr, err := dns.NewRR(name + " 60 IN A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	m.Answer = []dns.RR{rr}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return &transform.Message{
		Role:         transform.ResolverResponse,
		Server:       netip.MustParseAddrPort("198.51.100.53:53"),
		QueryTime:    transform.Time(at.UnixNano()),
		ResponseTime: transform.Time(at.UnixNano()),
		Wire:         wire,
	}
}

// A fullDisk is a file that takes so many bytes in all, until there is room.
type fullDisk struct {
	*os.File
	room *atomic.Int64
	err  error
}

func (d fullDisk) WriteAt(b []byte, offset int64) (int, error) {
	n := min(len(b), int(d.room.Load()))
	if n, err := d.File.WriteAt(b[:n], offset); err != nil {
		return n, err
	}
	d.room.Add(-int64(n))
	if n < len(b) {
		return n, d.err
	}
	return n, nil
}

func TestAFullDiskCostsNothingWhenThereIsRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var room atomic.Int64
		room.Store(100_000)
		full := func(path string) (openFile, error) {
			f, err := createFile(path)
			if err != nil {
				return nil, err
			}
			return fullDisk{f.(*os.File), &room, &fs.PathError{Op: "write", Path: path, Err: unix.ENOSPC}}, nil
		}
		f := newFileForwarder(t, Live, fileSink(dir, "out.nmsg"), full)
		err := runFile(f, func(l *Lane) {
			burst(l, 0, 0, 1000, 100)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			s := f.Ledger().Sinks[0]
			if s.Delivered == 0 || s.Queued != 1000-s.Delivered || !strings.Contains(s.Error, "no space left on device (free some space for "+dir) {
				t.Errorf("while the disk is full: %+v", s)
			}
			got := contents(t, dir) // nothing torn is left
			if got[".out.nmsg.part"] != int(s.Delivered) {
				t.Errorf("the file holds %v, delivered are %d", got, s.Delivered)
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

func TestADiskThatStaysFullLosesWhatIsHeldWhenItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var room atomic.Int64
		room.Store(10) // not even one container
		full := func(path string) (openFile, error) {
			f, err := createFile(path)
			return fullDisk{f.(*os.File), &room, unix.ENOSPC}, err
		}
		f := newFileForwarder(t, Live, fileSink(dir, "out.nmsg"), full)
		err := runFile(f, func(l *Lane) {
			burst(l, 0, 0, 10, 100)
			time.Sleep(10 * time.Second)
		})
		if !errors.Is(err, errGaveUp) {
			t.Errorf("Run: %v, want that the last try failed", err)
		}
		if s := f.Ledger().Sinks[0]; s.Lost[Failed] != 10 || s.Sum() != 10 {
			t.Errorf("ledger: %+v", s)
		}
		if got := contents(t, dir); len(got) != 0 {
			t.Errorf("an empty file is left: %v", got)
		}
	})
}

func TestWhatCannotBeWrittenIsClearToTheOperator(t *testing.T) {
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
			f := newFileForwarder(t, Replay, fileSink(dir, "out.nmsg"), create)
			err := runFile(f, func(l *Lane) { burst(l, 0, 0, 10, 100) })
			if want := strings.ReplaceAll(c.want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got  %v\nwant ... %s ...", err, want)
			}
			if s := f.Ledger().Sinks[0]; s.Lost[Failed] != 10 || s.Sum() != 10 {
				t.Errorf("ledger: %+v", s)
			}
		})
	}
}

func TestAMissingDirectoryIsFoundOutAndWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "later")
		f := newFileForwarder(t, Live, fileSink(dir, "out.nmsg"), nil)
		err := runFile(f, func(l *Lane) {
			burst(l, 0, 0, 10, 100)
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

// A badDisk is a file that cannot be made to last.
type badDisk struct{ *os.File }

func (badDisk) Sync() error { return unix.EIO }

func TestAFileThatCannotBeSyncedKeepsItsTemporaryName(t *testing.T) {
	dir := t.TempDir()
	bad := func(path string) (openFile, error) {
		f, err := createFile(path)
		return badDisk{f.(*os.File)}, err
	}
	f := newFileForwarder(t, Replay, fileSink(dir, "out.nmsg"), bad)
	err := runFile(f, func(l *Lane) { burst(l, 0, 0, 10, 100) })
	if !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), ".out.nmsg.part, which stays under this name") {
		t.Errorf("Run: %v", err)
	}
	if diff := cmp.Diff(map[string]int{".out.nmsg.part": 10}, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestFilesRotateBySize(t *testing.T) {
	const size = 150_000
	for _, mode := range []Mode{Live, Replay} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			c := fileSink(dir, "out.nmsg") // tells no time: numbers tell its files apart
			c.RotateSize = size
			f := newFileForwarder(t, mode, c, nil)
			if err := runFile(f, func(l *Lane) {
				for i := range 100 {
					burst(l, 0, 10*i, 10, 300)
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
			c := fileSink(dir, "%Y%m%dT%H%M%S.nmsg")
			c.Rotate, c.RotateSize, c.Zlib = time.Hour, 20_000, true
			f := newFileForwarder(t, Replay, c, nil)
			if err := runFile(f, func(l *Lane) {
				for n := range 1000 {
					burst(l, 0, n, 1, n*13%900)
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

func TestNoNameIsGivenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := fileSink(dir, "out.nmsg")
		c.RotateSize = 10_000
		f := newFileForwarder(t, Live, c, nil)
		var seen []string
		if err := runFile(f, func(l *Lane) {
			for i := range 30 {
				burst(l, 0, 10*i, 10, 300)
				time.Sleep(time.Second)
				synctest.Wait()
				for name := range contents(t, dir) { // somebody takes them away
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
	for name, do := range map[string]func(from, to string) error{"rename": rename, "link": relink} {
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
	if err := rename(a, second); err != nil {
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
		if got, ok := permanent(temp); ok != (want != "") || ok && got != want {
			t.Errorf("permanent %s: %q, %v", temp, got, ok)
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

func TestANameThatTellsNoTimeDoesNotRotate(t *testing.T) {
	for name, want := range map[string]time.Duration{"a.nmsg": 0, "100%%.nmsg": 0, "%%%H.nmsg": time.Hour, "%s": time.Hour} {
		c := fileSink("/d", name)
		c.Rotate = time.Hour
		if got := rotation(&c); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
