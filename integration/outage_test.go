package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	// outagePause lets Unbound's backlog of a minute stay far below what it keeps.
	outagePause = 100 * time.Millisecond
	// flushTime is longer than a record waits in the sensor.
	flushTime = time.Second
)

func TestMessagesFlowAfterSensorRestarts(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) { outage{speaker: r}.test(t) })
}

func TestMessagesFlowAfterSensorIsKilled(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) { outage{speaker: r, kill: true}.test(t) })
}

func TestMessagesFlowAfterAMinuteWithoutSensor(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) { outage{speaker: r, lasts: time.Minute}.test(t) })
}

// outage is one of the sensor.
type outage struct {
	speaker
	kill  bool // with SIGKILL, which leaves the socket and an unfinished file
	lasts time.Duration
}

// test has a resolver asked all along. What it said while it was connected is in
// the sensor's outputs once; so is the rest, if it keeps that.
func (o outage) test(t *testing.T) {
	w := lab.NewWorld(t)
	s := startSensor(t, w.Namespace, unixSource+exactly+fileSink("first", "dnsqr"))
	resolver := o.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	f := startFlow(t, w, resolver, outagePause)
	heard := f.await(t, 20)
	f.during(t, lab.HoldsBack+flushTime)
	var first output
	if o.kill {
		s.Kill()
		first = s.leftBehind(t, "first")
	} else {
		first = s.stopped(t, "first")
	}
	gone := f.await(t, 1)
	f.during(t, o.lasts)

	s.run(t, unixSource+exactly+fileSink("second", "dnsqr"))
	s.awaitConnection(t, o.retry, 1)
	back := f.await(t, 1)
	f.await(t, 20)
	f.stop(t)
	resolver.Stop(t)
	second := s.stopped(t, "second")

	checkZones(t, w.Zones, first)
	checkZones(t, w.Zones, second)
	if first.sequence == second.sequence {
		t.Errorf("both lives write sequence %x", first.sequence)
	}
	f.check(t, func(i int64) bool {
		return i < heard || i >= back || o.keeps && (i >= gone || !o.kill)
	}, first, second)
}

// A resolver that finds no socket when it starts comes once there is one.
func TestMessagesFlowToSensorStartedLast(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) {
		w := lab.NewWorld(t)
		s := newSensor(t, w.Namespace)
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
		f := startFlow(t, w, resolver, outagePause)
		f.during(t, lab.HoldsBack)

		s.run(t, unixSource+exactly+fileSink("first", "dnsqr"))
		s.awaitConnection(t, r.retry, 1)
		from := f.await(t, 1)
		f.await(t, 20)
		f.stop(t)
		resolver.Stop(t)
		out := s.stopped(t, "first")

		checkZones(t, w.Zones, out)
		f.check(t, func(i int64) bool { return r.keeps || i >= from }, out)
	})
}

// A resolver that is stopped takes with it what it holds back, and nothing else.
func TestMessagesFlowAfterResolverRestarts(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) {
		w := lab.NewWorld(t)
		s := startSensor(t, w.Namespace, unixSource+exactly+fileSink("first", "dnsqr"))
		options := lab.Options{Tap: lab.UnixTap(s.tapPath())}
		resolver := r.start(w, t, options)
		f := startFlow(t, w, resolver, outagePause)
		heard := f.await(t, 20)
		f.during(t, lab.HoldsBack)
		f.checkAnswered(t)
		resolver.Quit(t)
		connections := len(s.logged(t, connected))

		resolver = r.start(w, t, options)
		s.awaitConnection(t, r.retry, connections+1)
		f.forgive(t)
		from := f.await(t, 1)
		f.await(t, 20)
		f.stop(t)
		resolver.Stop(t)
		out := s.stopped(t, "first")

		checkZones(t, w.Zones, out)
		f.check(t, func(i int64) bool { return i < heard || i >= from }, out)
	})
}

// awaitConnection returns once the sensor has had so many connections, the last
// of which must come within a resolver's retry time.
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

// stopped ends a life, holds its ledger to its only sink, and returns what that
// has written.
func (s *sensor) stopped(t *testing.T, sink string) output {
	t.Helper()
	books := s.stop(t)
	out := s.written(t, sink)
	if n := uint64(len(out.records)); n == 0 || books.Records != n || books.sinks[sink].Delivered != n {
		t.Errorf("%d records in the file; the ledger has %d made and %+v", n, books.Records, books.sinks[sink])
	}
	return out
}

// leftBehind reads a file sink's only file, whatever its name, as it is when the
// sensor was killed.
func (s *sensor) leftBehind(t *testing.T, sink string) output {
	t.Helper()
	dir := filepath.Join(s.dir, sink)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%s holds %v: %v", dir, entries, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	return readOutput(t, data)
}
