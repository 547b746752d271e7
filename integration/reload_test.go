package integration

import (
	"net"
	"slices"
	"strings"
	"testing"

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

// TestCorrectedSinkDeliversItsQueue mistypes a sink's directory and corrects it, as the
// warning advises: the queued records are written, and no count decreases.
func TestCorrectedSinkDeliversItsQueue(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	good := unixSource + exactTimes + fileSink("first", "dnsqr") + "admin {}\n"
	typo := strings.Replace(good, "DIR/first/", "DIR/frist/", 1)
	s := startSensor(t, w.Namespace, good)
	nc, err := net.Dial("unix", s.tapPath())
	if err != nil {
		t.Fatal(err)
	}
	f := feed(t, nc, captured(t, "testdata/unbound.fstrm"))
	delivered := func(atLeast uint64) func() bool {
		return func() bool { return s.readLedger(t).sink("first").Delivered >= atLeast }
	}
	await(t, "records in the file", delivered(1))
	s.reload(t, typo, "reloaded")
	await(t, "queued records", func() bool { return s.readLedger(t).sink("first").Queued > 100 })
	before := s.readLedger(t).sink("first")
	s.reload(t, good, "reloaded")
	await(t, "the queued records in the file", delivered(before.Offered))
	s.checkMetrics(t)
	if err := f.stop(); err != nil {
		t.Error(err)
	}
	closing := s.stop(t)
	got := closing.sinks["first"]
	written := readOutputs(t, s.octets(t, "first"), 3)
	if n := uint64(len(written.records)); got.Delivered != closing.Records || n != closing.Records || got.Offered != closing.Records {
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
	s := startSensor(t, w.Namespace, one+fileSink("other", "dnsqr"))
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
