package spool

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// A faultyDisk is a real disk with operations that fail.
type faultyDisk struct {
	realDisk
	mu    sync.Mutex
	fault func(op, path string) error // nil: none fails
}

func (d *faultyDisk) set(fault func(op, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

func (d *faultyDisk) fails(op, path string) error {
	d.mu.Lock()
	fault := d.fault
	d.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(op, path)
}

func (d *faultyDisk) create(path string) (segmentFile, error) {
	if err := d.fails("create", path); err != nil {
		return nil, err
	}
	f, err := d.realDisk.create(path)
	return faultyFile{f, d, path}, err
}

func (d *faultyDisk) read(path string, from int64) (io.ReadCloser, error) {
	if err := d.fails("read", path); err != nil {
		return nil, err
	}
	return d.realDisk.read(path, from)
}

func (d *faultyDisk) replace(path string, b []byte) error {
	if err := d.fails("replace", path); err != nil {
		return err
	}
	return d.realDisk.replace(path, b)
}

func (d *faultyDisk) remove(path string) error {
	if err := d.fails("remove", path); err != nil {
		return err
	}
	return d.realDisk.remove(path)
}

func (d *faultyDisk) sync(path string) error {
	if err := d.fails("sync", path); err != nil {
		return err
	}
	return d.realDisk.sync(path)
}

type faultyFile struct {
	segmentFile
	d    *faultyDisk
	path string
}

// Write writes half of b when the disk is full.
func (f faultyFile) Write(b []byte) (int, error) {
	if err := f.d.fails("write", f.path); err != nil {
		n, _ := f.segmentFile.Write(b[:len(b)/2])
		return n, err
	}
	return f.segmentFile.Write(b)
}

func (f faultyFile) Truncate(size int64) error {
	if err := f.d.fails("truncate", f.path); err != nil {
		return err
	}
	return f.segmentFile.Truncate(size)
}

func (f faultyFile) Sync() error {
	if err := f.d.fails("sync", f.path); err != nil {
		return err
	}
	return f.segmentFile.Sync()
}

// failing lets these operations fail.
func failing(ops ...string) func(op, path string) error { return failingWith(unix.ENOSPC, ops...) }

func failingWith(err error, ops ...string) func(op, path string) error {
	return func(op, _ string) error {
		if slices.Contains(ops, op) {
			return err
		}
		return nil
	}
}

func TestAFullDiskKeepsRecordsInMemoryAndInOrder(t *testing.T) {
	for name, fault := range map[string]func(op, path string) error{
		"full":            failing("create", "write", "replace"),
		"full, truncates": failing("write", "truncate", "replace"),
		"segments":        failing("write"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *sink) {
				d := &faultyDisk{}
				s.disk = d
				s.peer.set(fails)
				s.open()
				s.send(1, s.batch(3, 100)) // on disk
				d.set(fault)
				late := s.batch(3, 100)
				if r, err := s.send(1, late); err == nil || r.Units != 0 || !s.Spool().Full {
					t.Errorf("%+v, %v, %+v", r, err, s.Spool())
				}
				d.set(nil)
				if r, err := s.send(1, late); err != nil || r.Units != 3 || s.Spool().Full {
					t.Errorf("%+v, %v, %+v", r, err, s.Spool())
				}
				s.send(1, s.batch(3, 100))
				s.peer.set(acknowledges)
				s.rest(time.Minute)
				s.checkReceived(s.made)
				if n := len(s.peer.received()); n != 9 {
					t.Errorf("%d containers were sent", n)
				}
			})
		})
	}
}

func TestAFullDiskDoesNotStopASinkWhosePeerWorks(t *testing.T) {
	for _, fault := range []func(op, path string) error{failing("create", "write", "replace"), failing("create")} {
		bubble(t, func(t *testing.T, s *sink) {
			d := &faultyDisk{}
			s.disk = d
			s.open()
			d.set(fault)
			s.peer.set(fails)
			first := s.batch(3, 100)
			if _, err := s.send(2, first); err == nil || !strings.Contains(err.Error(), "no space left") || !s.Spool().Full {
				t.Errorf("%v, %+v", err, s.Spool())
			}
			s.peer.set(acknowledges)
			time.AfterFunc(time.Second, func() { s.halfFull <- struct{}{} })
			if r, err := s.send(9, first); err != nil || s.ledger.delivered != 3 || s.Spool().Full {
				t.Errorf("%+v, %v, %+v", r, err, s.ledger)
			}
			for range 3 {
				s.halfFull <- struct{}{}
				if r, err := s.send(1, s.batch(3, 100)); err != nil || r.Delivered != 3 {
					t.Errorf("%+v, %v", r, err)
				}
			}
			s.checkReceived(s.made)
			if n := len(s.peer.received()); n != 12 {
				t.Errorf("%d containers were sent, want 12", n)
			}
			d.set(nil)
		})
	}
}

func TestADiskThatIsFullDrainsIntoThePeer(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		d := &faultyDisk{}
		s.disk = d
		s.peer.set(fails)
		s.open()
		s.send(1, s.batch(3, 100), s.batch(3, 100))
		d.set(failing("create", "write", "replace"))
		time.AfterFunc(2*time.Second, func() { s.peer.set(acknowledges) })
		if r, err := s.send(9, s.batch(3, 100)); err != nil || r.Delivered != 3 {
			t.Errorf("%+v, %v", r, err)
		}
		s.rest(time.Second)
		s.checkReceived(s.made)
		if s.ledger.delivered != 9 {
			t.Errorf("%+v", s.ledger)
		}
		d.set(nil)
	})
}

func TestAFailingSyncIsLoggedOnly(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		d := &faultyDisk{}
		s.disk = d
		s.peer.set(fails)
		s.open()
		d.set(failingWith(unix.EIO, "sync"))
		s.send(1, s.batch(3, 100))
		s.rest(time.Minute)
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		s.checkReceived(s.made)
		d.set(nil)
	})
}

func TestTheSinkDoesNotWaitForSyncs(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		d := &faultyDisk{}
		s.disk = d
		s.peer.set(fails)
		s.open()
		var mu sync.Mutex
		var syncs []time.Time
		d.set(func(op, _ string) error {
			if op == "sync" {
				mu.Lock()
				syncs = append(syncs, time.Now())
				mu.Unlock()
				time.Sleep(time.Minute)
			}
			return nil
		})
		start := time.Now()
		for range 10 {
			s.send(1, s.batch(3, 100))
			time.Sleep(time.Second)
		}
		if got := time.Since(start); got != 10*time.Second {
			t.Errorf("10 Sends took %v", got-10*time.Second)
		}
		mu.Lock()
		if len(syncs) != 1 || syncs[0].Sub(start) != 2*time.Second {
			t.Errorf("syncs: %v", syncs)
		}
		mu.Unlock()
		time.Sleep(10 * time.Minute)
	})
}

func TestADiskThatCannotBeReadIsRetried(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		d := &faultyDisk{}
		s.disk = d
		s.peer.set(fails)
		s.open()
		s.send(1, s.batch(3, 100))
		s.rest(10 * time.Second) // it is no longer in memory
		d.set(failingWith(unix.EMFILE, "read"))
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		if _, err := s.Idle(t.Context()); err == nil || !strings.Contains(err.Error(), "reading the spool") {
			t.Errorf("Idle: %v", err)
		}
		d.set(nil)
		s.rest(time.Minute)
		s.checkReceived(s.made)
	})
}

func TestASegmentThatTheDiskCannotReadIsSetAside(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		d := &faultyDisk{}
		s.disk = d
		s.peer.set(fails)
		s.open()
		s.send(1, s.batch(3, 100))
		s.rest(10 * time.Second) // it is no longer in memory
		d.set(failingWith(unix.EIO, "read"))
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		if s.ledger.lost[forward.SpoolDamaged] != 3 || s.Spool().Damaged != 1 {
			t.Errorf("%+v, %+v", s.ledger, s.Spool())
		}
		d.set(nil)
	})
}

func TestTheIndexIsWrittenWhenTheDiskIsRepaired(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		d := &faultyDisk{}
		s.disk = d
		s.peer.set(fails)
		s.open()
		s.send(1, s.batch(3, 100), s.batch(3, 100))
		d.set(failing("replace"))
		s.peer.set(acknowledges)
		time.Sleep(time.Minute)
		s.Idle(t.Context())
		read := func() *index {
			t.Helper()
			b, err := os.ReadFile(filepath.Join(s.transport.dir, indexName))
			if err != nil {
				t.Fatal(err)
			}
			x, err := decodeIndex(b)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		if x := read(); len(x.Segments) != 1 {
			t.Errorf("the index was written to a full disk: %+v", x)
		}
		d.set(nil)
		s.Idle(t.Context())
		if x := read(); len(x.Segments) != 0 {
			t.Errorf("the index still has what was acknowledged: %+v", x)
		}
	})
}
