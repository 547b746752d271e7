package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// Log messages at the start and the end of capturing.
const (
	captureBegins = "capture begins"
	captureEnded  = "capture has ended"
)

// idleAfter is the idle_after of the tests, shorter than the default.
const idleAfter = 2 * time.Second

// keepAddress is exactTimes that also keeps the resolver's address and with it the DNS ID,
// which distinguishes exchanges.
var keepAddress = strings.Replace(exactTimes, "scrub {", "scrub {\n  resolver_address = \"keep\"", 1)

// idleSource is a packet source that captures on an interface while no dnstap arrives.
func idleSource(iface string) string {
	return fmt.Sprintf(`
source "pcap" "span" {
  interface  = %q
  resolvers  = [%q, %q]
  when       = "idle"
  idle_after = %q
}
`, iface, lab.Resolver4, lab.Resolver6, idleAfter)
}

// captures returns the number of captures so far. It fails if one is running.
func (s *sensor) captures(t *testing.T) int {
	t.Helper()
	begun, ended := len(s.logged(t, captureBegins)), len(s.logged(t, captureEnded))
	if begun != ended {
		t.Fatalf("%d captures began and %d have ended while dnstap arrives", begun, ended)
	}
	return begun
}

// checkOnce checks outputs: at most one record of each exchange, from either kind of source,
// and at least one record of each name for which must, which is called for the others, returns true.
func (f *flow) checkOnce(t *testing.T, must func(i int64) bool, outputs ...output) {
	t.Helper()
	exchanges, names := map[string]int{}, map[string]int{}
	for _, o := range outputs {
		for _, r := range o.records {
			exchanges[fmt.Sprintf("%s, ID %d", keyOf(r), r.ID)]++
			names[r.Name]++
		}
	}
	for exchange, n := range exchanges {
		if n > 1 {
			t.Errorf("%s: %d records", exchange, n)
		}
	}
	missing := 0
	for i := f.first; i < f.asked.Load(); i++ {
		if names[flowName(i)] > 0 {
			continue
		}
		missing++
		if must(i) {
			t.Errorf("no record of %s", flowName(i))
		}
	}
	t.Logf("%d of %d names have no record", missing, f.asked.Load()-f.first)
}

// TestPacketsReplaceDnstapWhileTheSocketIsMissing removes the sensor's socket while a
// resolver is queried, and restores it later. Unbound then delivers its backlog. No exchange
// has two records, and none is missing.
func TestPacketsReplaceDnstapWhileTheSocketIsMissing(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		sink := keepAddress + fileSink("first", "dnsqr")
		s := startSensor(t, w.Namespace, unixSource+idleSource("lo")+sink)
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
		s.awaitLog(t, connected, 1)
		f := startFlow(t, w, resolver, flowPause)
		f.during(t, 2*time.Second)
		covered := f.await(t, 1)
		f.during(t, lab.SendDelay)
		before := s.captures(t)

		s.reload(t, idleSource("lo")+sink, "reloaded")
		closed := f.await(t, 1)
		s.awaitLog(t, captureBegins, before+1)
		begun := f.await(t, 1)
		f.during(t, 6*time.Second)

		s.reload(t, unixSource+idleSource("lo")+sink, "reloaded")
		s.awaitLog(t, captureEnded, before+1)
		f.during(t, 6*time.Second)
		f.stop(t)
		resolver.Stop(t)
		closing := s.stop(t)
		out := s.written(t, "first")
		f.checkOnce(t, exceptOne(covered, closed, func(i int64) bool { return i < covered || i > begun || r.buffers }), out)
		if r.buffers && closing.Dropped["duplicate"] == 0 {
			t.Error("the resolver's backlog contains no exchange that packets had shown: the test checks nothing")
		}
		t.Logf("capture from h%d on, %d duplicates", begun, closing.Dropped["duplicate"])
	})
}

// TestPacketsReplaceDnstapWhileTheResolverRestarts stops a resolver and starts it again.
func TestPacketsReplaceDnstapWhileTheResolverRestarts(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		s := startSensor(t, w.Namespace, unixSource+idleSource("lo")+keepAddress+fileSink("first", "dnsqr"))
		options := lab.Options{Tap: lab.UnixTap(s.tapPath())}
		first := r.start(w, t, options)
		s.awaitLog(t, connected, 1)
		one := startFlow(t, w, first, flowPause)
		one.during(t, 2*time.Second)
		one.stop(t)
		before := s.captures(t)
		first.Stop(t)
		s.awaitLog(t, captureBegins, before+1)
		again := r.start(w, t, options)
		two := startFlowAt(t, w, again, flowPause, one.asked.Load())
		s.awaitLog(t, captureEnded, before+1)
		two.during(t, 6*time.Second)
		two.stop(t)
		again.Stop(t)
		s.stop(t)
		out := s.written(t, "first")
		one.checkOnce(t, everyName, out)
		two.checkOnce(t, everyName, out)
	})
}

// TestConnectedResolverWithoutQueriesIsNotIdle waits much longer than idle_after with a
// resolver that has sent messages and is asked nothing.
func TestConnectedResolverWithoutQueriesIsNotIdle(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	s := startSensor(t, w.Namespace, unixSource+idleSource("lo")+keepAddress+fileSink("first", "dnsqr"))
	resolver := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	f := startFlow(t, w, resolver, flowPause)
	f.during(t, 3*time.Second)
	f.stop(t)
	before := s.captures(t)
	delayFor(4 * idleAfter)
	if n := s.captures(t); n != before {
		t.Errorf("%d captures began while the resolver was connected", n-before)
	}
	resolver.Stop(t)
	s.stop(t)
	f.checkOnce(t, everyName, s.written(t, "first"))
}
