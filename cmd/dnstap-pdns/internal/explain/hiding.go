package explain

import "github.com/dnstap-pdns/dnstap-pdns/transform"

const (
	maxZones   = 10_000 // counted
	shownZones = 20     // listed
)

// topZones returns the registered domains with the most drops by rules that a zone's operator can
// cause to match by the contents of answers.
func topZones(d *transform.DomainCounts) []Zone {
	all := []Zone{}
	for _, c := range d.Top(shownZones) {
		all = append(all, Zone{c.Domain, c.ResolverAddress, c.Lookup, c.LocalNameInside})
	}
	return all
}

func (z *Zone) drops() uint64 { return z.ResolverAddress + z.Lookup + z.LocalNameInside }
