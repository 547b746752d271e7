package integration

import (
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// Stopped in the middle of traffic, the sensor has written what it counted, and
// the resolver answers on.
func TestStopDuringTrafficLosesNothingThatWasCounted(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath()), Threads: 2})
	f := startFlow(t, w, unbound)
	f.during(t, 2*lab.HoldsBack)
	books := s.stop(t)
	f.await(t, 50)
	f.stop(t)

	out := s.written(t, "first")
	checkRecords(t, w.Zones, out)
	if n := uint64(len(out.records)); n == 0 || n != books.Records || n != books.sinks["first"].Delivered {
		t.Errorf("%d records in the file, the ledger has %d made and %+v", n, books.Records, books.sinks["first"])
	}
	for name, n := range times(out.records) {
		if n != 1 {
			t.Errorf("%s stands %d times", name, n)
		}
	}
}

// A resolver that stops is not held up by the sensor: it takes no longer than
// without dnstap, but for what it needs to say goodbye.
func TestResolverStopsAtOnceWithSensorAttached(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]startResolver{
		"Unbound":  (*lab.World).Unbound,
		"BIND":     (*lab.World).BIND,
		"PowerDNS": (*lab.World).PowerDNS,
		"Knot":     (*lab.World).Knot,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			alone := stopAfterTraffic(t, w, start(w, t, lab.Options{}))
			s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
			attached := stopAfterTraffic(t, w, start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath())}))
			if attached > alone+2*time.Second {
				t.Errorf("it took %s to stop, %s without the sensor", attached, alone)
			}
			if s.stop(t).Read == 0 {
				t.Error("the resolver had nothing to say")
			}
		})
	}
}

// stopAfterTraffic returns what stopping the resolver took.
func stopAfterTraffic(t *testing.T, w *lab.World, r *lab.Resolver) time.Duration {
	t.Helper()
	f := startFlow(t, w, r)
	f.await(t, 50)
	f.stop(t)
	return r.Stop(t)
}
