package file

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

var kinds = map[string]kind{"NMSG": nmsgKind, "Frame Streams": fstrmKind, "JSON": jsonKind}

// files returns the content of the files in a directory.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// checkComplete checks that the files of a directory are complete, and have these records once.
func checkComplete(t *testing.T, k kind, dir string, records int) {
	t.Helper()
	var all []string
	for name, b := range files(t, dir) {
		names, err := k.names(b)
		if err != nil || strings.HasPrefix(name, ".") {
			t.Errorf("%s: %v", name, err)
		}
		all = append(all, names...)
	}
	forwardtest.CheckUnique(t, all)
	if len(all) != records {
		t.Errorf("%d records, want %d", len(all), records)
	}
}

func TestFilesOfEveryFormatAreCompleteAndWithinTheirSize(t *testing.T) {
	const size, batches = 30_000, 20
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				f := newForwarder(t, forward.Live, k.sink(dir, Config{RotateSize: size}), nil)
				if err := forwardtest.Run(f, func(l *forward.Lane) {
					for i := range batches {
						forwardtest.Burst(t, l, 10*i, 10, 100)
						time.Sleep(time.Second)
					}
				}); err != nil {
					t.Error(err)
				}
				checkComplete(t, k, dir, 10*batches)
				all := files(t, dir)
				if len(all) < 2 {
					t.Errorf("%d files", len(all))
				}
				for name, b := range all {
					if len(b) > size {
						t.Errorf("%s has %d bytes", name, len(b))
					}
				}
				if s := forwardtest.CheckLedger(t, f); s.Delivered != 10*batches {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestADiskThatWasFullLeavesCompleteFiles lets the disk be full at each byte of the beginning and
// of the end of a file.
func TestADiskThatWasFullLeavesCompleteFiles(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			total := writeWithRoom(t, k, 1<<30)
			known := newFormat(k.format)
			for room := range len(known.begin) + 3 {
				writeWithRoom(t, k, room)
			}
			for missing := range len(known.end) + 3 {
				writeWithRoom(t, k, total-missing)
			}
		})
	}
}

// writeWithRoom writes records to a disk with some room, which is extended when the file should
// be complete. It returns the size of the files.
func writeWithRoom(t *testing.T, k kind, bytes int) (size int) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var room atomic.Int64
		room.Store(int64(bytes))
		f := newForwarder(t, forward.Live, k.sink(dir, Config{Rotate: time.Minute}), func(path string) (openFile, error) {
			f, err := realDisk{}.create(path)
			return fullDisk{f, &room, &fs.PathError{Op: "write", Path: path, Err: unix.ENOSPC}}, err
		})
		err := forwardtest.Run(f, func(l *forward.Lane) {
			forwardtest.Burst(t, l, 0, 5, 100)
			time.Sleep(3 * time.Minute)
			room.Store(1 << 30)
			time.Sleep(time.Minute)
		})
		if err != nil {
			t.Errorf("with room for %d bytes: %v", bytes, err)
		}
		checkComplete(t, k, dir, 5)
		for _, b := range files(t, dir) {
			size += len(b)
		}
	})
	return size
}

// TestTheEndOfAFileIsRecovered cuts a complete file at each byte.
func TestTheEndOfAFileIsRecovered(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			known := newFormat(k.format)
			complete := known.begin
			var ends []int
			for i := range 2 {
				b := &forward.Batch{ID: 1 << 63}
				unit, err := k.format.Append(nil, forwardtest.Record(t, fmt.Sprintf("n%d.example.", i), 0, 20), nmsg.IDs{})
				if err != nil {
					t.Fatal(err)
				}
				f := k.format.NewFramer(1 << 20)
				f.Add(b, unit)
				f.Seal(b)
				f.Number(b)
				complete = append(bytes.Clone(complete), b.Buf...)
				ends = append(ends, len(complete))
			}
			complete = append(complete, known.end...)
			for cut := range len(complete) + 1 {
				dir := t.TempDir()
				write(t, filepath.Join(dir, ".out.x.part"), complete[:cut])
				recoverAll(t, k.sink(dir, Config{}), nil)
				want := map[string][]byte{}
				for _, end := range ends {
					if cut >= end {
						want["out.x"] = append(bytes.Clone(complete[:end]), known.end...)
					}
				}
				if diff := cmp.Diff(want, files(t, dir)); diff != "" {
					t.Fatalf("cut at %d (-want +got):\n%s", cut, diff)
				}
			}
		})
	}
}

// TestFilesOfAnotherFormatKeepTheirContent recovers files that were written before the sink's
// format was changed.
func TestFilesOfAnotherFormatKeepTheirContent(t *testing.T) {
	parts := map[string][]byte{}
	for name, k := range kinds {
		unit, err := k.format.Append(newFormat(k.format).begin, forwardtest.Record(t, "n.example.", 0, 20), nmsg.IDs{})
		if err != nil {
			t.Fatal(err)
		}
		parts[name] = unit[:len(unit)-3]
	}
	parts["NMSG"], _ = series(t, 2, false)
	for name, k := range kinds {
		for was, part := range parts {
			if was == name {
				continue
			}
			dir := t.TempDir()
			write(t, filepath.Join(dir, ".out.x.part"), part)
			log := recoverAll(t, k.sink(dir, Config{}), nil)
			if diff := cmp.Diff(map[string][]byte{"out.x": part}, files(t, dir)); diff != "" {
				t.Errorf("%s, now %s (-want +got):\n%s", was, name, diff)
			}
			if !strings.Contains(log, "files of an earlier run have another format") || !strings.Contains(log, "files=1") {
				t.Errorf("%s, now %s: log %s", was, name, log)
			}
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, ".out.x.part"), make([]byte, 100))
		recoverAll(t, k.sink(dir, Config{}), nil)
		if got := files(t, dir); len(got) != 0 {
			t.Errorf("%s: a file of zeros is kept: %v", name, got)
		}
	}
}
