package forward

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxResolver is how many addresses of the resolver are remembered.
const maxResolver = 4096

// ResolverLedger is how far the resolver's own addresses are known.
type ResolverLedger struct {
	Known  int  // addresses that messages of any source contained
	Public bool // one of these or of the configured ones is public
	Full   bool // no more are remembered: the oldest are forgotten
}

// resolverLedger expects every lane to be locked.
func (f *Forwarder) resolverLedger() ResolverLedger {
	known := map[netip.Addr]bool{}
	l := ResolverLedger{Public: f.plan != nil && f.plan.policy.NamesPublicResolver()}
	learn := func(addrs []netip.Addr) {
		for _, a := range addrs {
			known[a] = true
			l.Public = l.Public || transform.IsPublic(a)
		}
	}
	for _, s := range f.sources {
		learn(s.known)
	}
	for _, lane := range f.lanes {
		learn(lane.pairer.Known())
	}
	l.Known = len(known)
	l.Full = l.Known >= maxResolver
	return l
}
