package integration

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
)

// A sink comes and goes while records flow: the one that stays has each once, the
// other has each of its time once, and a configuration that does not hold changes
// nothing.
func TestReloadAddsAndRemovesSinkWhileRecordsFlow(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	one := unixSource + exactly + fileSink("first", "dnsqr")
	two := one + fileSink("second", "dnsqr")
	s := startSensor(t, w.Namespace, one)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})

	f := startFlow(t, w, unbound, flowPause)
	f.await(t, 50)
	s.reload(t, two, "reloaded")
	from := f.await(t, 1)
	s.reload(t, two+"sink \"nmsg\" \"third\" {\n  to = \"udp://nowhere\"\n}\n", "reload failed; the configuration in force stays")
	to := f.await(t, 100)
	f.during(t, lab.HoldsBack)
	s.reload(t, one, "reloaded")
	f.await(t, 50)
	f.during(t, lab.HoldsBack)
	late := f.await(t, 50)
	f.stop(t)
	unbound.Stop(t)
	books := s.stop(t)

	first, second := s.written(t, "first"), s.written(t, "second")
	checkZones(t, w.Zones, first)
	checkZones(t, w.Zones, second)
	f.check(t, everyName, first)
	f.check(t, func(i int64) bool { return i >= from && i < to }, second)
	if slices.ContainsFunc(second.records, func(r nmsgcheck.Record) bool { return r.Name == flowName(late-1) }) {
		t.Errorf("the sink that went has a record from after that")
	}
	if got := books.sinks["first"].Delivered; got != uint64(len(first.records)) || got != books.Records {
		t.Errorf("%d records in the file, %d delivered, %d made", len(first.records), got, books.Records)
	}
}

// A source comes and goes beside another; what it read stays in the books, and
// the other's connection lives on.
func TestReloadAddsAndRemovesSource(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	one := unixSource + exactly + fileSink("first", "dnsqr")
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
	books := s.stop(t)

	frames := uint64(len(captured(t, "testdata/unbound.fstrm")))
	if got := books.Read - books.sources["tap"].Read; got != frames {
		t.Errorf("the source that came and went read %d messages of %d", got, frames)
	}
	f.check(t, everyName, s.written(t, "first"))
	if n := len(s.logged(t, connected)); n != 2 {
		t.Errorf("%d connections in all, want Unbound's and the replayed one", n)
	}
}

// A sink's directory is mistyped and mended, as the warning says: what waited is in
// the files, and nothing that the account showed is taken back.
func TestMendedSinkDeliversWhatWaited(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	good := unixSource + exactly + fileSink("first", "dnsqr") + "admin {}\n"
	typo := strings.Replace(good, "DIR/first/", "DIR/frist/", 1)
	s := startSensor(t, w.Namespace, good)
	nc, err := net.Dial("unix", s.tapPath())
	if err != nil {
		t.Fatal(err)
	}
	f := feed(t, nc, captured(t, "testdata/unbound.fstrm"))
	delivered := func(atLeast uint64) func() bool {
		return func() bool { return s.shown(t).sink("first").Delivered >= atLeast }
	}
	await(t, "records in the file", delivered(1))
	s.reload(t, typo, "reloaded")
	await(t, "records that wait", func() bool { return s.shown(t).sink("first").Queued > 100 })
	before := s.shown(t).sink("first")
	s.reload(t, good, "reloaded")
	await(t, "what waited in the file", delivered(before.Offered))
	s.checkMetrics(t)
	if err := f.stop(); err != nil {
		t.Error(err)
	}
	books := s.stop(t)
	got := books.sinks["first"]
	written := readOutputs(t, s.octets(t, "first"), 3)
	if n := uint64(len(written.records)); got.Delivered != books.Records || n != books.Records || got.Offered != books.Records {
		t.Errorf("%d records in the files of %d; the ledger has %+v", n, books.Records, got)
	}
	if n := len(s.logged(t, "sink changed")); n != 2 {
		t.Errorf("%d sinks are said to have been changed, want 2", n)
	}
}

// A failing sink that is removed takes its losses along, but not out of the account.
func TestRemovedSinkStaysInTheAccount(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	one := unixSource + exactly + fileSink("first", "dnsqr") + "admin {}\n"
	s := startSensor(t, w.Namespace, one+fileSink("other", "dnsqr"))
	replayInto(t, w.Namespace, lab.UnixTap(s.tapPath()), "testdata/unbound.fstrm")
	s.awaitLog(t, disconnected, 1)
	s.reload(t, one, "reloaded")
	s.awaitLog(t, "sink removed", 1)
	if line := s.logged(t, "sink removed")[0]; !strings.Contains(line, `"level":"WARN"`) {
		t.Errorf("not a warning: %s", line)
	}
	shown := s.shown(t).sink("other")
	s.checkMetrics(t)
	books := s.stop(t)
	if got := books.sinks["other"]; got.Lost["failed"] != books.Records || books.Records == 0 || shown.Lost["failed"] != books.Records {
		t.Errorf("of %d records: %+v, and shown was %+v", books.Records, got, shown)
	}
}
