package integration

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
)

// TestReloadAddsAndRemovesSinkWhileRecordsFlow checks that the permanent sink has each record
// once, that the other sink has each record of its time once, and that an invalid
// configuration changes nothing.
func TestReloadAddsAndRemovesSinkWhileRecordsFlow(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	one := unixSource + exactTimes + fileSink("first", "dnsqr")
	two := one + fileSink("second", "dnsqr")
	s := startSensor(t, w.Namespace, one)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})

	f := startFlow(t, w, unbound, flowPause)
	f.await(t, 50)
	s.reload(t, two, "reloaded")
	from := f.await(t, 1)
	s.reload(t, two+"sink \"nmsg\" \"third\" {\n  to = \"udp://nowhere\"\n}\n", "reload failed; the configuration in force stays")
	to := f.await(t, 100)
	f.during(t, lab.SendDelay)
	s.reload(t, one, "reloaded")
	f.await(t, 50)
	f.during(t, lab.SendDelay)
	late := f.await(t, 50)
	f.stop(t)
	unbound.Stop(t)
	closing := s.stop(t)

	first, second := s.written(t, "first"), s.written(t, "second")
	checkZones(t, w.Zones, first)
	checkZones(t, w.Zones, second)
	f.check(t, everyName, first)
	f.check(t, func(i int64) bool { return i >= from && i < to }, second)
	if slices.ContainsFunc(second.records, func(r nmsgcheck.Record) bool { return r.Name == flowName(late-1) }) {
		t.Errorf("the removed sink has a record from after its removal")
	}
	if got := closing.sinks["first"].Delivered; got != uint64(len(first.records)) || got != closing.Records {
		t.Errorf("%d records in the file, %d delivered, %d made", len(first.records), got, closing.Records)
	}
}

// TestReloadAddsAndRemovesSource adds and removes a second source. Its messages stay in the
// ledger, and the connection of the first source is kept.
func TestReloadAddsAndRemovesSource(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	one := unixSource + exactTimes + fileSink("first", "dnsqr")
	two := one + "source \"dnstap\" \"other\" {\n  listen = \"unix://DIR/other.sock\"\n}\n"
	s := startSensor(t, w.Namespace, one)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})

	f := startFlow(t, w, unbound, flowPause)
	s.reload(t, two, "reloaded")
	replayInto(t, w.Namespace, lab.UnixTap(s.dir+"/other.sock"), "testdata/unbound.fstrm")
	s.awaitLog(t, disconnected, 1)
	s.reload(t, one, "reloaded")
	f.await(t, 50)
	f.stop(t)
	unbound.Stop(t)
	closing := s.stop(t)

	frames := uint64(len(captured(t, "testdata/unbound.fstrm")))
	if got := closing.Read - closing.sources["tap"].Read; got != frames {
		t.Errorf("the removed source read %d messages of %d", got, frames)
	}
	f.check(t, everyName, s.written(t, "first"))
	if n := len(s.logged(t, connected)); n != 2 {
		t.Errorf("%d connections in all, want Unbound's and the replayed one", n)
	}
}

// TestCorrectedSinkDeliversItsQueue gives a sink a full file system and then another, as the
// warning advises: the queued records are written, and no count decreases. A folder that does
// not exist is refused.
func TestCorrectedSinkDeliversItsQueue(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	good := unixSource + exactTimes + fileSink("first", "dnsqr") + "admin {}\n"
	full := strings.Replace(good, "DIR/first/", "DIR/second/", 1)
	s := startSensor(t, w.Namespace, good)
	nc := dialTap(t, s)
	f := feed(t, nc, captured(t, "testdata/unbound.fstrm"))
	written := func(atLeast uint64) func() bool {
		return func() bool {
			first := s.readLedger(t).sink("first")
			return first.Delivered+first.Written >= atLeast
		}
	}
	await(t, "records in the file", written(1))
	s.reload(t, strings.Replace(good, "DIR/first/", "DIR/frist/", 1), "reload failed; the configuration in force stays")
	if failed := s.logged(t, "reload failed; the configuration in force stays")[0]; !strings.Contains(failed, "/frist: no such file or directory") {
		t.Errorf("the log does not give the reason: %s", failed)
	}
	if err := unix.Mount("none", s.dir+"/second", "tmpfs", 0, "nr_inodes=1"); err != nil { // no room for a file
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(s.dir+"/second", 0) })
	s.reload(t, full, "reloaded")
	await(t, "queued records", func() bool { return s.readLedger(t).sink("first").Queued > 100 })
	before := s.readLedger(t).sink("first")
	s.reload(t, good, "reloaded")
	await(t, "the queued records in the file", written(before.Offered))
	s.checkMetrics(t)
	if err := f.stop(); err != nil {
		t.Error(err)
	}
	closing := s.stop(t)
	got := closing.sinks["first"]
	out := readOutputs(t, s.octets(t, "first"), 3)
	if n := uint64(len(out.records)); got.Delivered != closing.Records || n != closing.Records || got.Offered != closing.Records {
		t.Errorf("%d records in the files of %d; the ledger has %+v", n, closing.Records, got)
	}
	if n := len(s.logged(t, "sink changed")); n != 2 {
		t.Errorf("%d changes of sinks are logged, want 2", n)
	}
}

// TestRemovedSinkStaysInTheLedger checks that the losses of a removed, failing sink are still
// counted.
func TestRemovedSinkStaysInTheLedger(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	one := unixSource + exactTimes + fileSink("first", "dnsqr") + "admin {}\n"
	s := newSensor(t, w.Namespace)
	if err := os.Mkdir(s.dir+"/other", 0o755); err != nil {
		t.Fatal(err)
	}
	s.run(t, one+fileSink("other", "dnsqr"))
	if err := os.Remove(s.dir + "/other"); err != nil { // the start needed it
		t.Fatal(err)
	}
	replayInto(t, w.Namespace, lab.UnixTap(s.tapPath()), "testdata/unbound.fstrm")
	s.awaitLog(t, disconnected, 1)
	s.reload(t, one, "reloaded")
	s.awaitLog(t, "sink removed", 1)
	if line := s.logged(t, "sink removed")[0]; !strings.Contains(line, `"level":"WARN"`) {
		t.Errorf("not a warning: %s", line)
	}
	shown := s.readLedger(t).sink("other")
	s.checkMetrics(t)
	closing := s.stop(t)
	if got := closing.sinks["other"]; got.Lost["failed"] != closing.Records || closing.Records == 0 || shown.Lost["failed"] != closing.Records {
		t.Errorf("of %d records: %+v; /ledger had %+v", closing.Records, got, shown)
	}
}
