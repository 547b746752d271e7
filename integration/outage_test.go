package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	// outagePause keeps the backlog of a minute in Unbound far below its limit.
	outagePause = 100 * time.Millisecond
	// flushTime is longer than a record stays in the sensor.
	flushTime = time.Second
)

func TestMessagesFlowAfterSensorRestarts(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) { outage{dnstapResolver: r}.test(t) })
}

func TestMessagesFlowAfterSensorIsKilled(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) { outage{dnstapResolver: r, kill: true}.test(t) })
}

// outage is an interruption of the sensor.
type outage struct {
	dnstapResolver
	kill  bool // with SIGKILL, after which the socket and an unfinished file remain
	lasts time.Duration
}

// test queries a resolver during the outage. Every exchange while it was connected has one
// record, and so have the others if the resolver buffers them.
func (o outage) test(t *testing.T) {
	w := lab.NewWorld(t)
	s := startSensor(t, w.Namespace, unixSource+exactTimes+fileSink("first", "dnsqr"))
	resolver := o.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	f := startFlow(t, w, resolver, outagePause)
	covered := f.await(t, 20)
	f.during(t, lab.SendDelay+flushTime)
	var first output
	if o.kill {
		s.Kill()
		first = s.unfinishedOutput(t, "first")
	} else {
		first = s.stopAndRead(t, "first")
	}
	gone := f.await(t, 1)
	f.during(t, o.lasts)

	s.run(t, unixSource+exactTimes+fileSink("second", "dnsqr"))
	s.awaitConnection(t, o.retry, 1)
	back := f.await(t, 1)
	f.await(t, 20)
	f.stop(t)
	resolver.Stop(t)
	second := s.stopAndRead(t, "second")

	checkZones(t, w.Zones, first)
	checkZones(t, w.Zones, second)
	if first.sequence == second.sequence {
		t.Errorf("both runs of the sensor write sequence %x", first.sequence)
	}
	f.check(t, exceptOne(covered, gone, func(i int64) bool {
		return i < covered || i >= back || o.buffers && (i >= gone || !o.kill)
	}), first, second)
}

// TestMessagesFlowToSensorStartedLast checks that a resolver connects to a socket that did
// not exist when it started.
func TestMessagesFlowToSensorStartedLast(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		s := newSensor(t, w.Namespace)
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
		f := startFlow(t, w, resolver, outagePause)
		f.during(t, lab.SendDelay)

		s.run(t, unixSource+exactTimes+fileSink("first", "dnsqr"))
		s.awaitConnection(t, r.retry, 1)
		from := f.await(t, 1)
		f.await(t, 20)
		f.stop(t)
		resolver.Stop(t)
		out := s.stopAndRead(t, "first")

		checkZones(t, w.Zones, out)
		f.check(t, func(i int64) bool { return r.buffers || i >= from }, out)
	})
}

// TestMessagesFlowAfterResolverRestarts checks that a stopped resolver loses only the
// messages that it has buffered.
func TestMessagesFlowAfterResolverRestarts(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		s := startSensor(t, w.Namespace, unixSource+exactTimes+fileSink("first", "dnsqr"))
		options := lab.Options{Tap: lab.UnixTap(s.tapPath())}
		resolver := r.start(w, t, options)
		f := startFlow(t, w, resolver, outagePause)
		covered := f.await(t, 20)
		f.during(t, lab.SendDelay)
		f.checkAnswered(t)
		resolver.StopNow(t)
		connections := len(s.logged(t, connected))

		resolver = r.start(w, t, options)
		s.awaitConnection(t, r.retry, connections+1)
		f.forgetFailures(t)
		from := f.await(t, 1)
		f.await(t, 20)
		f.stop(t)
		resolver.Stop(t)
		out := s.stopAndRead(t, "first")

		checkZones(t, w.Zones, out)
		f.check(t, func(i int64) bool { return i < covered || i >= from }, out)
	})
}

// awaitConnection returns when the sensor has had that many connections. The last one must
// come within a resolver's retry time.
func (s *sensor) awaitConnection(t *testing.T, retry time.Duration, connections int) {
	t.Helper()
	began := time.Now()
	s.awaitLog(t, connected, connections)
	took := time.Since(began)
	t.Logf("connected %s after the sensor or the resolver was ready", took.Round(time.Millisecond))
	if took > retry+slack {
		t.Errorf("it took %s to connect again, its retry time is %s", took, retry)
	}
}

// stopAndRead stops the sensor, compares the closing ledger with its only sink, and returns what
// that sink has written.
func (s *sensor) stopAndRead(t *testing.T, sink string) output {
	t.Helper()
	closing := s.stop(t)
	out := s.written(t, sink)
	if n := uint64(len(out.records)); n == 0 || closing.Records != n || closing.sinks[sink].Delivered != n {
		t.Errorf("%d records in the file; the ledger has %d made and %+v", n, closing.Records, closing.sinks[sink])
	}
	return out
}

// unfinishedOutput returns the content of a file sink's only file, finished or not, after the
// sensor was killed.
func (s *sensor) unfinishedOutput(t *testing.T, sink string) output {
	t.Helper()
	dir := filepath.Join(s.dir, sink)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%s contains %v: %v", dir, entries, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	return readOutput(t, data)
}
