package forward

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestLedgerTellsHowFarTheResolverIsKnown(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	first, second := r.Lane("one"), r.Lane("other")
	expect := func(when string, want ResolverLedger) {
		t.Helper()
		if got := r.Ledger().Resolver; got != want {
			t.Errorf("%s: got %+v, want %+v", when, got, want)
		}
	}
	from := func(l *Lane, resolver string) {
		m := answer(t, "a.example.com.", time.Unix(1_700_000_000, 0))
		m.Resolver = netip.AddrPortFrom(netip.MustParseAddr(resolver), 5353)
		take(l, m)
	}
	expect("at first", ResolverLedger{})
	from(first, "0.0.0.0")
	expect("0.0.0.0", ResolverLedger{})
	from(first, "10.0.0.53")
	from(second, "10.0.0.53")
	from(second, "fd00::53")
	expect("private addresses, one of them twice", ResolverLedger{Known: 2})
	from(second, "192.0.2.53")
	expect("a public address", ResolverLedger{Known: 3, Public: true})
	second.Close()
	expect("after the lane has closed", ResolverLedger{Known: 3, Public: true})

	r = newRig(t, Live, testSink("a"))
	policy, err := transform.NewPolicy(transform.Config{
		PairingTimeout: time.Minute, TimeResolution: time.Second, Resolvers: []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(policy, nil); err != nil {
		t.Fatal(err)
	}
	expect("a configured address", ResolverLedger{Public: true})
}

func TestLedgerTellsThatTooManyAddressesWereSeen(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	var lanes []*Lane
	const perLane = maxResolver / 64
	for range 64 {
		lanes = append(lanes, r.Lane("one"))
	}
	for i := range uint32(maxResolver) {
		if i == maxResolver-1 && r.Ledger().Resolver.Full {
			t.Errorf("full with %d addresses", i)
		}
		a := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0x0a000001+i)))
		lanes[i/perLane].pairer.Learn([]netip.Addr{a})
	}
	if got, want := r.Ledger().Resolver, (ResolverLedger{Known: maxResolver, Full: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
