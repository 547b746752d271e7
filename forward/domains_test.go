package forward

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// TestDomainsCoverAllLanes covers lanes of several sources, open and closed.
func TestDomainsCoverAllLanes(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	drop := func(l *Lane, names ...string) {
		t.Helper()
		for _, name := range names {
			m := answer(t, name, time.Unix(1_700_000_000, 0))
			m.Resolver = netip.MustParseAddrPort("192.0.2.1:5353") // the address in its answer
			if got := take(l, m); got != transform.ResolverAddress {
				t.Fatalf("%s: got %v", name, got)
			}
		}
	}
	first, second, last := r.Lane("one"), r.Lane("other"), r.Lane("other")
	drop(first, "a.evil.example.", "b.evil.example.")
	drop(second, "c.evil.example.", "ns.unlucky.example.")
	take(last, answer(t, "well.example.", time.Unix(1_700_000_000, 0)))
	want := []transform.DomainCount{{Domain: "evil.example", ResolverAddress: 3}, {Domain: "unlucky.example", ResolverAddress: 1}}
	expect := func(when string, n int, want []transform.DomainCount) {
		t.Helper()
		if diff := cmp.Diff(want, r.Domains(n)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	expect("open lanes", 20, want)
	expect("the first domain", 1, want[:1])
	first.Close()
	second.Close()
	second.Close()
	expect("closed lanes", 20, want)
	expect("a second call", 20, want)
	drop(last, "d.unlucky.example.")
	want[1].ResolverAddress = 2
	expect("open and closed lanes", 20, want)
}
