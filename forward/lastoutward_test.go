package forward

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// TestLedgerReportsTheLatestOutwardMessage checks its arrival time, over open and closed
// lanes, and the time that it states. Other messages change neither.
func TestLedgerReportsTheLatestOutwardMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		stated := time.Date(2000, 1, 2, 3, 4, 5, 0, time.UTC)
		l, other := r.Lane("source"), r.Lane("source")
		expect := func(when string, at, clock time.Time) {
			t.Helper()
			s := r.Ledger().Sources[0]
			if !s.LastOutward.Equal(at) || !at.IsZero() && s.Clock != transform.Time(clock.UnixNano()) {
				t.Errorf("%s: got %v and %v, want %v and %v", when, s.LastOutward, s.Clock, at, clock)
			}
		}
		notOutward := &transform.Message{Role: transform.OtherRole}
		take(l, notOutward)
		l.Begin()
		l.Drop(transform.Malformed)
		l.End()
		expect("before the first", time.Time{}, time.Time{})

		first := time.Now()
		take(l, notOutward, answer(t, "a.example.com.", stated), notOutward)
		expect("in a burst with others", first, stated)
		time.Sleep(time.Minute)
		take(l, notOutward)
		expect("after messages that are not outward", first, stated)

		time.Sleep(time.Hour)
		late, alone := time.Now(), stated.Add(time.Hour)
		take(l, answer(t, "late.example.com.", alone))
		expect("after an hour without a message", late, alone)
		take(l, answer(t, "now.example.com.", stated))
		expect("a message that agrees with earlier ones", late, stated)

		time.Sleep(time.Second)
		second := time.Now()
		take(other, answer(t, "b.example.com.", stated.Add(time.Second)))
		other.Close()
		expect("a closed lane", second, stated.Add(time.Second))
		l.Close()
		expect("the latest, though another lane closed later", second, stated.Add(time.Second))
	})
}

func TestLedgerReportsWhetherTheResolverIsKnown(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	l := r.Lane("source")
	m := answer(t, "a.example.com.", time.Unix(1_700_000_000, 0))
	expect := func(when string, want bool) {
		t.Helper()
		if got := r.Ledger().Sources[0].ResolverKnown; got != want {
			t.Errorf("%s: got %v, want %v", when, got, want)
		}
	}
	take(l, m)
	expect("no address stated", false)
	m.Resolver = anyResolver
	take(l, m)
	expect("0.0.0.0 stated", false)
	m.Resolver = oneResolver
	take(l, m)
	expect("an address stated", true)
	l.Close()
	expect("after that lane has closed", true)
}

var (
	anyResolver = netip.MustParseAddrPort("0.0.0.0:5353")
	oneResolver = netip.MustParseAddrPort("192.0.2.53:5353")
)
