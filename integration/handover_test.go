package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// What the sensor says when it turns to packets, and back.
const (
	captureBegins = "capture begins"
	captureEnded  = "capture has ended"
)

// idleAfter is short, for tests.
const idleAfter = 2 * time.Second

// kept is site, but that records keep what tells one exchange from the next: the
// resolver's port is nobody's, the DNS ID is enough.
var kept = strings.Replace(exactly, "scrub {", "scrub {\n  resolver_address = \"keep\"", 1)

// standIn captures on that interface while no dnstap comes.
func standIn(iface string) string {
	return fmt.Sprintf(`
source "pcap" "span" {
  interface  = %q
  resolvers  = [%q, %q]
  when       = "idle"
  idle_after = %q
}
`, iface, lab.Resolver4, lab.Resolver6, idleAfter)
}

// captures counts those that there were, none of which may be under way.
func (s *sensor) captures(t *testing.T) int {
	t.Helper()
	begun, ended := len(s.logged(t, captureBegins)), len(s.logged(t, captureEnded))
	if begun != ended {
		t.Fatalf("%d captures began and %d have ended beside a resolver that tells", begun, ended)
	}
	return begun
}

// checkOnce holds the outputs to one record of each exchange, whoever told of it, and
// to a record at the least of each name that must have one.
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

// TestPacketsStandInWhileTheSocketIsAway takes the sensor's socket away from a
// resolver that is being asked, for long enough, and gives it back. Unbound then
// delivers what it has kept; nothing leaves twice, and nothing is missing.
func TestPacketsStandInWhileTheSocketIsAway(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) {
		w := lab.NewWorld(t)
		sink := kept + fileSink("first", "dnsqr")
		s := startSensor(t, w.Namespace, unixSource+standIn("lo")+sink)
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
		s.awaitLog(t, connected, 1)
		f := startFlow(t, w, resolver, flowPause)
		f.during(t, 2*time.Second)
		told := f.await(t, 1)
		f.during(t, lab.HoldsBack)
		before := s.captures(t)

		s.reload(t, standIn("lo")+sink, "reloaded")
		s.awaitLog(t, captureBegins, before+1)
		begun := f.await(t, 1)
		f.during(t, 6*time.Second)

		s.reload(t, unixSource+standIn("lo")+sink, "reloaded")
		s.awaitLog(t, captureEnded, before+1)
		f.during(t, 6*time.Second)
		f.stop(t)
		resolver.Stop(t)
		books := s.stop(t)
		out := s.written(t, "first")
		f.checkOnce(t, func(i int64) bool { return i < told || i > begun || r.keeps }, out)
		if r.keeps && books.Dropped["duplicate"] == 0 {
			t.Error("the resolver's backlog holds nothing that packets had told of: the test tests nothing")
		}
		t.Logf("capture from h%d on, %d duplicates", begun, books.Dropped["duplicate"])
	})
}

// TestPacketsStandInWhileTheResolverRestarts stops a resolver and starts it again.
func TestPacketsStandInWhileTheResolverRestarts(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) {
		w := lab.NewWorld(t)
		s := startSensor(t, w.Namespace, unixSource+standIn("lo")+kept+fileSink("first", "dnsqr"))
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

// TestAQuietResolverThatIsConnectedIsNotIdle waits far longer than idle_after with a
// resolver that has told something and is asked nothing.
func TestAQuietResolverThatIsConnectedIsNotIdle(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	s := startSensor(t, w.Namespace, unixSource+standIn("lo")+kept+fileSink("first", "dnsqr"))
	resolver := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	f := startFlow(t, w, resolver, flowPause)
	f.during(t, 3*time.Second)
	f.stop(t)
	before := s.captures(t)
	forAWhile(4 * idleAfter)
	if n := s.captures(t); n != before {
		t.Errorf("%d captures began beside a quiet resolver", n-before)
	}
	resolver.Stop(t)
	s.stop(t)
	f.checkOnce(t, everyName, s.written(t, "first"))
}
