package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// complete syncs a file to disk, gives it its final name, syncs the directory, and settles
// the records. It removes an empty file. After an error it continues at the step that
// failed, except a failed sync: the kernel does not write the data again, so that the
// records failed; the file gets its name all the same.
func (k *finisher) complete(u *unfinished) error {
	empty := !u.ended && k.transport.format.isEmpty(u.size)
	if !empty {
		if err := k.sync(u); err != nil {
			return err
		}
	}
	if u.final.path == "" {
		err := u.check()
		if changed, ok := errors.AsType[changedError](err); ok {
			k.fail(u, changed)
			k.giveUp(u, nil)
			return nil
		}
		if err != nil {
			return err
		}
		if empty {
			return k.removeEmpty(u)
		}
		if err := k.rename(u); err != nil {
			return err
		}
	}
	if err := k.transport.disk.syncDir(filepath.Dir(u.final.path)); err != nil {
		return err
	}
	u.settle(k.settle, forward.Outcome{Lost: k.failureOf(u) != nil, Why: forward.Failed})
	u.Close() // it releases the lock, so it must follow the rename; the data are synced
	k.transport.finished(u.final)
	return nil
}

func (k *finisher) removeEmpty(u *unfinished) error {
	if err := k.transport.disk.remove(u.temp); err != nil {
		return err
	}
	return u.Close()
}

// sync ends a file, and syncs all its bytes to disk, once.
func (k *finisher) sync(u *unfinished) error {
	if u.synced {
		return nil
	}
	if err := k.endFile(u); err != nil {
		return err
	}
	if k.failureOf(u) == nil {
		if err := u.Sync(); err != nil {
			k.fail(u, fmt.Errorf("syncing it failed, and is not retried: %w", err))
		}
	}
	u.synced = true
	return nil
}

// endFile writes the end of a file after its last whole unit, once.
func (k *finisher) endFile(u *unfinished) error {
	if err := u.trim(); err != nil {
		return err
	}
	if err := u.writeOnce(k.transport.format.end, !u.ended); err != nil {
		return err
	}
	u.ended = true
	return nil
}

// rename gives a file its final name and its mark, with a number that this transport has not
// used for that name.
func (k *finisher) rename(u *unfinished) error {
	if u.path != k.given {
		k.given, k.next = u.path, 0
	}
	final, n, err := k.transport.rename(u.temp, u.path, k.next)
	if err == nil {
		u.final, k.next = final, n+1
	}
	return err
}

// A named file has its final name. It has a mark if there is an on_rotate.
type named struct {
	path string
	mark io.Closer // nil: none
}

// release gives up the mark, which stays on disk.
func (n *named) release() {
	if n.mark != nil {
		n.mark.Close()
	}
}

// rename gives a file the first free name, from number n on, and returns it with its number.
// If there is an on_rotate, the file's mark is on disk before the file has its name.
func (f *transport) rename(temp, path string, n int) (named, int, error) {
	for ; ; n++ {
		file := named{path: numbered(path, n)}
		if exists(file.path) && !sameFile(temp, file.path) {
			continue
		}
		err := f.makeMark(&file)
		if err == nil {
			if err = f.disk.rename(temp, file.path); err == nil {
				return file, n, nil
			}
			file.release()
		}
		if !errors.Is(err, os.ErrExist) {
			return named{}, n, err
		}
	}
}

func (f *transport) makeMark(file *named) error {
	if f.runner == nil {
		return nil
	}
	mark, err := f.disk.mark(markOf(file.path))
	if err != nil {
		return err
	}
	if err := f.disk.syncDir(filepath.Dir(file.path)); err != nil {
		mark.Close()
		return err
	}
	file.mark = mark
	return nil
}

// exists reports whether there is a file, or may be one.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}
