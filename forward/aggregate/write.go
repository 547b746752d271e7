package aggregate

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward/ondisk"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

const (
	partSize   = 1 << 20              // bytes of the table that are written at once, about
	writePause = 5 * time.Millisecond // between two parts if no records arrive
)

// A write is a save in progress. Its goroutine writes parts of the table, which the owner of the table
// makes when the goroutine has taken the part before.
type write struct {
	table *rrset.Saver
	more  bool // the table has more parts

	parts  chan []byte // with room for one; closed after the last
	spent  chan []byte // memory of parts that were written
	cancel context.CancelFunc
	done   chan error // the result
}

// start starts a save.
func (s *state) start(from snapshot) *write {
	ctx, cancel := context.WithCancel(context.Background())
	w := &write{
		table: from.table, more: true,
		parts: make(chan []byte, 1), spent: make(chan []byte, 3), // one more than are in use
		cancel: cancel, done: make(chan error, 1),
	}
	go func() {
		err := s.replaceTable(func(f io.Writer) error { return w.copyTo(ctx, f) })
		if err == nil && from.delegations != nil {
			err = s.replaceDelegations(from.delegations)
		}
		w.done <- err
	}()
	return w
}

// advance makes the next part if there is room for it, and returns the result if the goroutine has
// ended.
func (w *write) advance() (err error, done bool) {
	if w.more && len(w.parts) == 0 {
		var part []byte
		select {
		case part = <-w.spent:
		default:
		}
		part, w.more = w.table.Append(part[:0], partSize)
		w.parts <- part
		if !w.more {
			close(w.parts)
		}
	}
	select {
	case err = <-w.done:
		w.cancel()
		return err, true
	default:
		return nil, false
	}
}

// abort ends the save, and waits for the goroutine.
func (w *write) abort() {
	w.cancel()
	<-w.done
}

// copyTo writes all parts, until ctx ends.
func (w *write) copyTo(ctx context.Context, f io.Writer) error {
	for {
		select {
		case part, more := <-w.parts:
			if !more {
				return nil
			}
			if _, err := f.Write(part); err != nil {
				return err
			}
			w.spent <- part
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *state) replaceTable(write func(io.Writer) error) error { return replaceFile(s.path, write) }

func (s *state) replaceDelegations(saved []byte) error {
	return replaceFile(s.path+delegationsSuffix, func(w io.Writer) error {
		_, err := w.Write(saved)
		return err
	})
}

// replaceFile replaces a file by one with another content, whole or not at all, also if the machine
// crashes.
func replaceFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, filePerm)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return ondisk.Sync(filepath.Dir(path)) // so that the rename survives a crash
}
