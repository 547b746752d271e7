//go:build sweep

package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestPowerCutAtAnyTime cuts the power at random moments, while the sensor writes, syncs and
// completes files.
func TestPowerCutAtAnyTime(t *testing.T) {
	t.Parallel()
	d := newDiskTest(t)
	disk := d.mountCached(t, 32<<20)
	d.start(t)
	for i := range 5 {
		cuts := map[string]cut{}
		for sink, keeps := range powerCuts {
			d.write(t, rand.N(600))
			before := d.readLedger(t).sink("first")
			d.write(t, rand.N(100))
			cuts[sink] = cut{image: disk.afterPowerCut(keeps), delivered: before.Delivered}
		}
		d.checkCuts(t, fmt.Sprintf("cuts %d", 1+i), cuts)
	}
	sink, names := d.end(t)
	if sink.Delivered != sink.Offered {
		t.Errorf("not everything is delivered: %+v", sink)
	}
	checkOnce(t, names, 0, d.resolver.sent)
}
