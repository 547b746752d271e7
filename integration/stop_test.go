package integration

import (
	"syscall"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestStopDuringTrafficLosesNothingThatWasCounted checks that a sensor stopped during traffic
// has written what it counted, and that the resolver still answers.
func TestStopDuringTrafficLosesNothingThatWasCounted(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	s := startSensor(t, w.Namespace, unixSource+exactTimes+fileSink("first", "dnsqr"))
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath()), Threads: 2})
	f := startFlow(t, w, unbound, 0)
	f.during(t, 2*lab.SendDelay)
	out := s.stopAndRead(t, "first")
	f.await(t, 50)
	f.stop(t)

	checkZones(t, w.Zones, out)
	f.check(t, func(int64) bool { return false }, out)
}

// everyResolver lists the resolvers that support dnstap, and whether they wait at their end for
// a stalled sensor.
var everyResolver = map[string]struct {
	start startResolver
	waits bool
}{
	"Unbound":  {(*lab.World).Unbound, false},
	"BIND":     {(*lab.World).BIND, true},
	"PowerDNS": {(*lab.World).PowerDNS, false},
	"Knot":     {(*lab.World).Knot, true},
}

// TestResolverStopsAtOnce checks that the sensor does not delay the stop of a resolver during
// traffic, neither while it runs nor while it stops itself.
func TestResolverStopsAtOnce(t *testing.T) {
	t.Parallel()
	for name, r := range everyResolver {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			alone := quitInTraffic(t, w, r.start(w, t, lab.Options{}), (*lab.Resolver).StopNow)

			s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
			tap := lab.Options{Tap: lab.UnixTap(s.tapPath())}
			var attached time.Duration
			for range 3 { // a busy machine is slow at times, a sensor that delays the stop always
				attached = quitInTraffic(t, w, r.start(w, t, tap), (*lab.Resolver).StopNow)
				if attached <= alone+time.Second {
					break
				}
			}
			if attached > alone+time.Second {
				t.Errorf("it took %s to stop, %s without the sensor", attached, alone)
			}

			together := quitInTraffic(t, w, r.start(w, t, tap), func(r *lab.Resolver, t testing.TB) time.Duration {
				s.Signal(t, syscall.SIGTERM)
				return r.StopNow(t)
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

// quitInTraffic stops a resolver while it is queried, and returns the time that this took.
func quitInTraffic(t *testing.T, w *lab.World, r *lab.Resolver, quit func(*lab.Resolver, testing.TB) time.Duration) time.Duration {
	t.Helper()
	f := startFlow(t, w, r, time.Millisecond)
	f.await(t, 50)
	f.during(t, lab.SendDelay)
	f.checkAnswered(t)
	took := quit(r, t)
	f.end()
	return took
}

// TestStalledSensorCostsNoAnswer checks that a stalled sensor does not keep a resolver from
// answering. At their end BIND and Knot Resolver wait for it in the kernel: for room in a full
// socket buffer, or for FINISH. They end when the sensor continues.
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
			f.during(t, lab.SendDelay)
			f.stop(t)

			resolver.RequestStop(t)
			if r.waits {
				resolver.Wait(slack)
			} else {
				resolver.Wait(waitTime)
			}
			if resolver.Ended() == r.waits {
				t.Errorf("the resolver has ended: %t, want %t", resolver.Ended(), !r.waits)
			}
			s.Signal(t, syscall.SIGCONT)
			if resolver.Wait(waitTime); !resolver.Ended() {
				t.Error("the resolver still waits although the sensor continues")
			}
			s.stop(t)
		})
	}
}
