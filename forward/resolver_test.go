package forward

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestLedgerReportsWhichAddressesAreKnown(t *testing.T) {
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

func TestLedgerReportsThatTooManyAddressesWereSeen(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	const most = 4096
	for i := range uint32(most + 1) {
		if i == most && r.Ledger().Resolver.Full {
			t.Errorf("full with %d addresses", i)
		}
		r.learned.See([]netip.Addr{netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0x0a000001+i)))})
	}
	if got, want := r.Ledger().Resolver, (ResolverLedger{Known: most, Full: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
