package forward

import (
	"net/netip"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// TestLanesShareTheResolversAddresses checks that the addresses that one lane has seen are
// known to open lanes of any source a second later, and to new lanes at once.
func TestLanesShareTheResolversAddresses(t *testing.T) {
	r := newRig(t, Live, testSink("a"))
	seeing, other, closing := r.Lane("source"), r.Lane("another"), r.Lane("source")
	const address = "192.0.2.1" // answer's
	whoAmI := func(l *Lane) transform.Reason { return take(l, answer(t, "whoami.example.", moment(0))) }
	see := func(l *Lane, address string) {
		m := answer(t, "www.example.", moment(0))
		m.Wire[3] |= 5 // REFUSED, which this policy drops
		m.Resolver = netip.AddrPortFrom(netip.MustParseAddr(address), 4000)
		take(l, m)
	}
	if got := whoAmI(other); got != transform.Kept {
		t.Fatalf("before the address is known: %v", got)
	}
	see(seeing, address)
	if got := whoAmI(seeing); got != transform.ResolverAddress {
		t.Errorf("the lane that has seen the address: %v", got)
	}
	now := time.Now()
	r.share(now)
	if got := whoAmI(other); got != transform.ResolverAddress {
		t.Errorf("an open lane of another source: %v", got)
	}
	r.share(now.Add(shareTime - 1))
	see(closing, "198.51.100.7")
	closing.Close()
	if got := r.learned.Addrs(); len(got) != 2 {
		t.Errorf("after a lane that has seen another has closed: %v", got)
	}
	if got := whoAmI(r.Lane("third")); got != transform.ResolverAddress {
		t.Errorf("a new lane: %v", got)
	}
}
