package spool

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestConfirmSyncsTheSpool at once: records stay spooled, and are on disk.
func TestConfirmSyncsTheSpool(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		d := &faultyDisk{}
		s.disk = d
		s.peer.set(fails)
		s.open()
		synced := map[string]bool{}
		d.set(func(op, path string) error {
			if op == "sync" {
				synced[path] = true
			}
			return nil
		})
		s.send(1, s.batch(3, 100))
		if err := s.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
		d.set(nil)
		for _, path := range []string{s.store.path(1), s.transport.dir} {
			if !synced[path] {
				t.Errorf("%s was not synced, only %v", path, synced)
			}
		}
		if s.ledger.spooled != 3 || s.doubts.Load() != 0 {
			t.Errorf("%+v, %d doubts", s.ledger, s.doubts.Load())
		}
	})
}

// TestAFailedSyncIsInDoubt: the next Confirm succeeds, and what follows is in another segment,
// because the kernel may not have written this one.
func TestAFailedSyncIsInDoubt(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		d := &faultyDisk{}
		s.disk = d
		s.peer.set(fails)
		s.open()
		d.set(failingWith(unix.EIO, "sync"))
		s.send(1, s.batch(3, 100))
		if err := s.Confirm(t.Context()); err == nil {
			t.Error("while syncs fail: no error")
		}
		if s.doubts.Load() == 0 {
			t.Error("there is no doubt")
		}
		d.set(nil)
		if err := s.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
		s.send(1, s.batch(3, 100))
		if n := len(s.store.index.Segments); n != 2 {
			t.Errorf("%d segments, want 2", n)
		}
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		s.checkReceived(s.made)
	})
}
