package integration

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// cachedDisk is a file with the image of a disk that has a write cache: what was written since
// the last sync is lost in a power cut, or a part of it is.
type cachedDisk struct {
	fs.Inode

	mu      sync.Mutex
	now     []byte // with everything that was written
	durable []byte // without what is only in the cache
	cache   []diskWrite
}

type diskWrite struct {
	at   int64
	data []byte
}

// Getattr returns the size of the disk.
func (d *cachedDisk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o600, uint64(len(d.now))
	return fs.OK
}

// Setattr changes nothing: the times of the disk do not matter.
func (d *cachedDisk) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return d.Getattr(ctx, h, out)
}

// Open allows reading and writing.
func (d *cachedDisk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, fs.OK
}

// Read reads what was last written.
func (d *cachedDisk) Read(_ context.Context, _ fs.FileHandle, into []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at = min(at, int64(len(d.now)))
	return fuse.ReadResultData(into[:copy(into, d.now[at:])]), fs.OK
}

// Write writes to the cache.
func (d *cachedDisk) Write(_ context.Context, _ fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at+int64(len(data)) > int64(len(d.now)) {
		return 0, syscall.ENOSPC
	}
	w := diskWrite{at, slices.Clone(data)}
	copy(d.now[at:], w.data)
	d.cache = append(d.cache, w)
	return uint32(len(data)), fs.OK
}

// Fsync makes the content of the cache durable.
func (d *cachedDisk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.cache {
		copy(d.durable[w.at:], w.data)
	}
	d.cache = nil
	return fs.OK
}

// afterPowerCut returns what is on the disk if the power is cut now: what is durable, and each
// block of the cache for which keeps returns true. A block is one of ext4: a disk that keeps half
// of a superblock, whose checksum is in the other half, cannot be mounted.
func (d *cachedDisk) afterPowerCut(keeps func() bool) []byte {
	const block = 1 << 10
	d.mu.Lock()
	defer d.mu.Unlock()
	image := slices.Clone(d.durable)
	for _, w := range d.cache {
		at := w.at
		for part := range slices.Chunk(w.data, block) {
			if keeps() {
				copy(image[at:], part)
			}
			at += int64(len(part))
		}
	}
	return image
}

// powerCuts has, for a sink that gets the image of the disk, what the disk keeps of its cache:
// nothing, some blocks, or everything.
var powerCuts = map[string]func() bool{
	"first":  func() bool { return false },
	"second": func() bool { return rand.N(2) == 0 },
	"third":  func() bool { return true },
}

// mountCached mounts an ext4 file system on a disk with a write cache at the folder of the sink.
func (d *diskTest) mountCached(t *testing.T, size int64) *cachedDisk {
	t.Helper()
	n := d.namespace
	empty := filepath.Join(n.Dir, "empty")
	if err := os.WriteFile(empty, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	n.MakeExt4(t, empty)
	image, err := os.ReadFile(empty)
	if err != nil {
		t.Fatal(err)
	}
	disk := &cachedDisk{now: slices.Clone(image), durable: image}
	served := filepath.Join(n.Dir, "served")
	if err := os.Mkdir(served, 0o755); err != nil {
		t.Fatal(err)
	}
	mountFUSE(t, n, served, &diskFolder{disk: disk})
	n.MountImage(t, filepath.Join(served, "disk"), d.folder())
	return disk
}

// diskFolder is a folder that contains a disk.
type diskFolder struct {
	fs.Inode
	disk *cachedDisk
}

// OnAdd adds the disk.
func (f *diskFolder) OnAdd(ctx context.Context) {
	f.AddChild("disk", f.NewPersistentInode(ctx, f.disk, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

// syncTime is the documented time after which a record that was written is synced. Then it is
// on disk after one sync, which slack allows for.
const syncTime = 2 * time.Second

// cut is the disk of a sensor as a power cut leaves it.
type cut struct {
	image     []byte
	delivered uint64 // records that must be in files with their names
	synced    uint64 // further records that must be on it
}

// TestPowerCut takes images of the disk of a running sensor, as power cuts would leave them. In
// each image, once a sensor was started with it, the files contain what the ledger had as
// delivered before, and what it had as written before the last sync.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	d := newDiskTest(t)
	disk := d.mountCached(t, 32<<20)
	d.start(t)

	// At any time, what is delivered must survive.
	cuts := map[string]cut{}
	var delivered uint64
	for sink, keeps := range powerCuts {
		d.write(t, 1200) // more than a file
		delivered = d.awaitSink(t, "a delivered file", func(s delivery) bool { return s.Delivered > delivered }).Delivered
		cuts[sink] = cut{image: disk.afterPowerCut(keeps), delivered: delivered}
	}
	d.checkCuts(t, "delivered", cuts)

	// After a sync, what was written before must survive too.
	d.send(t, 100)
	before := d.awaitSink(t, "an empty queue", func(s delivery) bool { return s.Queued == 0 })
	if before.Written == 0 {
		t.Errorf("nothing is written and not delivered: %+v", before)
	}
	synced := time.NewTimer(syncTime + slack)
	defer synced.Stop()
	d.send(t, 100)
	<-synced.C
	d.send(t, 100)
	for sink, keeps := range powerCuts {
		cuts[sink] = cut{disk.afterPowerCut(keeps), before.Delivered, before.Written}
	}
	d.checkCuts(t, "synced", cuts)

	sink, names := d.end(t)
	if sink.Delivered != sink.Offered {
		t.Errorf("not everything is delivered: %+v", sink)
	}
	checkOnce(t, names, 0, d.resolver.sent)
}

// checkCuts is recoverCuts as a subtest: its disks are unmounted when it ends, and if it fails,
// only the log of its own sensor is logged.
func (d *diskTest) checkCuts(t *testing.T, name string, cuts map[string]cut) {
	t.Helper()
	if !t.Run(name, func(t *testing.T) { d.recoverCuts(t, cuts) }) {
		t.FailNow()
	}
}

// recoverCuts checks the files of each power cut, then starts a sensor that has a sink for each,
// and checks what its files contain: the first records, at least those that must be there, and
// each once.
func (d *diskTest) recoverCuts(t *testing.T, cuts map[string]cut) {
	t.Helper()
	after := newSensor(t, d.namespace)
	t.Cleanup(func() { os.RemoveAll(after.dir) }) // the images are in memory
	config := unixSource + exactTimes
	for sink, cut := range cuts {
		folder, image := filepath.Join(after.dir, sink), filepath.Join(after.dir, sink+".image")
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(image, cut.image, 0o600); err != nil {
			t.Fatal(err)
		}
		d.namespace.MountImage(t, image, folder)
		config += fileSink(sink, "dnsqr")
	}
	inside := d.namespace.Inside(after.dir)
	for sink, cut := range cuts {
		files, err := filepath.Glob(filepath.Join(inside, sink, "*.nmsg"))
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]int{}
		for _, path := range files {
			countNames(t, path, names)
		}
		if uint64(len(names)) < cut.delivered {
			t.Errorf("%s: %d records in files with their names, %d were delivered", sink, len(names), cut.delivered)
		}
	}
	after.run(t, config)
	awaitState(t, "complete files", func() []string {
		left, err := filepath.Glob(filepath.Join(inside, "*", ".*"))
		if err != nil {
			t.Fatal(err)
		}
		return left
	}, func(left []string) bool { return len(left) == 0 })
	after.stop(t)
	for sink, cut := range cuts {
		names := namesIn(t, filepath.Join(inside, sink))
		t.Logf("%s: %d of %d records, %d were delivered and %d synced", sink, len(names), d.resolver.sent, cut.delivered, cut.synced)
		if want := cut.delivered + cut.synced; uint64(len(names)) < want {
			t.Errorf("%s: only %d records, want %d", sink, len(names), want)
		}
		checkOnce(t, names, 0, len(names)) // they are written in order
	}
}
