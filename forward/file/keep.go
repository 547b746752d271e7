package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// Keep limits the finished files of a sink. The zero Keep: they are kept forever.
type Keep struct {
	Age  time.Duration // a file that was last written longer ago is deleted; 0: no limit
	Size int64         // total bytes of the files; above it the oldest are deleted; 0: no limit
}

const (
	// A keeper looks at the files when one was finished, but waits for keepPause between two
	// looks; and without a finished file once in keepInterval.
	keepPause    = 10 * time.Second
	keepInterval = time.Minute

	maxOldest = 1000 // files that one look deletes
)

// A keeper deletes old finished files of one shape, in its own goroutine. It never deletes a
// file for which on_rotate is due, nor, because of the size, the newest file. A nil keeper
// deletes nothing.
type keeper struct {
	Keep
	transport *transport
	finished  chan struct{} // a file was finished

	mu      sync.Mutex
	deleted uint64
	failing bool // the last look could not delete a file, or read a directory
}

func newKeeper(f *transport, k Keep) *keeper {
	if k == (Keep{}) || f.mode == forward.Replay {
		return nil
	}
	return &keeper{Keep: k, transport: f, finished: make(chan struct{}, 1)}
}

// run looks at the files until the transport's background ends.
func (k *keeper) run() {
	done := k.transport.background.Done()
	for {
		k.look(time.Now())
		select {
		case <-time.After(keepPause):
		case <-done:
			return
		}
		select {
		case <-k.finished:
		case <-time.After(keepInterval - keepPause):
		case <-done:
			return
		}
	}
}

// wake makes the keeper look at the files soon.
func (k *keeper) wake() {
	if k == nil {
		return
	}
	select {
	case k.finished <- struct{}{}:
	default:
	}
}

// deletedFiles returns the number of files that the keeper has deleted.
func (k *keeper) deletedFiles() uint64 {
	if k == nil {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.deleted
}

// look deletes the files that are beyond the limits at the time now, oldest first.
func (k *keeper) look(now time.Time) {
	f := k.transport
	files := finishedFiles{}
	err := f.shape.search(f.background, func(dir string, name *element, e fs.DirEntry) error {
		if !name.hasNumbered(e.Name()) || !e.Type().IsRegular() {
			return nil
		}
		return files.add(filepath.Join(dir, e.Name()), e)
	})
	files.sort()
	deleted := 0
	for _, old := range files.oldest {
		tooOld := k.Age > 0 && now.Sub(old.written) > k.Age
		tooMany := k.Size > 0 && files.size > k.Size && old != files.newest
		if !tooOld && !tooMany || exists(markOf(old.path)) || f.background.Err() != nil {
			continue
		}
		if failed := os.Remove(old.path); failed == nil {
			deleted++
		} else if !errors.Is(failed, os.ErrNotExist) {
			err = errors.Join(err, advise(failed, old.path))
			continue
		}
		files.size -= old.size
	}
	k.note(deleted, err)
}

// note counts the deleted files. It logs the first deletion, and changes of success and
// failure.
func (k *keeper) note(deleted int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	log := k.transport.log
	if deleted > 0 && k.deleted == 0 {
		log.Info("keep deletes old files; the ledger counts them", "files", deleted)
	}
	k.deleted += uint64(deleted)
	if k.transport.background.Err() != nil {
		return
	}
	if failing := err != nil; failing != k.failing {
		k.failing = failing
		if failing {
			log.Error("keep cannot delete all old files; it tries again", "error", err)
		} else {
			log.Info("keep deletes old files again")
		}
	}
}

// A finishedFile is a file with its final name.
type finishedFile struct {
	path    string
	written time.Time
	size    int64
}

// finishedFiles are the finished files of a sink. Only the oldest are listed, because there
// may be very many.
type finishedFiles struct {
	oldest []finishedFile
	newest finishedFile
	size   int64 // of all
}

func (s *finishedFiles) add(path string, e fs.DirEntry) error {
	info, err := e.Info()
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was deleted meanwhile
	}
	if err != nil {
		return err
	}
	s.addFile(finishedFile{path, info.ModTime(), info.Size()})
	return nil
}

func (s *finishedFiles) addFile(f finishedFile) {
	s.size += f.size
	if s.newest.path == "" || s.newest.compare(f) < 0 {
		s.newest = f
	}
	if s.oldest = append(s.oldest, f); len(s.oldest) == 2*maxOldest {
		s.sort()
	}
}

// sort sorts the list, oldest first, and shortens it to maxOldest.
func (s *finishedFiles) sort() {
	slices.SortFunc(s.oldest, finishedFile.compare)
	s.oldest = s.oldest[:min(len(s.oldest), maxOldest)]
}

func (f finishedFile) compare(o finishedFile) int {
	if c := f.written.Compare(o.written); c != 0 {
		return c
	}
	return strings.Compare(f.path, o.path)
}
