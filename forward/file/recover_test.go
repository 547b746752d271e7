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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// holdLock locks a file until the test ends, like its writer does.
func holdLock(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := lock(f, path); err != nil {
		t.Fatal(err)
	}
}

// series returns n containers with one record each, and the offset of the end of each. With
// zlib every second container is compressed.
func series(t *testing.T, n int, zlib bool) (b []byte, ends []int) {
	t.Helper()
	batch := forwardtest.Batch(t, n, 40, 1)
	var d nmsg.Deflater
	for i := range batch.Units {
		container := batch.Bytes(i)
		if zlib && i%2 == 0 {
			var err error
			if container, err = d.Append(nil, container); err != nil {
				t.Fatal(err)
			}
		}
		b = append(b, container...)
		ends = append(ends, len(b))
	}
	return b, ends
}

// recoverAll starts and stops a sink in Live, and returns its log.
func recoverAll(t rapid.TB, c forward.SinkConfig, r *fakeRun) string {
	t.Helper()
	var log forwardtest.Log
	made, err := c.Transport.New(&c, forward.Env{Mode: forward.Live, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	f := made.(*transport)
	if f.runner != nil {
		f.runner.run = r.run
	}
	if err := f.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return log.String()
}

func write(t rapid.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAStartCompletesFilesOfAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	b, ends := series(t, 3, false)
	write(t, filepath.Join(dir, "2024/02/.0711.nmsg.part"), b)
	write(t, filepath.Join(dir, "2024/02/.0712.nmsg.part"), b[:ends[1]+10])
	write(t, filepath.Join(dir, "2024/02/.0712-1.nmsg.part"), b[:ends[0]+1]) // its name may be taken by then
	write(t, filepath.Join(dir, "2024/02/0711.nmsg"), b[:ends[0]])
	write(t, filepath.Join(dir, "2023/12/.0000.nmsg.part"), b[:ends[0]-1]) // nothing whole
	write(t, filepath.Join(dir, "2023/12/.0001.nmsg.part"), nil)
	c := fileSink(dir, "%Y/%m/%H%M.nmsg", Config{OnRotate: []string{"true"}})
	var r fakeRun
	log := recoverAll(t, c, &r)

	february := filepath.Join(dir, "2024/02")
	want := map[string]int{"0711.nmsg": 1, "0711-1.nmsg": 3, "0712.nmsg": 1, "0712-1.nmsg": 2}
	if diff := cmp.Diff(want, contents(t, february)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got := contents(t, filepath.Join(dir, "2023/12")); len(got) != 0 {
		t.Errorf("files with nothing whole: %v", got)
	}
	var runs []string
	for _, name := range []string{"0711-1.nmsg", "0712.nmsg", "0712-1.nmsg"} {
		runs = append(runs, filepath.Join(february, name))
	}
	if diff := cmp.Diff(runs, r.ran()); diff != "" {
		t.Errorf("runs of on_rotate (-want +got):\n%s", diff)
	}
	line := fmt.Sprintf("recovered=3 removed=2 bytes_cut=%d\n", 10+1+ends[0]-1)
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, line) {
		t.Errorf("log: %s\nwant one line with %s", log, line)
	}
	if again := recoverAll(t, c, &r); again != "" {
		t.Errorf("the next start logs: %s", again)
	}
}

// TestExactlyWholeContainersAreRecovered truncates files at every byte, and appends
// garbage, zeros, or the beginning of a container.
func TestExactlyWholeContainersAreRecovered(t *testing.T) {
	for _, zlib := range []bool{false, true} {
		b, ends := series(t, 4, zlib)
		names, _, _ := forwardtest.Names(b)
		tails := map[string][]byte{
			"nothing":  nil,
			"zeros":    make([]byte, 4096),
			"garbage":  bytes.Repeat([]byte("garbage"), 50),
			"a header": []byte("NMSG\x00\x02\x00\x00\x10\x00"),
		}
		for cut := range len(b) + 1 {
			for name, tail := range tails {
				damaged := append(bytes.Clone(b[:cut]), tail...)
				want := 0
				for want < len(ends) && ends[want] <= cut {
					want++
				}
				whole, err := nmsg.Whole(bytes.NewReader(damaged))
				if err != nil {
					t.Fatal(err)
				}
				got, missing, err := forwardtest.Names(damaged[:whole])
				extra := len(got) - want // a tail may happen to complete a container
				if extra < 0 || extra > 0 && tail == nil || !slices.Equal(got, names[:len(got)]) || missing != 0 || err != nil {
					t.Fatalf("zlib %v, cut at %d, then %s: %d records are whole, %v, want %d", zlib, cut, name, len(got), err, want)
				}
			}
		}
	}
}

func TestContainersBeforeDamageAreRecoveredAndNothingAfterIt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		b, ends := series(t, rapid.IntRange(1, 6).Draw(rt, "containers"), rapid.Bool().Draw(rt, "zlib"))
		at := rapid.IntRange(0, len(b)-1).Draw(rt, "at")
		damaged := append(bytes.Clone(b[:at]), rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(rt, "bytes")...)
		if at < len(b) && rapid.Bool().Draw(rt, "goes on") {
			damaged = append(damaged, b[min(len(damaged), len(b)):]...)
		}
		write(rt, filepath.Join(dir, ".out.nmsg.part"), damaged)
		recoverAll(rt, fileSink(dir, "out.nmsg", Config{}), nil)

		whole := 0 // records before the damage
		for whole < len(ends) && ends[whole] <= at {
			whole++
		}
		got, err := os.ReadFile(filepath.Join(dir, "out.nmsg"))
		if err != nil && (whole > 0 || !os.IsNotExist(err)) {
			rt.Fatal(err)
		}
		if at < len(nmsg.Magic) && bytes.Equal(got, damaged) {
			return // it may be of another format
		}
		// The octets of a record are guarded by its checksum, those of its type are not.
		if n, err := countRecords(got); err != nil || n < whole {
			rt.Errorf("%d records, %v, want %d", n, err, whole)
		}
		if left, _ := os.ReadDir(dir); len(left) > 1 {
			rt.Errorf("left: %v", left)
		}
	})
}

// countRecords counts the payloads that a reader returns, of any type.
func countRecords(b []byte) (n int, err error) {
	for r := nmsg.NewReader(bytes.NewReader(b)); ; n++ {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

func TestFilesThatAreBeingWrittenAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := fileSink(dir, "out.nmsg", Config{})
		f := newForwarder(t, forward.Live, c, nil)
		err := forwardtest.Run(f, func(l *forward.Lane) {
			forwardtest.Burst(t, l, 0, 10, 100)
			time.Sleep(time.Second)
			synctest.Wait()
			if log := recoverAll(t, c, nil); log != "" {
				t.Errorf("log: %s", log)
			}
			// A reload replaces the sink; the old one drains while the new one starts.
			c.Zlib = true
			if err := f.Apply(forwardtest.Policy(t), []forward.SinkConfig{c}, nil); err != nil {
				t.Error(err)
			}
			forwardtest.Burst(t, l, 10, 10, 100)
			time.Sleep(time.Second)
			forwardtest.Burst(t, l, 20, 10, 100)
		})
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(map[string]int{"out.nmsg": 10, "out-1.nmsg": 20}, contents(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	})
}

// TestRecoveryDoesNotTakeAFileFromItsWriter starts, writes and stops sinks of one pattern
// concurrently, so that each may find temporary files of the others.
func TestRecoveryDoesNotTakeAFileFromItsWriter(t *testing.T) {
	dir := t.TempDir()
	const sinks, files = 4, 30
	done := make(chan error, sinks)
	for range sinks {
		go func() {
			for range files {
				f := newForwarder(t, forward.Live, fileSink(dir, "out.nmsg", Config{}), nil)
				if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 5, 100) }); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range sinks {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	got := contents(t, dir)
	for name, n := range got {
		if n != 5 || strings.HasPrefix(name, ".") {
			t.Errorf("%s holds %d records", name, n)
		}
	}
	if len(got) != sinks*files {
		t.Errorf("%d files, want %d", len(got), sinks*files)
	}
}

func TestAReplayRecoversNothing(t *testing.T) {
	dir := t.TempDir()
	b, _ := series(t, 3, false)
	write(t, filepath.Join(dir, ".out.nmsg.part"), b)
	f := newForwarder(t, forward.Replay, fileSink(dir, "out.nmsg", Config{}), nil)
	if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) }); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]int{".out.nmsg.part": 3, "out.nmsg": 10}, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestOtherFilesAreNotTouched(t *testing.T) {
	dir := t.TempDir()
	b, _ := series(t, 1, false)
	others := []string{".other.nmsg.part", ".2024-x.nmsg.part", "2024.nmsg.part", ".2024.nmsg", ".20240.nmsg.part", "sub/.2024.nmsg.part"}
	for _, name := range others {
		write(t, filepath.Join(dir, name), b)
	}
	if err := os.Symlink(filepath.Join(dir, ".other.nmsg.part"), filepath.Join(dir, ".2021.nmsg.part")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, ".2022.nmsg.part"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, ".2023.nmsg.part"), 0o600); err != nil {
		t.Fatal(err)
	}
	if log := recoverAll(t, fileSink(dir, "%Y.nmsg", Config{}), nil); log != "" {
		t.Errorf("log: %s", log)
	}
	for _, name := range append(others, ".2021.nmsg.part", ".2022.nmsg.part", ".2023.nmsg.part") {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestAFileThatCannotBeRecoveredIsReportedAndStays(t *testing.T) {
	dir := t.TempDir()
	b, _ := series(t, 1, false)
	write(t, filepath.Join(dir, ".out.nmsg.part"), b)
	c := fileSink(dir, "out.nmsg", Config{})
	var log forwardtest.Log
	made, err := c.Transport.New(&c, forward.Env{Mode: forward.Live, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	f := made.(*transport)
	s := recovery{recovered: 1, failed: []error{errFake, errFake}}
	s.report(f)
	if !strings.Contains(log.String(), "recovered=1") || !strings.Contains(log.String(), `failures=2 error="fake failure"`) {
		t.Errorf("log: %s", &log)
	}
	f.cancel(errStopped) // before recovery reaches the file
	f.recover(f.findLeft())
	if diff := cmp.Diff(map[string]int{".out.nmsg.part": 1}, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestAStartCompletesALimitedNumberOfLeftovers(t *testing.T) {
	dir := t.TempDir()
	for i := range maxLeftovers + 5 {
		write(t, filepath.Join(dir, partial(numbered("out.nmsg", i))), nil)
	}
	log := recoverAll(t, fileSink(dir, "out.nmsg", Config{}), nil)
	if !strings.Contains(log, fmt.Sprintf("removed=%d", maxLeftovers)) || !strings.Contains(log, errManyLeftovers.Error()) {
		t.Errorf("log: %s", log)
	}
	if got := contents(t, dir); len(got) != 5 {
		t.Errorf("%d are left, want 5", len(got))
	}
}

// TestEveryNameOfAPatternIsOfItsShape checks that recovery finds every name that a pattern
// can make.
func TestEveryNameOfAPatternIsOfItsShape(t *testing.T) {
	specs := strings.Split("AaBbCcDdeFHIjklMmnpRrSTtUuVvWwXxYyZz%", "")
	rapid.Check(t, func(t *rapid.T) {
		pattern := "/d/"
		for range rapid.IntRange(1, 5).Draw(t, "specs") {
			pattern += rapid.SampledFrom([]string{"", "x", ".", "-", "(a+)", "1"}).Draw(t, "text")
			pattern += "%" + rapid.SampledFrom([]string{"", "", "-", "#"}).Draw(t, "flag") + rapid.SampledFrom(specs).Draw(t, "spec")
		}
		pattern += ".nmsg"
		n, err := newNaming(pattern)
		if err != nil {
			return // no sink has such a pattern
		}
		s, err := newShape(pattern)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0)
		path := n.path(at)
		parts := strings.Split(strings.TrimPrefix(partial(numbered(path, rapid.IntRange(0, 20).Draw(t, "number"))), "/"), "/")
		if len(parts) != len(s) {
			t.Fatalf("%s: %d parts of %s, want %d", pattern, len(s), path, len(parts))
		}
		for i, part := range parts[:len(parts)-1] {
			if !s[i].has(part) {
				t.Errorf("%s: %q is not of its shape", pattern, part)
			}
		}
		if _, ok := s[len(s)-1].permanent(parts[len(parts)-1]); !ok {
			t.Errorf("%s: %q is not of its shape", pattern, parts[len(parts)-1])
		}
	})
}
