package file

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// An unfinished file has not got its final name. The sink's goroutine writes it, and then
// gives it to the finisher, which is the only one that syncs and closes it.
type unfinished struct {
	openFile
	path       string // final name, without its number
	temp       string // temporary name
	began      time.Time
	size       int64  // bytes of whole units, with the beginning and the end of the file's format
	records    uint64 // in these
	incomplete bool   // there may be a part of a unit after size

	// The finisher owns these.
	ended     bool  // the end of the format was written
	dirSynced bool  // the temporary name is on disk
	dirFailed bool  // a failure of that was logged
	synced    bool  // all bytes are on disk, or failed states why not
	final     named // the final name, when the file has it

	failed error // why the records failed; nil: they did not. The finisher's mutex guards it
}

// writeOnce writes the beginning or the end of the file if that is due. After an error, trim
// removes what was written of it.
func (u *unfinished) writeOnce(b []byte, due bool) error {
	if len(b) == 0 || !due {
		return nil
	}
	if _, err := u.Write(b); err != nil {
		u.incomplete = true
		return err
	}
	u.size += int64(len(b))
	return nil
}

// trim removes the bytes after the last whole unit.
func (u *unfinished) trim() error {
	if !u.incomplete {
		return nil
	}
	if err := u.Truncate(u.size); err != nil {
		return err
	}
	u.incomplete = false
	return nil
}

// A changedError is a change of a file by another program.
type changedError struct{ error }

// check returns a changedError if the temporary name does not belong to this file any more,
// or the file does not have its size.
func (u *unfinished) check() error {
	info, err := u.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(u.temp)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return changedError{fmt.Errorf("%s was removed, or its directory was", u.temp)}
	case err != nil:
		return err
	case !os.SameFile(info, named):
		return changedError{fmt.Errorf("%s was replaced, or its directory was", u.temp)}
	case info.Size() < u.size, info.Size() > u.size && !u.incomplete:
		return changedError{fmt.Errorf("%s has %d bytes instead of %d: another program writes it", u.temp, info.Size(), u.size)}
	}
	return nil
}

// settle counts the records, once.
func (u *unfinished) settle(settle forward.Settle, to forward.Outcome) {
	if u.records > 0 {
		settle(forward.Written, u.records, to)
		u.records = 0
	}
}
