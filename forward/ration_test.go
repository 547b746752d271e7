package forward

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// unanswered takes queries with different names, and returns the number of queries for which
// the lane had no room.
func unanswered(t *testing.T, l *Lane, n int) (refused int) {
	t.Helper()
	l.Begin()
	defer l.End()
	for i := range n {
		m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
		m.Id, m.RecursionDesired = uint16(i), false
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if l.Take(&transform.Message{
			Role: transform.ResolverQuery, Server: netip.MustParseAddrPort("203.0.113.10:53"),
			QueryTime: 1_700_000_000e9, ResponseTime: transform.NoTime, Wire: wire,
		}) == transform.PairingFull {
			refused++
		}
	}
	return refused
}

// held returns the number of queries that each lane holds.
func held(lanes ...*Lane) (n []uint64) {
	for _, l := range lanes {
		l.Begin()
		n = append(n, l.pairer.Counts().Held)
		l.End()
	}
	return n
}

// TestLanesThatFillTheTableLeaveOthersTheirShare checks that a lane which needs room gets
// it from a large lane, up to an equal share, and that lanes below their share keep theirs.
func TestLanesThatFillTheTableLeaveOthersTheirShare(t *testing.T) {
	const tick = 125 * time.Millisecond // a quarter of the sinks' flush
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		max := uint64(r.budget.Max())
		stop := r.run()
		defer stop()
		large, small, late := r.Lane("x"), r.Lane("x"), r.Lane("x")
		share := max / 3
		unanswered(t, small, 10)
		unanswered(t, large, int(2*max))
		time.Sleep(2 * tick)
		if n := held(large, small); n[0] != max-10 || n[1] != 10 {
			t.Errorf("with room for all, %d and %d are held", n[0], n[1])
		}
		if unanswered(t, late, 1) != 1 {
			t.Fatal("the table was not full")
		}
		time.Sleep(2 * tick)
		if refused := unanswered(t, late, int(share)); refused != 0 {
			t.Errorf("%d of an equal share were refused", refused)
		}
		if n := held(large, small, late); n[0] != share || n[1] != 10 || n[2] != share {
			t.Errorf("%v are held", n)
		}

		// The others keep their share, regardless of the number of queries of the large lane.
		for range 10 {
			unanswered(t, large, int(max))
			unanswered(t, late, int(share))
			time.Sleep(tick)
			if n := held(small, late); n[0] != 10 || n[1] != share {
				t.Fatalf("lanes hold %v in addition to the large lane, the share is %d", n, share)
			}
		}
		late.Close()
		time.Sleep(2 * tick)
		unanswered(t, large, int(2*max))
		if n := held(large); n[0] != max-10 {
			t.Errorf("%d are held when no other lane needs room", n[0])
		}
		l := r.Ledger()
		if err := checkLedger(&l); err != nil {
			t.Error(err)
		}
		large.Close()
		small.Close()
		if left := r.budget.Held(); left != 0 {
			t.Errorf("%d of the budget are held without a lane", left)
		}
	})
}

// TestLanesAreRationedNoLongerThanRoomIsShort checks that a lane may hold more than a share
// again after the lanes that filled the table are closed.
func TestLanesAreRationedNoLongerThanRoomIsShort(t *testing.T) {
	const tick = 125 * time.Millisecond // a quarter of the sinks' flush
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		max := r.budget.Max()
		stop := r.run()
		defer stop()
		resolver, large, late := r.Lane("x"), r.Lane("x"), r.Lane("x")
		for range 13 {
			defer r.Lane("x").Close() // idle
		}
		unanswered(t, large, 2*max)
		unanswered(t, late, 1)
		unanswered(t, resolver, 1)
		time.Sleep(tick * 3 / 2)
		large.Close()
		late.Close()
		for range 4 {
			unanswered(t, resolver, max)
			time.Sleep(tick)
		}
		if n := held(resolver); n[0] != uint64(max) {
			t.Errorf("%d of %d are held, though no other lane has queries", n[0], max)
		}
		resolver.Close()
	})
}
