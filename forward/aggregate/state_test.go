package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A sensor is a Forwarder with an aggregate sink and a sink that it feeds, and a lane.
type sensor struct {
	*forward.Forwarder
	out  *output
	log  forwardtest.Log
	lane *forward.Lane
	end  func() error
}

func newSensor(t *testing.T, c Config) *sensor {
	t.Helper()
	s := &sensor{out: new(output)}
	s.Forwarder = forwardtest.New(t, forward.Live, &s.log, sinks(c, fed("out", s.out))...)
	s.end, s.lane = start(s.Forwarder), s.Lane("source")
	return s
}

// see makes the sensor see an RRset, and count it.
func (s *sensor) see(t *testing.T, name string) {
	t.Helper()
	take(t, s.lane, reply{name: name, zone: "example.", addresses: []byte{1}, at: time.Now()})
	time.Sleep(time.Second)
}

func (s *sensor) stop(t *testing.T) {
	t.Helper()
	s.lane.Close()
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// counts returns how often each name was seen, according to what was delivered.
func (s *sensor) counts(t *testing.T) map[string]uint32 {
	t.Helper()
	counts := map[string]uint32{}
	for _, a := range s.out.aggregates(t) {
		counts[text(a.Name)] += a.Count
	}
	return counts
}

func withState(t *testing.T) Config {
	t.Helper()
	c := testConfig()
	c.State = filepath.Join(t.TempDir(), "state")
	return c
}

func TestWindowsContinueAfterARestart(t *testing.T) {
	c := withState(t)
	synctest.Test(t, func(t *testing.T) {
		first := newSensor(t, c)
		first.see(t, "www.example.")
		time.Sleep(5 * time.Minute)
		first.stop(t)
		if got := first.counts(t); len(got) > 0 {
			t.Errorf("emitted at the stop: %v", got)
		}
		second := newSensor(t, c)
		second.see(t, "www.example.")
		time.Sleep(4 * time.Minute)
		if got := second.counts(t); len(got) > 0 {
			t.Errorf("emitted before the end of the window: %v", got)
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff(map[string]uint32{"www.example.": 2}, second.counts(t)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		second.stop(t)
	})
	for _, name := range []string{c.State, c.State + delegationsSuffix, c.State + lockSuffix} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v (%v)", name, info, err)
		}
	}
	if left, _ := filepath.Glob(c.State + "*" + newSuffix); len(left) > 0 {
		t.Errorf("incomplete files are left: %q", left)
	}
}

// TestAKilledSensorContinuesWithItsLatestSave: what was emitted since then is emitted again, what was
// counted since then is lost.
func TestAKilledSensorContinuesWithItsLatestSave(t *testing.T) {
	c := withState(t)
	c.Window = 90 * time.Second
	killed := c
	killed.State = filepath.Join(t.TempDir(), "copy")
	synctest.Test(t, func(t *testing.T) {
		first := newSensor(t, c)
		first.see(t, "early.example.")
		time.Sleep(saveInterval + 10*time.Second) // saved, and not emitted yet
		first.see(t, "late.example.")
		time.Sleep(30 * time.Second) // early.example is emitted
		if diff := cmp.Diff(map[string]uint32{"early.example.": 1}, first.counts(t)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if l := ledgerOf(t, first.Forwarder, "aggregate").RRsets; time.Since(l.Saved) > saveInterval {
			t.Errorf("the latest save: %v", l.Saved)
		}
		saved, err := os.ReadFile(c.State)
		if err == nil {
			err = os.WriteFile(killed.State, saved, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		second := newSensor(t, killed)
		time.Sleep(3 * time.Minute)
		if diff := cmp.Diff(map[string]uint32{"early.example.": 1}, second.counts(t)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		second.stop(t)
		first.stop(t)
	})
}

func TestAStateThatCannotBeUsedIsSetAside(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":   func([]byte) []byte { return nil },
		"cut":     func(b []byte) []byte { return b[:len(b)-1] },
		"changed": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"another version": func(b []byte) []byte {
			b = bytes.Replace(b, []byte("version 1"), []byte("version 9"), 1)
			return bytes.Replace(b, []byte("dpdns-deleg\n\x00\x01"), []byte("dpdns-deleg\n\x00\x09"), 1)
		},
	} {
		for _, suffix := range []string{"", delegationsSuffix} {
			t.Run(name+suffix, func(t *testing.T) {
				c := withState(t)
				synctest.Test(t, func(t *testing.T) {
					first := newSensor(t, c)
					first.see(t, "old.example.")
					first.stop(t)
					saved, err := os.ReadFile(c.State + suffix)
					if err != nil {
						t.Fatal(err)
					}
					damaged := damage(bytes.Clone(saved))
					if bytes.Equal(saved, damaged) {
						t.Fatal("the file has not changed")
					}
					if err := os.WriteFile(c.State+suffix, damaged, 0o600); err != nil {
						t.Fatal(err)
					}
					second := newSensor(t, c)
					second.see(t, "new.example.")
					time.Sleep(11 * time.Minute)
					want := map[string]uint32{"new.example.": 1}
					if suffix != "" {
						want["old.example."] = 1
					}
					if diff := cmp.Diff(want, second.counts(t)); diff != "" {
						t.Errorf("-want +got:\n%s", diff)
					}
					if aside, err := os.ReadFile(c.State + suffix + asideSuffix); err != nil || !bytes.Equal(aside, damaged) {
						t.Errorf("the file that was set aside: %q (%v)", aside, err)
					}
					if log := second.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "set aside") {
						t.Errorf("log: %s", log)
					}
					second.stop(t)
				})
			})
		}
	}
}

func TestTwoAggregatesDoNotShareAState(t *testing.T) {
	c := withState(t)
	synctest.Test(t, func(t *testing.T) {
		first := newSensor(t, c)
		first.see(t, "www.example.")
		second := newSensor(t, c)
		time.Sleep(time.Second)
		if l := ledgerOf(t, second.Forwarder, "aggregate"); !strings.Contains(l.Error, "another aggregate uses it") {
			t.Errorf("the second: %+v", l)
		}
		first.stop(t)
		second.see(t, "www.example.")
		time.Sleep(11 * time.Minute)
		if diff := cmp.Diff(map[string]uint32{"www.example.": 2}, second.counts(t)); diff != "" {
			t.Errorf("after the first has stopped (-want +got):\n%s", diff)
		}
		second.stop(t)
	})
}

func TestAFailedSaveIsCountedAndRetried(t *testing.T) {
	c := withState(t)
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, c)
		s.see(t, "www.example.")
		if err := os.Mkdir(c.State+newSuffix, 0o700); err != nil { // no file can be created there
			t.Fatal(err)
		}
		time.Sleep(2*saveInterval + time.Second)
		if r := ledgerOf(t, s.Forwarder, "aggregate").RRsets; r.SaveFailures != 2 || !r.Saved.IsZero() {
			t.Errorf("after two failures: %+v", r)
		}
		if log := s.log.String(); strings.Count(log, "cannot be saved") != 1 {
			t.Errorf("log: %s", log)
		}
		if err := os.Remove(c.State + newSuffix); err != nil {
			t.Fatal(err)
		}
		time.Sleep(saveInterval)
		if r := ledgerOf(t, s.Forwarder, "aggregate").RRsets; r.SaveFailures != 2 || r.Saved.IsZero() {
			t.Errorf("afterwards: %+v", r)
		}
		if log := s.log.String(); !strings.Contains(log, "saved again") {
			t.Errorf("log: %s", log)
		}
		if err := os.Mkdir(c.State+newSuffix, 0o700); err != nil {
			t.Fatal(err)
		}
		s.lane.Close()
		if err := s.end(); err == nil || !strings.Contains(err.Error(), "saving the state of the window") {
			t.Errorf("at the stop: %v", err)
		}
	})
}

// newTransport returns a transport that is open, whose RRsets are collected.
func newTransport(t testing.TB, c Config, mode forward.Mode, emitted *[]string) *transport {
	t.Helper()
	made, err := c.New(&forward.SinkConfig{Format: Format{}}, forward.Env{
		Mode: mode, Log: slog.New(slog.DiscardHandler),
		Emit: func(_ context.Context, a *rrset.Aggregate, _ transform.Time) transform.Reason {
			*emitted = append(*emitted, text(a.Name))
			return transform.Kept
		},
	})
	if err == nil {
		err = made.Open(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return made.(*transport)
}

// TestASaveDoesNotWaitForTheDisk uses a file that cannot be opened for writing until it is read.
func TestASaveDoesNotWaitForTheDisk(t *testing.T) {
	c := withState(t)
	var emitted []string
	tr := newTransport(t, c, forward.Live, &emitted)
	if err := unix.Mkfifo(c.State+newSuffix, 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(saveInterval)
	for range 3 {
		if tr.state.advance(later, tr.snapshot); tr.state.write == nil {
			t.Fatal("the save has ended")
		}
	}
	f, err := os.Open(c.State + newSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the save ends", func() bool {
		tr.state.advance(later, tr.snapshot)
		return tr.state.write == nil
	})
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsASaveInProgress(t *testing.T) {
	const names = 30_000 // several parts
	c := withState(t)
	c.MaxEntries = names
	var emitted []string
	tr := newTransport(t, c, forward.Live, &emitted)
	for i := range names {
		tr.handle(t, record(t, fmt.Sprintf("n%d.example.", i)))
	}
	if tr.state.advance(time.Now().Add(saveInterval), tr.snapshot); tr.state.write == nil || !tr.state.write.more {
		t.Fatal("the save is complete")
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.State + newSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an incomplete file is left: %v", err)
	}
	after := newTransport(t, c, forward.Live, &emitted)
	if n := after.RRsets().Entries; n != names || len(emitted) > 0 {
		t.Errorf("%d RRsets are in the window, and %d were emitted", n, len(emitted))
	}
	if err := after.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

const rootZone = `. 86400 IN SOA a.root-servers.net. nstld.verisign-grs.com. 2026112900 1800 900 604800 86400
example. 172800 IN NS ns.example.
ns.example. 172800 IN A 198.51.100.53
`

// handle makes a transport handle a record.
func (t *transport) handle(tb testing.TB, r *transform.Record) {
	tb.Helper()
	unit, err := Format{}.Append(nil, r, nmsg.IDs{})
	if err != nil {
		tb.Fatal(err)
	}
	b := &forward.Batch{Buf: unit, Units: []forward.Unit{{End: len(unit), Records: 1}}}
	if sent, err := t.Send(context.Background(), []*forward.Batch{b}, 0); err != nil || sent.Delivered != 1 || sent.Units != 1 {
		tb.Fatalf("%+v, %v", sent, err)
	}
}

// packet returns the record of a paired response from a server, whose zone is not stated.
func packet(t *testing.T, server, name string, records ...string) *transform.Record {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.Response, m.RecursionDesired = true, false
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	now := transform.Time(noon.UnixNano())
	return &transform.Record{
		Server: netip.AddrPortFrom(netip.MustParseAddr(server), 53), HasQuery: true, HasResponse: true,
		QueryTime: now, ResponseTime: now, Response: wire,
	}
}

// TestDelegationsComeFromTheRootZoneFileAndSurviveARestart: the root zone file makes responses of
// example verifiable, and these its subzone.
func TestDelegationsComeFromTheRootZoneFileAndSurviveARestart(t *testing.T) {
	c := withState(t)
	c.RootZone = filepath.Join(t.TempDir(), "root.zone")
	if err := os.WriteFile(c.RootZone, []byte(rootZone), 0o600); err != nil {
		t.Fatal(err)
	}
	var emitted []string
	first := newTransport(t, c, forward.Live, &emitted)
	first.handle(t, packet(t, "198.51.100.53", "sub.example.", "sub.example. 86400 IN NS ns.sub.example.", "ns.sub.example. 86400 IN A 198.51.100.54"))
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.RootZone, c.Insertions = "", true
	second := newTransport(t, c, forward.Live, &emitted)
	second.handle(t, packet(t, "198.51.100.54", "www.sub.example.", "www.sub.example. 60 IN A 192.0.2.1"))
	if diff := cmp.Diff([]string{"www.sub.example."}, emitted); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
