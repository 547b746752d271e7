package integration

import (
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestReloadAddsChangesAndRemovesAPacketSource reloads while a resolver is queried. Exchanges
// have one record each while a source captures; an invalid source changes nothing and is
// reported with the reason; and the final stop loses no packet that was counted.
func TestReloadAddsChangesAndRemovesAPacketSource(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	sink := keepAddress + fileSink("first", "dnsqr")
	none, one, two := unixSource+sink, packetSource("", "lo")+sink, packetSource("  lanes = 2", "lo")+sink
	s := startSensor(t, w.Namespace, none)
	unbound := w.Unbound(t, lab.Options{})
	f := startFlow(t, w, unbound, 0)
	f.await(t, 20)

	var must [][2]int64 // names from, to
	captureWith := func(config string, sockets int, meanwhile func()) {
		s.reload(t, config, "reloaded")
		awaitCapture(t, w.Namespace, sockets)
		from := f.await(t, 1)
		meanwhile()
		must = append(must, [2]int64{from, f.await(t, 50)})
	}
	captureWith(one, 1, func() {})
	captureWith(two, 2, func() {
		const nowhere = "nowhere0"
		s.reload(t, packetSource("", nowhere)+sink, "reload failed; the configuration in force stays")
		failed := s.logged(t, "reload failed; the configuration in force stays")
		if !strings.Contains(failed[0], nowhere) {
			t.Errorf("the log does not give the reason: %s", failed[0])
		}
	})
	s.reload(t, none, "reloaded")
	awaitCapture(t, w.Namespace, 0)
	gone := f.await(t, 1)
	back := f.await(t, 50)
	captureWith(one, 1, func() {})
	closing := s.stop(t)
	f.stop(t)

	out := s.written(t, "first")
	checkNoneTwice(t, out)
	checkZones(t, w.Zones, out)
	f.checkOnce(t, func(i int64) bool {
		for _, m := range must {
			if i >= m[0] && i < m[1] {
				return true
			}
		}
		return false
	}, out)
	names := keyCounts(out)
	for i := gone; i < back; i++ {
		for k := range names {
			if strings.HasPrefix(k, flowName(i)) {
				t.Errorf("a record of %s, which was asked while there was no source", flowName(i))
			}
		}
	}
	if n := uint64(len(out.records)); closing.Records != n || closing.sinks["first"].Delivered != n {
		t.Errorf("%d records in the file; the ledger has %d, its sink %+v", n, closing.Records, closing.sinks["first"])
	}
	s.packets(t).checkNoDrops(t)
	t.Logf("%+v", closing.account)
}
