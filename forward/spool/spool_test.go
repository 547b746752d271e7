package spool

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

// bubble runs a test in fake time with a sink, which it closes at the end.
func bubble(t *testing.T, test func(t *testing.T, s *sink)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSink(t, t.TempDir(), newPeer())
		test(t, s)
		s.close()
	})
}

func TestContainersAreSentFromMemoryWhileThePeerAcknowledges(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.open()
		for range 3 {
			r, err := s.send(1, s.batch(5, 100), s.batch(5, 100))
			if err != nil || r.Delivered != 10 || r.Units != 10 {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		if got := s.ledger.sent.Containers; got != 30 {
			t.Errorf("%d containers are counted as sent, want 30", got)
		}
		s.checkReceived(s.made)
		if got := s.files(); len(got) != 0 {
			t.Errorf("there are files: %v", got)
		}
	})
}

func TestALoadHasABoundedNumberOfBatches(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.set(fails)
		s.open()
		for range 4 {
			var bs []*forward.Batch
			for range maxBatches {
				b := s.batch(1, 100)
				b.Dropped = forward.Dropped{Units: 1, Bytes: 7}
				bs = append(bs, b)
			}
			if _, err := s.send(1, bs...); err != nil {
				t.Fatal(err)
			}
		}
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		s.checkReceived(s.made)
		for i, c := range s.peer.received() {
			if c.dropped != (forward.Dropped{Units: 1, Bytes: 7}) {
				t.Fatalf("container %d: %+v were dropped before it", i, c.dropped)
			}
		}
		if n := len(s.load.free); n > maxBatches {
			t.Errorf("loads had %d batches", n)
		}
	})
}

func TestContainersAreSpooledWhileThePeerIsAwayAndSentInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.set(fails)
		s.open()
		for range 20 {
			r, err := s.send(1, s.batch(20, 1000))
			if err != nil || r.Tentative[forward.Spooled] != 20 || r.Trouble == nil {
				t.Fatalf("%+v, %v", r, err)
			}
			s.rest(time.Second)
		}
		if _, err := s.Idle(t.Context()); err == nil {
			t.Error("Idle does not return that the peer is away")
		}
		if state := s.Spool(); state.Bytes != uint64(len(s.onDisk())) || time.Since(state.Oldest).Round(time.Second) != 20*time.Second {
			t.Errorf("state %+v", state)
		}
		if names, missing, err := forwardtest.Names(s.onDisk()); err != nil || len(names) != 400 || missing != 0 {
			t.Errorf("segments: %d names, %d missing, %v", len(names), missing, err)
		}
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		s.checkReceived(s.made)
		if _, err := s.Idle(t.Context()); err != nil {
			t.Errorf("Idle: %v", err)
		}
		if s.ledger.delivered != 400 || s.ledger.spooled != 0 || s.ledger.sent.Containers != 400 || s.Spool().Bytes != 0 {
			t.Errorf("%+v %+v", s.ledger, s.Spool())
		}
		if r, err := s.send(1, s.batch(1, 1)); r.Delivered != 1 || err != nil {
			t.Errorf("not sent from memory again: %+v, %v", r, err)
		}
		if got := s.files(); len(got) != 1 || got[0] != indexName {
			t.Errorf("files are left: %v", got)
		}
	})
}

func TestOnlyWhatWasNotAcknowledgedIsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.each = 3
		s.open()
		s.peer.onSend = func(*container) {
			if len(s.peer.got) == 7 {
				s.peer.mode = forgets
			}
		}
		r, err := s.send(1, s.batch(10, 100))
		if err != nil || r.Delivered != 6 || r.Tentative[forward.Spooled] != 4 {
			t.Fatalf("%+v, %v", r, err)
		}
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		s.checkReceived(s.made)
		if n := len(s.peer.received()); n != 13 {
			t.Errorf("%d containers were sent, want 10 and 3 again", n)
		}
	})
}

func TestAHalfFullQueueSpoolsWhatIsNotAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.set(stalls)
		s.open()
		start := time.Now()
		time.AfterFunc(time.Second, func() { s.halfFull <- struct{}{} })
		if r, err := s.send(1, s.batch(10, 100)); err != nil || r.Tentative[forward.Spooled] != 10 || r.Trouble != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Send took %v", got)
		}
		if r, err := s.send(1, s.batch(10, 100)); err != nil || r.Tentative[forward.Spooled] != 10 {
			t.Fatalf("%+v, %v", r, err)
		}
		s.peer.set(acknowledges)
		s.rest(time.Second)
		s.checkReceived(s.made)
		if n := len(s.peer.received()); n != 20 || s.ledger.delivered != 20 {
			t.Errorf("%d containers were sent, %d records delivered", n, s.ledger.delivered)
		}
	})
}

func TestRecordsDoNotWaitLongInMemory(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.set(stalls)
		s.open()
		start := time.Now()
		if r, err := s.send(1, s.batch(10, 100)); err != nil || r.Tentative[forward.Spooled] != 10 {
			t.Fatalf("%+v, %v", r, err)
		}
		if got := time.Since(start); got != patience {
			t.Errorf("Send took %v", got)
		}
	})
}

func TestAStopLeavesEverythingInTheSpool(t *testing.T) {
	for _, m := range []mode{stalls, fails, forgets} {
		bubble(t, func(t *testing.T, s *sink) {
			s.peer.set(m)
			s.open()
			stop := s.stop
			time.AfterFunc(time.Millisecond, func() { close(stop) })
			if r, err := s.send(1, s.batch(10, 100)); err != nil || r.Tentative[forward.Spooled] != 10 {
				t.Fatalf("%+v, %v", r, err)
			}
			if r, err := s.send(1, s.batch(10, 100)); err != nil || r.Tentative[forward.Spooled] != 10 {
				t.Fatalf("%+v, %v", r, err)
			}
			start := time.Now()
			s.close()
			if got := time.Since(start); got > closeTime {
				t.Errorf("Close took %v", got)
			}
			if s.ledger.spooled != 20 || !s.peer.closed {
				t.Errorf("%+v", s.ledger)
			}
			s.peer.set(acknowledges)
			s.restart()
			if s.ledger.resumed != 20 {
				t.Errorf("%d records are resumed", s.ledger.resumed)
			}
			s.rest(time.Minute)
			s.checkReceived(s.made)
		})
	}
}

func TestCloseWaitsForAcknowledgements(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.set(stalls)
		s.open()
		s.halfFull <- struct{}{}
		s.send(1, s.batch(10, 100))
		synctest.Wait()
		time.AfterFunc(closeTime/2, func() { s.peer.set(acknowledges) })
		s.close()
		if s.ledger.delivered != 10 || s.ledger.spooled != 0 {
			t.Errorf("%+v", s.ledger)
		}
	})
}

func TestCloseEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.set(stalls)
		s.open()
		s.halfFull <- struct{}{}
		s.send(1, s.batch(10, 100))
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		s.closed = true
		if err := s.Close(ctx); err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if s.ledger.spooled != 10 {
			t.Errorf("%+v", s.ledger)
		}
	})
}

func TestLossesOfThePeerAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.lose = true
		s.open()
		if r, err := s.send(1, s.batch(10, 100)); err != nil || r.Lost[forward.TooBig] != 10 {
			t.Fatalf("%+v, %v", r, err)
		}
		s.halfFull <- struct{}{}
		s.send(1, s.batch(10, 100))
		s.rest(time.Second)
		if s.ledger.lost[forward.TooBig] != 20 {
			t.Errorf("%+v", s.ledger)
		}
	})
}

func TestWhatWasGivenUpTravelsWithItsContainer(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.open()
		first := s.batch(2, 100)
		first.Dropped = forward.Dropped{Units: 1, Bytes: 10}
		s.send(1, first)
		s.peer.set(forgets)
		second, third := s.batch(2, 100), s.batch(2, 100)
		second.Dropped = forward.Dropped{Units: 2, Bytes: 20}
		third.Dropped = forward.Dropped{Units: 3, Bytes: 30}
		s.send(1, second, third)
		s.rest(10 * time.Second)
		s.restart()
		s.rest(10 * time.Second)
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		s.checkReceived(s.made)
		want := map[string]uint64{s.made[0].octets: 1, s.made[2].octets: 2, s.made[4].octets: 3}
		got := s.peer.received()
		if len(got) < 10 {
			t.Errorf("only %d containers were sent", len(got))
		}
		for _, c := range got {
			if n := want[c.octets]; c.dropped != (forward.Dropped{Units: n, Bytes: 10 * n}) {
				t.Errorf("%+v, want %d", c.dropped, n)
			}
		}
	})
}

func TestTheOldestAreDroppedAtTheSizeLimit(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.config.MaxBytes = MinBytes
		s.peer.set(fails)
		s.open()
		for range 60 {
			if _, err := s.send(1, s.batch(3, 10_000)); err != nil {
				t.Fatal(err)
			}
			if n := len(s.onDisk()); n > MinBytes {
				t.Fatalf("%d bytes", n)
			}
		}
		lost := s.ledger.lost[forward.SpoolFull]
		if n := len(s.onDisk()); lost == 0 || n < MinBytes*3/4 {
			t.Errorf("%d records lost, %d bytes", lost, n)
		}
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		s.checkReceived(s.made[lost:])
		got := s.peer.received()
		var bytes uint64
		for _, c := range s.made[:lost] {
			bytes += uint64(len(c.octets))
		}
		if got[0].dropped != (forward.Dropped{Units: lost, Bytes: bytes}) || got[1].dropped != (forward.Dropped{}) {
			t.Errorf("%+v, want %d", got[0].dropped, lost)
		}
		if s.ledger.delivered+lost != 180 {
			t.Errorf("%+v", s.ledger)
		}
	})
}

func TestOldContainersExpire(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.config.MaxAge = 8 * time.Minute
		s.peer.set(fails)
		s.open()
		for range 24 {
			s.send(1, s.batch(1, 100))
			s.rest(time.Minute)
		}
		if lost := s.ledger.lost[forward.SpoolExpired]; lost < 14 || lost > 16 {
			t.Errorf("%d records have expired", lost)
		}
		s.rest(24 * time.Minute)
		if lost := s.ledger.lost[forward.SpoolExpired]; lost != 24 || s.Spool().Bytes != 0 {
			t.Errorf("%d records have expired", lost)
		}
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		s.send(1, s.batch(2, 100))
		got := s.peer.received()
		if len(got) != 2 || got[0].dropped.Units != 24 || got[1].dropped.Units != 0 {
			t.Errorf("%+v", got)
		}
		s.restart()
		s.send(1, s.batch(1, 100))
		if got := s.peer.received(); got[2].dropped.Units != 0 {
			t.Errorf("what was given up is reported twice: %+v", got[2].dropped)
		}
	})
}

func TestASecondProcessCannotUseTheFolder(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.open()
		other := newSink(t, s.dir, newPeer())
		c := forwardtest.Sink("sie", forward.Target{}, other.config)
		made, err := other.config.New(&c, other.env())
		if err != nil {
			t.Fatal(err)
		}
		if err := made.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "another process uses it") {
			t.Errorf("Open: %v", err)
		}
		if err := made.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFilesBelongToTheUserOnly(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.dir = filepath.Join(s.dir, "new")
		s.config.Dir = s.dir
		s.peer.set(fails)
		s.open()
		s.send(1, s.batch(1, 100))
		s.rest(time.Minute)
		filepath.Walk(s.dir, func(path string, info os.FileInfo, err error) error {
			if err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
			return nil
		})
		if len(s.files()) != 2 {
			t.Errorf("%v", s.files())
		}
	})
}

func TestReplayHasNoSpool(t *testing.T) {
	s := newSink(t, "relative", newPeer())
	c := forwardtest.Sink("sie", forward.Target{}, s.config)
	made, err := s.config.New(&c, forward.Env{Mode: forward.Replay})
	if err != nil || made != forward.Transport(s.link) {
		t.Errorf("%v, %v", made, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config, *forward.SinkConfig){
		"relative": func(c *Config, _ *forward.SinkConfig) { c.Dir = "spool" },
		"small":    func(c *Config, _ *forward.SinkConfig) { c.MaxBytes = MinBytes - 1 },
		"format":   func(_ *Config, s *forward.SinkConfig) { s.Format = nil },
	} {
		s := newSink(t, t.TempDir(), newPeer())
		c := forwardtest.Sink("sie", forward.Target{}, s.config)
		change(&s.config, &c)
		if _, err := s.config.New(&c, s.env()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLargeLoadsAreReadInParts(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.set(fails)
		s.open()
		for range 200 {
			s.send(1, s.batch(5, 10_000))
		}
		if n := len(s.onDisk()); n < 2*loadSize {
			t.Fatalf("only %d bytes", n)
		}
		s.peer.set(acknowledges)
		s.rest(time.Minute)
		s.checkReceived(s.made)
		if n := 0; true {
			for _, b := range s.load.free {
				n += cap(b.Buf)
			}
			if n > loadSize+loadSize/2 {
				t.Errorf("a load has %d bytes", n)
			}
		}
	})
}

func TestEscapedNamesDiffer(t *testing.T) {
	names := []string{"a", "A", "a b", "a%20b", "..", ".a", "a.b", "a,b", "a/b", "ä", ""}
	seen := map[string]string{}
	for _, n := range names {
		e := escape(n)
		if was, twice := seen[e]; twice || strings.ContainsAny(e, "/,") || strings.HasPrefix(e, ".") {
			t.Errorf("%q is %q, as %q", n, e, was)
		}
		seen[e] = n
	}
}

func TestOrphansAreFound(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.set(fails)
		s.open()
		s.send(1, s.batch(3, 100))
		s.close()
		mine := forwardtest.Sink("sie", forward.Target{}, s.config)
		other := forwardtest.Sink("other", forward.Target{}, s.config)
		for name, tt := range map[string]struct {
			sinks, before []forward.SinkConfig
			found         bool
		}{
			"its sink is configured":                 {[]forward.SinkConfig{mine, other}, []forward.SinkConfig{mine}, false},
			"its sink is not configured":             {[]forward.SinkConfig{other}, nil, true},
			"a reload removes its sink, another not": {[]forward.SinkConfig{other}, []forward.SinkConfig{mine, other}, true},
			"a reload removes every spool":           {nil, []forward.SinkConfig{mine, other}, true},
			"no spool is known":                      {nil, nil, false},
		} {
			all, err := Orphans(tt.sinks, tt.before)
			if err != nil || (len(all) == 1) != tt.found || len(all) > 1 {
				t.Errorf("%s: %v, %v", name, all, err)
			}
			if tt.found && (all[0].Records != 3 || all[0].Dir != s.transport.dir || filepath.Base(all[0].Dir) != "sie,dnsqr") {
				t.Errorf("%s: %+v", name, all[0])
			}
		}
	})
}

func TestTheIndexIsReadable(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.peer.set(fails)
		s.open()
		s.send(1, s.batch(3, 100))
		s.close()
		b, err := os.ReadFile(filepath.Join(s.transport.dir, indexName))
		if err != nil || !bytes.HasPrefix(b, []byte("dnstap-pdns spool 1 crc32c ")) || !bytes.Contains(b, []byte(`"Records": 3`)) {
			t.Errorf("%v:\n%s", err, b)
		}
	})
}
