package forward

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// ask takes queries that nobody answers, each with a name of its own, and returns
// how many of them the lane had no room for.
func ask(t *testing.T, l *Lane, n int) (refused int) {
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

// held is what each lane holds.
func held(lanes ...*Lane) (n []uint64) {
	for _, l := range lanes {
		l.Begin()
		n = append(n, l.pairer.Counts().Held)
		l.End()
	}
	return n
}

// What silent connections hold of the pairing table, others get when they need it,
// up to an equal share; those that need no more keep what they have.
func TestLanesThatFillTheTableLeaveOthersTheirShare(t *testing.T) {
	const tick = 125 * time.Millisecond // a quarter of the sinks' flush
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		max := uint64(r.budget.Max())
		stop := r.run()
		defer stop()
		greedy, modest, late := r.Lane("x"), r.Lane("x"), r.Lane("x")
		share := max / 3
		ask(t, modest, 10)
		ask(t, greedy, int(2*max))
		time.Sleep(2 * tick)
		if n := held(greedy, modest); n[0] != max-10 || n[1] != 10 {
			t.Errorf("with room for all, %d and %d are held", n[0], n[1])
		}
		if ask(t, late, 1) != 1 {
			t.Fatal("the table was not full")
		}
		time.Sleep(2 * tick)
		if refused := ask(t, late, int(share)); refused != 0 {
			t.Errorf("%d of an equal share were refused", refused)
		}
		if n := held(greedy, modest, late); n[0] != share || n[1] != 10 || n[2] != share {
			t.Errorf("%v are held", n)
		}

		// However much the greedy one asks, the others keep their share of it.
		for range 10 {
			ask(t, greedy, int(max))
			ask(t, late, int(share))
			time.Sleep(tick)
			if n := held(modest, late); n[0] != 10 || n[1] != share {
				t.Fatalf("%v are held beside the greedy one, the share is %d", n, share)
			}
		}
		late.Close()
		time.Sleep(2 * tick)
		ask(t, greedy, int(2*max))
		if n := held(greedy); n[0] != max-10 {
			t.Errorf("%d are held when nobody else wants room", n[0])
		}
		l := r.Ledger()
		if err := checkLedger(&l); err != nil {
			t.Error(err)
		}
		greedy.Close()
		modest.Close()
		if left := r.budget.Held(); left != 0 {
			t.Errorf("%d of the budget are held by nobody", left)
		}
	})
}

// When those that filled the table have gone, one that has much to ask is not held
// to an equal share of what nobody else wants.
func TestLanesAreRationedNoLongerThanRoomIsShort(t *testing.T) {
	const tick = 125 * time.Millisecond // a quarter of the sinks' flush
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		max := r.budget.Max()
		stop := r.run()
		defer stop()
		resolver, greedy, late := r.Lane("x"), r.Lane("x"), r.Lane("x")
		for range 13 {
			defer r.Lane("x").Close() // idle
		}
		ask(t, greedy, 2*max)
		ask(t, late, 1)
		ask(t, resolver, 1)
		time.Sleep(tick * 3 / 2)
		greedy.Close()
		late.Close()
		for range 4 {
			ask(t, resolver, max)
			time.Sleep(tick)
		}
		if n := held(resolver); n[0] != uint64(max) {
			t.Errorf("%d of %d are held, though nobody else asks", n[0], max)
		}
		resolver.Close()
	})
}
