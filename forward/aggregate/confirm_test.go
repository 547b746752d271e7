package aggregate

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// TestConfirmEmitsTheTable, and later records begin new windows. A response that cannot be verified
// is not held any longer.
func TestConfirmEmitsTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		f := forwardtest.New(t, forward.Live, io.Discard, sinks(testConfig(), fed("out", &out))...)
		stop := start(f)
		lane, in := f.Lane("source"), f.Inlet("topic")
		for i := range 2 {
			take(t, lane,
				reply{name: "www.example.", zone: "example.", addresses: []byte{1}, at: noon},
				reply{name: "www.unknown.", addresses: []byte{1}, at: noon})
			time.Sleep(time.Second)
			if err := in.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
			if n := len(out.aggregates(t)); n != i+1 {
				t.Errorf("%d RRsets when it was confirmed, want %d", n, i+1)
			}
			l := ledgerOf(t, f, "aggregate").RRsets
			if l.Entries != 0 || l.Emitted != uint64(i+1) || l.Outcomes.Held != 0 || l.Outcomes.By[rrset.Unverified] != uint64(i+1) {
				t.Errorf("%+v", l)
			}
		}
		lane.Close()
		in.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
