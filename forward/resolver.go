package forward

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// ResolverLedger is how far the resolver's own addresses are known.
type ResolverLedger struct {
	Known  int  // addresses that messages of any source contained
	Public bool // one of these or of the configured ones is public
	Full   bool // there were more than are remembered: the oldest are forgotten
}

// resolverLedger expects every lane to be locked.
func (f *Forwarder) resolverLedger() ResolverLedger {
	known := map[netip.Addr]bool{}
	l := ResolverLedger{Public: f.plan != nil && f.plan.policy.NamesPublicResolver(), Full: f.learned.Full()}
	learn := func(addrs []netip.Addr) {
		for _, a := range addrs {
			known[a] = true
			l.Public = l.Public || transform.IsPublic(a)
		}
	}
	learn(f.learned.Addrs())
	for _, lane := range f.lanes {
		learn(lane.pairer.Seen())
	}
	l.Known = len(known)
	return l
}
