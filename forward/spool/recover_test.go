package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// spooled fills a spool of several segments, with peers that get nothing, and closes it.
func (s *sink) spooled(batches int) {
	s.t.Helper()
	s.peer.set(fails)
	s.open()
	for range batches {
		s.send(1, s.batch(3, 350))
	}
	s.close()
}

// twelve limits the spool so that a segment contains twelve containers of spooled.
func (s *sink) twelve() {
	s.t.Helper()
	size := len(s.batch(1, 350).Buf)
	s.made, s.first = nil, 0
	s.maxBytes = int64(segmentsPerLimit * (12*size + size/2))
}

// alter changes a file of the spool.
func (s *sink) alter(name string, change func([]byte) []byte) {
	s.t.Helper()
	path := filepath.Join(s.transport.dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), filePerm); err != nil {
		s.t.Fatal(err)
	}
}

// segments returns the names of the segments.
func (s *sink) segments() []string {
	return slices.DeleteFunc(s.files(), func(name string) bool { _, ok := segmentNumber(name); return !ok })
}

// drain starts the sink with a peer that works, until all is sent.
func (s *sink) drain() {
	s.t.Helper()
	s.peer.set(acknowledges)
	s.restart()
	s.rest(time.Minute)
	if s.ledger.spooled != 0 {
		s.t.Errorf("records are left: %+v", s.ledger)
	}
	s.ledger.check()
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 0x20
		return b
	}
}

// TestDamagedSegmentsAreSetAside does not alter the sequence numbers of containers: NMSG has
// checksums of payloads only.
func TestDamagedSegmentsAreSetAside(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"payload":   func(b []byte) []byte { return flip(len(b)/2 + 250)(b) },
		"header":    flip(0),
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"empty":     func([]byte) []byte { return nil },
		"zeros":     func(b []byte) []byte { clear(b[len(b)/2+250:]); return b },
	} {
		for at := range 3 {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T, s *sink) {
					s.twelve()
					s.spooled(12)
					segments := s.segments()
					if len(segments) != 3 {
						t.Fatalf("%d segments", len(segments))
					}
					s.alter(segments[at], change)
					s.drain()
					lost := s.ledger.lost[forward.SpoolDamaged]
					if lost == 0 || s.ledger.delivered+lost != 36 || s.ledger.resumed != 36 || s.Spool().Damaged != 1 {
						t.Errorf("%+v, %+v", s.ledger, s.Spool())
					}
					if !slices.Contains(s.files(), segments[at]+damagedSuffix) {
						t.Errorf("files: %v", s.files())
					}
					got := s.peer.received()
					total := uint64(len(got))
					for _, c := range got {
						total += c.dropped.Units
					}
					if at < 2 && total != 36 {
						t.Errorf("%d containers were sent or reported as dropped", total)
					}
					s.checkSubsequence(s.made)
				})
			})
		}
	}
}

// checkSubsequence checks that the peer received containers of want, in order.
func (s *sink) checkSubsequence(want []container) {
	s.t.Helper()
	at := 0
	for i, c := range s.peer.received() {
		n := slices.IndexFunc(want[at:], func(w container) bool { return w.octets == c.octets })
		if n < 0 {
			s.t.Errorf("container %d is unknown or at the wrong place", i)
			return
		}
		at += n + 1
	}
}

func TestADamagedIndexIsMadeAgain(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"header":    flip(2),
		"checksum":  flip(30),
		"body":      flip(-10),
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"empty":     func([]byte) []byte { return nil },
		"long":      func(b []byte) []byte { return append(b, 'x') },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *sink) {
				s.twelve()
				s.config.MaxAge = time.Hour
				s.spooled(12)
				s.alter(indexName, change)
				s.drain()
				if s.ledger.delivered != 36 || s.ledger.resumed != 36 || s.Spool().Damaged != 1 {
					t.Errorf("%+v, %+v", s.ledger, s.Spool())
				}
				s.checkReceived(s.made)
				if got := s.files(); len(got) != 2 || !strings.HasSuffix(got[1], damagedSuffix) {
					t.Errorf("files: %v", got)
				}
			})
		})
	}
}

func TestAMissingIndexIsMadeAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.spooled(3)
		if err := os.Remove(filepath.Join(s.transport.dir, indexName)); err != nil {
			t.Fatal(err)
		}
		s.drain()
		s.checkReceived(s.made)
	})
}

func TestAnUnknownVersionIsSetAside(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.spooled(3)
		s.alter(indexName, func(b []byte) []byte { return bytes.Replace(b, []byte("spool 1 "), []byte("spool 2 "), 1) })
		s.drain()
		if s.ledger.resumed != 0 || s.Spool().Damaged != 2 || len(s.peer.received()) != 0 {
			t.Errorf("%+v, %+v", s.ledger, s.Spool())
		}
		if r, err := s.send(1, s.batch(1, 1)); err != nil || r.Delivered != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		for _, name := range s.files() {
			if !strings.HasSuffix(name, damagedSuffix) {
				t.Errorf("%s is left", name)
			}
		}
	})
}

func TestAPartOfAContainerIsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T, s *sink) {
		s.spooled(3)
		s.alter(s.segments()[0], func(b []byte) []byte { return append(b, s.made[0].octets[:50]...) })
		s.drain()
		if s.Spool().Damaged != 0 || len(s.peer.received()) != 9 {
			t.Errorf("%+v", s.Spool())
		}
		s.checkReceived(s.made)
	})
}

func TestAgesContinueAfterARestart(t *testing.T) {
	for name, test := range map[string]struct {
		boot    string        // after the restart
		off     time.Duration // time without the sensor, as the wall clock has it
		expires bool
	}{
		"short stop":           {"test", 10 * time.Minute, false},
		"long stop":            {"test", 50 * time.Minute, true},
		"short reboot":         {"other", 10 * time.Minute, false},
		"long reboot":          {"other", 50 * time.Minute, true},
		"reboot, clock is 0":   {"other", -50 * 365 * 24 * time.Hour, false},
		"unknown boot, short":  {"", 10 * time.Minute, false},
		"stop, clock was set":  {"test", 10 * time.Minute, false},
		"unknown boot, longer": {"", 50 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *sink) {
				s.config.MaxAge = time.Hour
				s.spooled(3)
				s.open()
				s.rest(20 * time.Minute)
				s.close()
				if test.off > 0 {
					time.Sleep(test.off)
				}
				d := clock{test.boot, bubbleClock().now}
				if test.boot != "test" {
					start := time.Now()
					d.now = func() time.Duration { return time.Since(start) + time.Minute }
				}
				if test.off < 0 {
					s.alter(indexName, func(b []byte) []byte {
						x, err := decodeIndex(b)
						if err != nil {
							t.Fatal(err)
						}
						x.Written.Wall = x.Written.Wall.Add(-test.off)
						b, err = x.encode()
						if err != nil {
							t.Fatal(err)
						}
						return b
					})
				}
				s.clock = d
				s.ledger = &ledger{t: t}
				s.open()
				s.Idle(t.Context())
				if expired := s.ledger.lost[forward.SpoolExpired] > 0; expired != test.expires {
					t.Errorf("expired: %v, want %v", expired, test.expires)
				}
			})
		})
	}
}

func FuzzIndex(f *testing.F) {
	x := index{
		Next: 4, Segments: []segment{{Number: 1, volume: volume{100, 2, 3}}, {Number: 3, volume: volume{10, 1, 1}}},
		Acked: volume{50, 1, 2}, Marks: []mark{{1, 50, forward.Dropped{Units: 1, Bytes: 2}}},
	}
	b, err := x.encode()
	if err != nil {
		f.Fatal(err)
	}
	_, body, _ := bytes.Cut(b, []byte("\n"))
	f.Add(body, true)
	f.Add(b, false)
	f.Add([]byte(`{"Next":2,"Segments":[{"Number":1,"Bytes":9223372036854775807,"Records":18446744073709551615}]}`), true)
	f.Fuzz(func(t *testing.T, b []byte, body bool) {
		if body {
			b = withHeader(b)
		}
		x, err := decodeIndex(b)
		if err != nil {
			return
		}
		if v := x.total(); v.Bytes < 0 || v.Records > uint64(v.Bytes) && len(x.Segments) == 1 {
			t.Errorf("total %+v", v)
		}
		again, err := x.encode()
		if err != nil {
			t.Fatal(err)
		}
		y, err := decodeIndex(again)
		if err != nil {
			t.Fatalf("%v:\n%s", err, again)
		}
		if got, _ := y.encode(); !bytes.Equal(got, again) {
			t.Errorf("%s\nbecomes\n%s", again, got)
		}
	})
}
