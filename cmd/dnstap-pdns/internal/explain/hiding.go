package explain

import "github.com/dnstap-pdns/dnstap-pdns/transform"

const (
	maxZones   = 10_000 // that are counted
	shownZones = 20
)

// topZones returns the registered domains with the most drops that an operator of a zone
// can cause by its answers.
func topZones(d *transform.DomainCounts) []Zone {
	all := []Zone{}
	for _, c := range d.Top(shownZones) {
		all = append(all, Zone{c.Domain, c.ResolverAddress, c.Lookup, c.LocalNameInside})
	}
	return all
}

func (z *Zone) drops() uint64 { return z.ResolverAddress + z.Lookup + z.LocalNameInside }
