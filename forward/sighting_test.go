package forward

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// The ledger tells when something outward came last, of lanes that are closed too,
// and what time it was by the messages; what is not outward changes nothing.
func TestLedgerTellsOfTheLatestOutwardMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		told := time.Date(2000, 1, 2, 3, 4, 5, 0, time.UTC)
		l, other := r.Lane("source"), r.Lane("source")
		expect := func(when string, at, clock time.Time) {
			t.Helper()
			s := r.Ledger().Sources[0]
			if !s.LastOutward.Equal(at) || !at.IsZero() && s.Clock != transform.Time(clock.UnixNano()) {
				t.Errorf("%s: got %v and %v, want %v and %v", when, s.LastOutward, s.Clock, at, clock)
			}
		}
		inward := &transform.Message{Role: transform.OtherRole}
		take(l, inward)
		l.Begin()
		l.Drop(transform.Malformed)
		l.End()
		expect("before the first", time.Time{}, time.Time{})

		first := time.Now()
		take(l, inward, answer(t, "a.example.com.", told), inward)
		expect("in a burst with others", first, told)
		time.Sleep(time.Minute)
		take(l, inward)
		expect("after what is inward", first, told)

		time.Sleep(time.Hour)
		late, alone := time.Now(), told.Add(time.Hour)
		take(l, answer(t, "late.example.com.", alone))
		expect("after an hour without a message", late, alone)
		take(l, answer(t, "now.example.com.", told))
		expect("of a message that agrees with those before", late, told)

		time.Sleep(time.Second)
		second := time.Now()
		take(other, answer(t, "b.example.com.", told.Add(time.Second)))
		other.Close()
		expect("of a lane that is closed", second, told.Add(time.Second))
		l.Close()
		expect("of the latest, though another closed later", second, told.Add(time.Second))
	})
}

func TestLedgerTellsWhetherTheResolverIsKnown(t *testing.T) {
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
	expect("no address told", false)
	m.Resolver = anyResolver
	take(l, m)
	expect("0.0.0.0 told", false)
	m.Resolver = oneResolver
	take(l, m)
	expect("an address told", true)
	l.Close()
	expect("after that lane has closed", true)
}

var (
	anyResolver = netip.MustParseAddrPort("0.0.0.0:5353")
	oneResolver = netip.MustParseAddrPort("192.0.2.53:5353")
)
