package integration

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// mountFUSE mounts a file system that the test process serves, until the test ends. It fails
// if the kernel has no FUSE.
func mountFUSE(t *testing.T, n *lab.Namespace, dir string, root fs.InodeEmbedder) {
	t.Helper()
	var server *fuse.Server
	n.Do(t, func() (err error) {
		server, err = fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, MaxWrite: 1 << 20}})
		if err != nil {
			return fmt.Errorf("mounting a FUSE file system: %w", err)
		}
		return nil
	})
	// A loop device may have a file open for a moment after the file system on it is unmounted.
	// The kernel ends the connection to the server when that is closed.
	t.Cleanup(func() {
		n.Do(t, func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) })
		server.Wait()
	})
}

// diskFaults makes writes and syncs of a file system fail with an I/O error.
type diskFaults struct {
	writes, files, folders atomic.Bool // which ones fail: writes, syncs of files, and of folders
	failed                 atomic.Int64
}

func (f *diskFaults) result(fails *atomic.Bool) syscall.Errno {
	if fails.Load() {
		f.failed.Add(1)
		return syscall.EIO
	}
	return fs.OK
}

// faultyNode is a file or folder of another file system whose writes and syncs can fail.
type faultyNode struct {
	*fs.LoopbackNode
	faults *diskFaults
}

// WrapChild makes the files in a faulty folder faulty.
func (n *faultyNode) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &faultyNode{ops.(*fs.LoopbackNode), n.faults}
}

// Create makes a file whose writes can fail.
func (n *faultyNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, h, fuseFlags, err := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if err != fs.OK {
		return nil, nil, 0, err
	}
	return inode, &faultyFile{h.(*fs.LoopbackFile), n.faults}, fuseFlags, fs.OK
}

// Open opens a file whose writes can fail.
func (n *faultyNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, fuseFlags, err := n.LoopbackNode.Open(ctx, flags)
	if err != fs.OK {
		return nil, 0, err
	}
	return &faultyFile{h.(*fs.LoopbackFile), n.faults}, fuseFlags, fs.OK
}

type faultyFile struct {
	*fs.LoopbackFile
	faults *diskFaults
}

// PassthroughFd returns no file: the kernel must not write without this process.
func (*faultyFile) PassthroughFd() (int, bool) { return 0, false }

// Write fails, or writes.
func (f *faultyFile) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if err := f.faults.result(&f.faults.writes); err != fs.OK {
		return 0, err
	}
	return f.LoopbackFile.Write(ctx, data, off)
}

// Writev fails, or writes.
func (f *faultyFile) Writev(ctx context.Context, data [][]byte, off int64) (uint32, syscall.Errno) {
	if err := f.faults.result(&f.faults.writes); err != fs.OK {
		return 0, err
	}
	return f.LoopbackFile.Writev(ctx, data, off)
}

// Fsync fails, or syncs a file.
func (n *faultyNode) Fsync(ctx context.Context, h fs.FileHandle, flags uint32) syscall.Errno {
	if err := n.faults.result(&n.faults.files); err != fs.OK {
		return err
	}
	return h.(fs.FileFsyncer).Fsync(ctx, flags)
}

// OpendirHandle opens a folder whose sync can fail.
func (n *faultyNode) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, flags, err := n.LoopbackNode.OpendirHandle(ctx, flags)
	if err != fs.OK {
		return nil, 0, err
	}
	return &faultyFolder{h.(openFolder), n.faults}, flags, fs.OK
}

type openFolder interface {
	fs.FileReaddirenter
	fs.FileReleasedirer
	fs.FileSeekdirer
	fs.FileFsyncdirer
}

type faultyFolder struct {
	openFolder
	faults *diskFaults
}

// Fsyncdir fails, or syncs a folder.
func (f *faultyFolder) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	if err := f.faults.result(&f.faults.folders); err != fs.OK {
		return err
	}
	return f.openFolder.Fsyncdir(ctx, flags)
}

// mountFaulty mounts a file system with writes and syncs that can fail at the folder of the test.
func (d *diskTest) mountFaulty(t *testing.T) *diskFaults {
	t.Helper()
	root, err := fs.NewLoopbackRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	faults := new(diskFaults)
	node := &faultyNode{root.(*fs.LoopbackNode), faults}
	node.RootData.RootNode = node
	mountFUSE(t, d.namespace, d.folder(), node)
	return faults
}

// TestFailedSync lets a sync of the open file fail. It is not retried: the records of that file
// failed, although the file gets its name, and the next ones are delivered.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	d := newDiskTest(t)
	faults := d.mountFaulty(t)
	d.start(t)
	faults.files.Store(true)
	d.send(t, 500)
	d.awaitLog(t, recordsFailed, 1)
	faults.files.Store(false)
	d.awaitSink(t, "failed records", func(s delivery) bool { return s.Lost["failed"] > 0 })
	d.send(t, 300)
	sink, names := d.end(t)
	if sink.Lost["failed"] == 0 || sink.Delivered < 300 {
		t.Errorf("too little failed or was delivered: %+v", sink)
	}
	checkOnce(t, names, 0, d.resolver.sent)
	syncs, files := faults.failed.Load(), len(d.logged(t, recordsFailed)) // 1, unless the machine is very slow
	if syncs != int64(files) {
		t.Errorf("%d syncs of %d files failed: a failed sync must not be retried", syncs, files)
	}
}

// TestFailedSyncOfFolder lets the syncs of the sink's folder fail. Complete files are retried,
// and their records are delivered when a sync succeeds.
func TestFailedSyncOfFolder(t *testing.T) {
	t.Parallel()
	d := newDiskTest(t)
	faults := d.mountFaulty(t)
	d.start(t)
	faults.folders.Store(true)
	d.send(t, 1500) // more than a file
	d.awaitLog(t, fileRetried, 1)
	if failing := d.readLedger(t).sink("first"); failing.Delivered > 0 || failing.Written == 0 || total(failing.Lost) > 0 {
		t.Errorf("while no folder can be synced: %+v", failing)
	}
	faults.folders.Store(false)
	d.awaitLog(t, filesAgain, 1)
	sink, names := d.end(t)
	if sink.Delivered != sink.Offered || faults.failed.Load() == 0 {
		t.Errorf("%d syncs failed, not everything is delivered: %+v", faults.failed.Load(), sink)
	}
	checkOnce(t, names, 0, d.resolver.sent)
}
