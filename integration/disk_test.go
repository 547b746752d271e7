package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// diskConfig is the configuration of a sensor whose disk has faults. Its queue holds all that
// a test sends.
var diskConfig = unixSource + exactTimes + `
sink "nmsg" "first" {
  to          = "file://DIR/first/%Y%m%dT%H%M%S.nmsg"
  message     = "dnsqr"
  flush       = "20ms"
  queue       = "64MiB"
  rotate      = "1h"
  rotate_size = "1MiB"
}
admin {}
`

// Log messages of a file sink.
const (
	sinkFails     = "sink fails and is retried; records wait in its queue, and when it is full the oldest are lost"
	recordsFailed = "records of a file failed; the ledger counts them"
	fileRetried   = "a file cannot be completed, and is retried"
	filesAgain    = "files are completed again"
)

// diskTest is a sensor that writes to a file system of the test: the files of its sink "first", or
// a spool. A resolver sends responses about different names.
type diskTest struct {
	*sensor
	below    string        // the folder, in that of the sensor
	resolver *busyResolver // nil: not connected
}

// diskAddresses is the number of addresses in a response, with which 1200 responses are more
// than a file.
const diskAddresses = 30

// newDiskTest returns a sensor that does not run yet, in a namespace that has mounts of its own.
func newDiskTest(t *testing.T) *diskTest {
	t.Helper()
	return newDiskTestIn(t, "first")
}

// newDiskTestIn is newDiskTest with a folder.
func newDiskTestIn(t *testing.T, below string) *diskTest {
	t.Helper()
	n := lab.NewNamespace(t)
	n.OwnMounts(t)
	d := &diskTest{sensor: newSensor(t, n), below: below}
	if err := os.Mkdir(d.folder(), 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

// folder is the folder of the sink or of the spool, as the sensor sees it.
func (d *diskTest) folder() string { return filepath.Join(d.dir, d.below) }

// start runs the sensor and connects the resolver.
func (d *diskTest) start(t *testing.T) {
	t.Helper()
	d.run(t, diskConfig)
	d.resolver = newBusyResolver(t, d.sensor)
}

// send sends n responses, and returns when the sink has their records.
func (d *diskTest) send(t *testing.T, n int) {
	t.Helper()
	d.write(t, n)
	d.awaitSink(t, fmt.Sprintf("%d records offered", d.resolver.sent), func(s delivery) bool {
		return s.Offered == uint64(d.resolver.sent)
	})
}

// write sends n responses.
func (d *diskTest) write(t *testing.T, n int) {
	t.Helper()
	for end := d.resolver.sent + n; d.resolver.sent < end; {
		var burst []byte
		for range min(burstSize, end-d.resolver.sent) {
			frame := response(t, d.resolver.sent, diskAddresses)
			d.resolver.sent++
			burst = append(binary.BigEndian.AppendUint32(burst, uint32(len(frame))), frame...)
		}
		began := time.Now()
		d.resolver.nc.SetDeadline(began.Add(waitTime))
		if _, err := d.resolver.nc.Write(burst); err != nil {
			t.Fatalf("sending %d responses in all, after %v: %v", d.resolver.sent, time.Since(began), err)
		}
		d.resolver.longest = max(d.resolver.longest, time.Since(began))
	}
}

// awaitSink returns the account of the sink in /ledger, whose sums are checked, when the
// condition holds.
func (d *diskTest) awaitSink(t *testing.T, what string, holds func(delivery) bool) delivery {
	t.Helper()
	return awaitState(t, what, func() delivery { return d.readLedger(t).sink("first") }, holds)
}

// end stops the sensor and returns the account of its sink, and how often each name is in the
// files, which must all be complete. It checks that no response was lost before the sink, and
// that no write of the resolver waited for the disk.
func (d *diskTest) end(t *testing.T) (delivery, map[string]int) {
	t.Helper()
	if d.resolver.longest > longestStall {
		t.Errorf("a write of the resolver was blocked for %v", d.resolver.longest)
	}
	return d.account(t, d.stop(t))
}

// account is the part of end after the stop of the sensor.
func (d *diskTest) account(t *testing.T, closing ledger) (delivery, map[string]int) {
	t.Helper()
	sink := closing.sinks["first"]
	if sent := uint64(d.resolver.sent); closing.Records != sent || sink.Offered != sent {
		t.Errorf("%d responses sent, %d records made, %d offered to the sink", sent, closing.Records, sink.Offered)
	}
	names := namesIn(t, d.namespace.Inside(d.folder()))
	t.Logf("%d sent, %d names in files, %+v", d.resolver.sent, len(names), sink)
	return sink, names
}

// namesIn reads all files of a folder, which must be complete, and returns how often each name is in
// them.
func namesIn(t *testing.T, dir string) map[string]int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, e := range entries {
		if e.IsDir() || e.Name() == otherFile { // ext4 makes a directory
			continue
		}
		if !strings.HasSuffix(e.Name(), ".nmsg") {
			t.Errorf("%s is not complete", e.Name())
			continue
		}
		countNames(t, filepath.Join(dir, e.Name()), names)
	}
	return names
}

// countNames reads a file to its end.
func countNames(t *testing.T, path string, names map[string]int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := t.Failed()
	defer func() {
		if t.Failed() && !failed {
			t.Logf("%s has %d bytes", path, len(data))
		}
	}()
	_, part := readPart(t, data)
	if len(part.records) == 0 {
		t.Errorf("%s has no record", filepath.Base(path))
	}
	for _, r := range part.records {
		names[r.Name]++
	}
}

// checkOnce checks that each name of the responses from number first to before end is in the
// files once, and no other name is.
func checkOnce(t *testing.T, names map[string]int, first, end int) {
	t.Helper()
	for i := first; i < end; i++ {
		if n := names[fmt.Sprintf("h%d.example.com.", i)]; n != 1 {
			t.Fatalf("response %d is in the files %d times", i, n)
		}
	}
	if want := end - first; len(names) != want {
		t.Errorf("%d names in the files, want %d", len(names), want)
	}
}

// mountImage mounts a new ext4 file system of that size at the sink's folder.
func (d *diskTest) mountImage(t *testing.T, size int64) {
	t.Helper()
	image := filepath.Join(d.dir, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	d.namespace.MakeExt4(t, image)
	d.namespace.MountImage(t, image, d.folder())
}

// otherFile is the name of a file that is not the sink's.
const otherFile = "other"

// fill fills the file system of the sink's folder, except that many bytes, and returns the file
// that fills it.
func (d *diskTest) fill(t *testing.T, free int64) string {
	t.Helper()
	path := d.namespace.Inside(filepath.Join(d.folder(), otherFile))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{zeros{}}, make([]byte, 64<<10))
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	if err := f.Truncate(size - free); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return path
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestFullDisk fills the disk of the sink. When it has space again, each record is delivered;
// if it never has, the sensor ends with an error, and each record is in a file or counted as failed.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for name, freed := range map[string]bool{"freed": true, "not freed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDiskTest(t)
			d.mountImage(t, 8<<20)
			other := d.fill(t, 256<<10)
			d.start(t)
			d.send(t, 1500)
			d.awaitLog(t, sinkFails, 1)
			if full := d.readLedger(t).sink("first"); full.Queued == 0 || full.Delivered == full.Offered {
				t.Errorf("the disk is not full: %+v", full)
			}
			if freed {
				if err := os.Remove(other); err != nil {
					t.Fatal(err)
				}
				d.send(t, 500)
				d.awaitSink(t, "an empty queue", func(s delivery) bool { return s.Queued == 0 })
			}
			d.Stop(t)
			if err := d.Wait(0); (err == nil) != freed {
				t.Errorf("the sensor ended with %v", err)
			}
			sink, names := d.account(t, d.closing(t))
			if freed && total(sink.Lost) > 0 || !freed && sink.Lost["failed"] == 0 || sink.Delivered == 0 {
				t.Errorf("delivered or lost too little or too much: %+v", sink)
			}
			checkOnce(t, names, 0, int(sink.Delivered))
		})
	}
}

// TestSlowDisk limits what the sensor writes to the disk of the sink to less than it gets. The
// sensor reads all the same, and delivers each record when the limit is gone.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	d := newDiskTest(t)
	d.mountImage(t, 32<<20)
	d.start(t)
	limit := d.limitWrites(t)
	limit(t, 256<<10)
	began := time.Now()
	d.send(t, 4000)
	slow := d.readLedger(t).sink("first")
	if slow.Delivered > slow.Offered/2 {
		t.Errorf("the disk is not slow: %+v after %v", slow, time.Since(began))
	}
	d.awaitSink(t, "a delivered file", func(s delivery) bool { return s.Delivered > 0 })
	limit(t, 0)
	sink, names := d.end(t)
	if sink.Delivered != sink.Offered {
		t.Errorf("not everything is delivered: %+v", sink)
	}
	checkOnce(t, names, 0, d.resolver.sent)
}

// limitWrites puts the sensor into a control group, and returns a function that limits the bytes
// per second that the sensor writes to the file system of the sink's folder; 0: no limit.
func (d *diskTest) limitWrites(t *testing.T) func(t *testing.T, limit int) {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(d.namespace.Inside(d.folder()), &stat); err != nil {
		t.Fatal(err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev))
	root, file, format, none := "/sys/fs/cgroup/blkio", "blkio.throttle.write_bps_device", "%s %v", "0" // version 1
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		// A group without the memory controller does not own the pages that it writes.
		root, file, format, none = "/sys/fs/cgroup", "io.max", "%s wbps=%v", "max"
		if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+io +memory"), 0); err != nil {
			t.Fatalf("this kernel cannot limit writes: %v", err)
		}
	}
	group, err := os.MkdirTemp(root, "dnstap-pdns-test")
	if err != nil {
		t.Fatalf("this kernel cannot limit writes: %v", err)
	}
	t.Cleanup(func() {
		d.Kill()
		await(t, "the end of the control group", func() bool { return os.Remove(group) == nil })
	})
	write := func(t *testing.T, file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(group, file), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	write(t, "cgroup.procs", fmt.Sprint(d.PID()))
	return func(t *testing.T, limit int) {
		t.Helper()
		value := fmt.Sprint(limit)
		if limit == 0 {
			value = none
		}
		write(t, file, fmt.Sprintf(format, device, value))
	}
}

// TestFolderReplaced removes the folder of the sink, or replaces it by another, while a file is
// open. The records of that file failed, and the next ones are delivered in the new folder.
func TestFolderReplaced(t *testing.T) {
	t.Parallel()
	const first, later = 500, 300
	for name, replaced := range map[string]bool{"removed": false, "replaced": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDiskTest(t)
			d.start(t)
			d.send(t, first)
			d.awaitSink(t, "written records", func(s delivery) bool { return s.Written == first })
			aside := filepath.Join(d.dir, "aside")
			if replaced {
				if err := unix.Renameat2(unix.AT_FDCWD, d.folder(), unix.AT_FDCWD, aside, unix.RENAME_NOREPLACE); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(d.folder(), 0o755); err != nil {
					t.Fatal(err)
				}
			} else if err := os.RemoveAll(d.folder()); err != nil {
				t.Fatal(err)
			}
			d.awaitLog(t, recordsFailed, 1)
			d.send(t, later)
			if !replaced {
				d.awaitLog(t, sinkFails, 1)
				if err := os.Mkdir(d.folder(), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			d.awaitSink(t, "written records", func(s delivery) bool { return s.Written == later })
			sink, names := d.end(t)
			if sink.Lost["failed"] != first || sink.Delivered != later {
				t.Errorf("%d failed and %d delivered, want %d and %d", sink.Lost["failed"], sink.Delivered, first, later)
			}
			checkOnce(t, names, first, first+later)
			if replaced {
				left := map[string]int{}
				files, err := filepath.Glob(filepath.Join(aside, ".*.part"))
				if err != nil || len(files) != 1 {
					t.Fatalf("%v in the folder that was moved, %v", files, err)
				}
				countNames(t, files[0], left)
				checkOnce(t, left, 0, first)
			}
		})
	}
}
