package aggregate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward/ondisk"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

const (
	// saveInterval is the time between two saves. After a crash, what was counted in it is lost, and
	// what was emitted in it is emitted again.
	saveInterval = time.Minute

	// delegationsInterval is the same for delegations. They are believed for days, and saving many takes
	// half a second in which no record is handled.
	delegationsInterval = 10 * time.Minute

	// Added to the path of the state file.
	delegationsSuffix = ".delegations"
	lockSuffix        = ".lock"
	asideSuffix       = ".aside" // of a file that cannot be used
	newSuffix         = ".new"   // of a file that is not complete

	filePerm = 0o600 // only the sensor's user reads what was observed
)

// A state is the table and the delegations on disk. The transport's goroutine uses it.
type state struct {
	path   string
	log    *slog.Logger
	locked *os.File // nil: it is not locked

	due     time.Time // of the next save
	dueAll  time.Time // of the next save with the delegations
	write   *write    // in progress; nil: none
	failing bool      // the latest save failed

	saved    time.Time // the latest save; zero: none
	failures uint64
}

// A snapshot is what is to be saved.
type snapshot struct {
	table       *rrset.Saver
	delegations []byte // nil: they are not saved this time
}

func newState(path string, log *slog.Logger) *state { return &state{path: path, log: log} }

// lock makes the state belong to this transport until unlock.
func (s *state) lock() error {
	f, err := ondisk.Lock(s.path+lockSuffix, errors.New("another aggregate uses it: each needs a state of its own"))
	if err != nil {
		return err
	}
	now := time.Now()
	s.locked, s.due, s.dueAll = f, now.Add(saveInterval), now.Add(delegationsInterval)
	return nil
}

func (s *state) unlock() {
	s.locked.Close()
	s.locked = nil
}

// loadTable returns the saved table, or nil if there is none that can be used.
func (s *state) loadTable(limits rrset.Limits, now time.Duration, emit func(*rrset.Aggregate)) (table *rrset.Table, err error) {
	return table, s.load(s.path, func(f *os.File) (err error) {
		table, err = rrset.LoadTable(f, limits, now, emit)
		return err
	})
}

// loadDelegations returns the saved delegations, or nil if there are none that can be used.
func (s *state) loadDelegations(rootServers []netip.Addr) (d *rrset.Delegations, err error) {
	return d, s.load(s.path+delegationsSuffix, func(f *os.File) error {
		saved, err := io.ReadAll(io.LimitReader(f, 2*delegationBytes))
		if err != nil {
			return err
		}
		d, err = rrset.LoadDelegations(rootServers, delegationBytes, saved)
		return err
	})
}

// load reads a file, if it exists, and sets it aside if its content cannot be used. An error is one
// of the disk.
func (s *state) load(path string, read func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = read(f)
	if _, ofDisk := errors.AsType[*fs.PathError](err); err == nil || ofDisk {
		return err
	}
	s.log.Warn("a state file cannot be used, and is set aside", "file", path, "as", path+asideSuffix, "error", err)
	return os.Rename(path, path+asideSuffix)
}

// next returns when advance should be called again.
func (s *state) next(now time.Time) time.Time {
	if s.write != nil {
		return now.Add(writePause)
	}
	return s.due
}

// advance starts a save when one is due, or continues the one in progress. It does not wait for the
// disk. take returns the snapshot, with the delegations if all is true.
func (s *state) advance(now time.Time, take func(all bool) snapshot) {
	if s.write == nil {
		if now.Before(s.due) {
			return
		}
		all := !now.Before(s.dueAll)
		if all {
			s.dueAll = now.Add(delegationsInterval)
		}
		s.write = s.start(take(all))
	}
	if err, done := s.write.advance(); done {
		s.write, s.due = nil, now.Add(saveInterval)
		s.note(err, now)
	}
}

// note notes the end of a save.
func (s *state) note(err error, now time.Time) {
	switch {
	case err != nil:
		s.failures++
		if !s.failing {
			s.log.Error("the state of the window cannot be saved, and this is retried", "error", err)
		}
	case s.failing:
		s.log.Info("the state of the window is saved again")
		fallthrough
	default:
		s.saved = now
	}
	s.failing = err != nil
}

// finish saves the last state, and unlocks it. The table is first: little time may be left.
func (s *state) finish(table *rrset.Saver, delegations func() []byte) error {
	defer s.unlock()
	if s.write != nil {
		s.write.abort()
		s.write = nil
	}
	err := s.replaceTable(func(w io.Writer) error {
		var part []byte
		for more := true; more; {
			part, more = table.Append(part[:0], partSize)
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = s.replaceDelegations(delegations())
	}
	s.note(err, time.Now())
	if err != nil {
		return fmt.Errorf("saving the state of the window: %w; the next start continues with an earlier one, if there is one", err)
	}
	return nil
}
