package integration

import (
	"syscall"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// Stopped in the middle of traffic, the sensor has written what it counted, and
// the resolver answers on.
func TestStopDuringTrafficLosesNothingThatWasCounted(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	s := startSensor(t, w.Namespace, unixSource+exactly+fileSink("first", "dnsqr"))
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath()), Threads: 2})
	f := startFlow(t, w, unbound, 0)
	f.during(t, 2*lab.HoldsBack)
	out := s.stopped(t, "first")
	f.await(t, 50)
	f.stop(t)

	checkZones(t, w.Zones, out)
	f.check(t, func(int64) bool { return false }, out)
}

// everyResolver is each that speaks dnstap, and whether it waits at its end for a
// sensor that stalls.
var everyResolver = map[string]struct {
	start startResolver
	waits bool
}{
	"Unbound":  {(*lab.World).Unbound, false},
	"BIND":     {(*lab.World).BIND, true},
	"PowerDNS": {(*lab.World).PowerDNS, false},
	"Knot":     {(*lab.World).Knot, true},
}

// A resolver that stops is not held up by the sensor: while clients ask, it takes
// no longer than without dnstap, be the sensor there or about to stop itself.
func TestResolverStopsAtOnce(t *testing.T) {
	t.Parallel()
	for name, r := range everyResolver {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			alone := quitInTraffic(t, w, r.start(w, t, lab.Options{}), (*lab.Resolver).Quit)

			s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
			tap := lab.Options{Tap: lab.UnixTap(s.tapPath())}
			var attached time.Duration
			for range 3 { // a busy machine is slow at times, a sensor in the way always
				attached = quitInTraffic(t, w, r.start(w, t, tap), (*lab.Resolver).Quit)
				if attached <= alone+time.Second {
					break
				}
			}
			if attached > alone+time.Second {
				t.Errorf("it took %s to stop, %s without the sensor", attached, alone)
			}

			together := quitInTraffic(t, w, r.start(w, t, tap), func(r *lab.Resolver, t testing.TB) time.Duration {
				s.Signal(t, syscall.SIGTERM)
				return r.Quit(t)
			})
			if together > alone+slack {
				t.Errorf("it took %s to stop together with the sensor, %s without one", together, alone)
			}
			if err := s.Wait(stopTime + slack); err != nil {
				t.Errorf("the sensor: %v", err)
			}
			if n := len(s.logged(t, connected)); n < 2 {
				t.Errorf("%d connections to the sensor", n)
			}
			t.Logf("%s alone, %s attached, %s together", alone, attached, together)
		})
	}
}

// quitInTraffic stops a resolver while it is asked, and returns the time it took.
func quitInTraffic(t *testing.T, w *lab.World, r *lab.Resolver, quit func(*lab.Resolver, testing.TB) time.Duration) time.Duration {
	t.Helper()
	f := startFlow(t, w, r, time.Millisecond)
	f.await(t, 50)
	f.during(t, lab.HoldsBack)
	f.checkAnswered(t)
	took := quit(r, t)
	f.end()
	return took
}

// A sensor that stalls costs no client an answer. At its end BIND as well as Knot
// Resolver waits for it, in the kernel: for room in the socket where that is full,
// else for FINISH. They end as soon as the sensor goes on.
func TestStalledSensorCostsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, r := range everyResolver {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
			resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
			s.awaitLog(t, connected, 1)
			s.Signal(t, syscall.SIGSTOP)
			f := startFlow(t, w, resolver, time.Millisecond)
			f.await(t, 50)
			f.during(t, lab.HoldsBack)
			f.stop(t)

			resolver.AskToQuit(t)
			if r.waits {
				resolver.Wait(slack)
			} else {
				resolver.Wait(patience)
			}
			if resolver.Ended() == r.waits {
				t.Errorf("it has ended: %t", resolver.Ended())
			}
			s.Signal(t, syscall.SIGCONT)
			if resolver.Wait(patience); !resolver.Ended() {
				t.Error("it waits though the sensor goes on")
			}
			s.stop(t)
		})
	}
}
