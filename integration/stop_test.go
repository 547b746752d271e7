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

// A resolver that stops is not held up by the sensor.
func TestUnboundStopsAtOnceWithSensorAttached(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	f := startFlow(t, w, unbound)
	f.await(t, 50)
	f.stop(t)
	if took := unbound.Stop(t); took > 2*time.Second {
		t.Errorf("Unbound took %s to stop", took)
	}
	s.stop(t)
}
