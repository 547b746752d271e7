package census

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gotest.tools/v3/golden"
)

// reported returns a Gate with RRsets of 1 to 5 sources. Each source reports each twice.
func reported() *Gate {
	g := NewGate()
	for n := range 5 {
		for range 2 {
			for source := range uint32(n + 1) {
				own := fmt.Sprint("example", n)
				g.RRset(1+source, []byte("www."+own), []byte(own), [][]byte{[]byte("common"), {byte(n)}})
				g.RRset(1+source, []byte("mail."+own), []byte("common"), nil)
			}
		}
	}
	return g
}

func TestWhatAGateHoldsBack(t *testing.T) {
	want := &GateReport{Sources: 5, RRsets: 10, Domains: 6, Addresses: 6, Gates: []GateCounts{
		{Sources: 2, RRsetsHeld: 2, DomainsHeld: 1, AddressesHeld: 1},
		{Sources: 3, RRsetsHeld: 4, DomainsHeld: 2, AddressesHeld: 2},
		{Sources: 4, RRsetsHeld: 6, DomainsHeld: 3, AddressesHeld: 3},
	}}
	if diff := cmp.Diff(want, reported().Report()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGateReportsAsText(t *testing.T) {
	golden.Assert(t, reported().Report().Text(), "gate.txt")
	alone := NewGate()
	alone.RRset(0, []byte("a"), nil, nil)
	alone.RRset(7, []byte("a"), nil, nil)
	golden.Assert(t, alone.Report().Text(), "gate-one.txt")
}
