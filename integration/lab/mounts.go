package lab

import (
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// OwnMounts gives the namespace mounts of its own. What is mounted there is visible to
// programs that are started there from then on, and to others only below Inside. The kernel
// unmounts it, and frees its loop devices, when the last thread of the namespace has ended,
// also if the test was killed.
func (n *Namespace) OwnMounts(t testing.TB) {
	t.Helper()
	n.Do(t, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("a new mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("making mounts private: %w", err)
		}
		n.thread = unix.Gettid()
		return nil
	})
}

// Inside returns the path at which the test process finds a path of a namespace that has
// mounts of its own.
func (n *Namespace) Inside(path string) string {
	return filepath.Join(fmt.Sprintf("/proc/self/task/%d/root", n.thread), path)
}

// Do runs call on the namespace's thread. It must not block for long.
func (n *Namespace) Do(t testing.TB, call func() error) {
	t.Helper()
	if err := n.do(call); err != nil {
		t.Fatal(err)
	}
}

// MakeExt4 writes an empty ext4 file system with a journal to an existing file.
func (n *Namespace) MakeExt4(t testing.TB, image string) {
	t.Helper()
	RequirePrograms(t, "mkfs.ext4")
	n.call(t, "", "mkfs.ext4", "-q", "-F", "-m", "0", image)
}

// MountImage mounts a file that contains an ext4 file system, with a loop device, until the
// test ends.
func (n *Namespace) MountImage(t testing.TB, image, dir string) {
	t.Helper()
	RequirePrograms(t, "mount")
	n.call(t, "", "mount", "-t", "ext4", "-o", "loop", image, dir)
	t.Cleanup(func() {
		n.Do(t, func() error {
			if err := unix.Unmount(dir, 0); err != nil {
				return fmt.Errorf("unmounting %s: %w", dir, err)
			}
			return nil
		})
	})
}
