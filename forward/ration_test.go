package forward

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

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

const rationTick = 125 * time.Millisecond // a quarter of the sinks' flush

// TestLanesThatFillTheTableLeaveOthersTheirShare checks that a lane which needs room gets it from
// a large lane, and that small lanes keep theirs, regardless of the number of queries of the large
// lane.
func TestLanesThatFillTheTableLeaveOthersTheirShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		max := uint64(r.budget.Max())
		stop := r.run()
		defer stop()
		time.Sleep(rationTick / 2) // so that queries do not arrive at the time of a ration
		large, small, late := r.Lane("x"), r.Lane("x"), r.Lane("x")
		share := max / 3
		unanswered(t, small, 10)
		unanswered(t, large, int(2*max))
		time.Sleep(2 * rationTick)
		if n := held(large, small); n[0] != max-10 || n[1] != 10 {
			t.Errorf("with room for all, %d and %d are held", n[0], n[1])
		}
		if unanswered(t, late, int(share)) != int(share) {
			t.Fatal("the table was not full")
		}
		time.Sleep(rationTick)
		for range 10 {
			unanswered(t, large, int(max))
			if refused := unanswered(t, late, int(share)); refused != 0 {
				t.Errorf("%d of an equal share were refused", refused)
			}
			if n := held(small, late); n[0] != 10 || n[1] < share {
				t.Fatalf("lanes hold %v in addition to the large lane, the share is %d", n, share)
			}
			time.Sleep(rationTick)
		}
		late.Close()
		time.Sleep(2 * rationTick)
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

// TestAFullTableEvictsWhatIsRequested checks that a large lane does not lose most of its queries
// to a small one, and that the small one has room from then on.
func TestAFullTableEvictsWhatIsRequested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		max := r.budget.Max()
		stop := r.run()
		defer stop()
		time.Sleep(rationTick / 2)
		large, small := r.Lane("x"), r.Lane("x")
		for range 30 {
			defer r.Lane("x").Close() // idle
		}
		unanswered(t, large, 2*max)
		if refused := unanswered(t, small, 20); refused != 20 {
			t.Fatalf("%d were refused: the table was not full", refused)
		}
		time.Sleep(rationTick)
		if n := held(large); n[0] < uint64(max-20-max/headroom) {
			t.Errorf("%d of %d were evicted for the sake of 20", uint64(max)-n[0], max)
		}
		for range 10 {
			unanswered(t, large, max)
			if refused := unanswered(t, small, 20); refused != 0 {
				t.Errorf("%d of 20 were refused", refused)
			}
			if n := held(small); n[0] < 20 {
				t.Errorf("the small lane holds %d", n[0])
			}
			time.Sleep(rationTick)
		}
		large.Close()
		small.Close()
	})
}

// TestLanesWithUnequalDemandUseTheWholeTable checks that large lanes share what small ones do not
// want.
func TestLanesWithUnequalDemandUseTheWholeTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		max := uint64(r.budget.Max())
		stop := r.run()
		defer stop()
		time.Sleep(rationTick / 2)
		a, b, small := r.Lane("x"), r.Lane("x"), r.Lane("x")
		unanswered(t, small, 20)
		for range 10 {
			unanswered(t, a, int(2*max))
			unanswered(t, b, int(2*max))
			time.Sleep(rationTick)
		}
		n := held(a, b, small)
		if n[0]+n[1]+n[2] < max-max/headroom || n[0]+n[1] < max*9/10 || n[0] > n[1]+1 || n[1] > n[0]+1 || n[2] != 20 {
			t.Errorf("of %d, two large lanes and a small one hold %v", max, n)
		}
		a.Close()
		b.Close()
		small.Close()
	})
}

// TestFairShare checks that the limit leaves room for every party, and is as high as possible.
func TestFairShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wants := rapid.SliceOfN(rapid.IntRange(0, 100), 1, 10).Draw(t, "wants")
		room := rapid.IntRange(0, 500).Draw(t, "room")
		taken := func(limit int) (n int) {
			for _, w := range wants {
				n += min(w, limit)
			}
			return n
		}
		switch limit := fairShare(slices.Clone(wants), room); {
		case limit > room || taken(limit) > room:
			t.Errorf("with a limit of %d, %d of %d are taken", limit, taken(limit), room)
		case limit < room && taken(limit+1) <= room:
			t.Errorf("a limit of %d is too low", limit)
		case limit < room/len(wants):
			t.Errorf("a limit of %d is less than an equal share of %d", limit, room)
		}
	})
}

// TestLanesAreRationedNoLongerThanRoomIsShort checks that a lane may hold more than a share
// again after the lanes that filled the table are closed.
func TestLanesAreRationedNoLongerThanRoomIsShort(t *testing.T) {
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
		time.Sleep(rationTick * 3 / 2)
		large.Close()
		late.Close()
		for range 4 {
			unanswered(t, resolver, max)
			time.Sleep(rationTick)
		}
		if n := held(resolver); n[0] < uint64(max-max/headroom) {
			t.Errorf("%d of %d are held, though no other lane has queries", n[0], max)
		}
		resolver.Close()
	})
}
