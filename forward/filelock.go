package forward

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var errInUse = errors.New("it is in use")

// lock makes an open file this sink's until it is closed, by whatever process: what
// is locked is being written, what is not was left behind. The error is errInUse
// where somebody else has it, or had it and has renamed or removed it: whoever holds
// the lock may rely on the file's name.
func lock(f *os.File, path string) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errInUse
	}
	if err != nil {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	locked, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(locked, named) {
		return errInUse
	}
	return err
}
