package explain

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	maxZones   = 10_000 // that are counted
	shownZones = 20
)

// zones counts the drops of registered domains that an operator of a zone can cause by its
// answers. When the map is full every count goes down by one and zones without one are
// forgotten, so that a zone with many drops stays.
type zones map[string]*Zone

// see counts a message.
func (z zones) see(v *transform.Verdict) {
	inside := v.Finding.Rule == transform.LocalNameInside
	if v.Reason != transform.ResolverAddress && v.Reason != transform.Lookup && !inside || len(v.Name) == 0 {
		return
	}
	name := registered(strings.TrimSuffix(presented(v.Name), "."))
	zone := z[name]
	if zone == nil {
		if len(z) == maxZones {
			z.decay()
		}
		zone = &Zone{Zone: name}
		z[name] = zone
	}
	switch {
	case inside:
		zone.LocalNameInside++
	case v.Reason == transform.Lookup:
		zone.Lookup++
	default:
		zone.ResolverAddress++
	}
}

func (z zones) decay() {
	for name, zone := range z {
		for _, n := range []*uint64{&zone.LocalNameInside, &zone.Lookup, &zone.ResolverAddress} {
			if *n > 0 {
				*n--
				break
			}
		}
		if zone.drops() == 0 {
			delete(z, name)
		}
	}
}

// registered is the domain that was registered under a public suffix, or the whole name if
// it is a public suffix.
func registered(name string) string {
	if domain, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return domain
	}
	return name
}

// top returns the zones with the most drops.
func (z zones) top() []Zone {
	all := []Zone{}
	for _, zone := range z {
		all = append(all, *zone)
	}
	slices.SortFunc(all, func(a, b Zone) int {
		return cmp.Or(cmp.Compare(b.drops(), a.drops()), cmp.Compare(a.Zone, b.Zone))
	})
	return all[:min(len(all), shownZones)]
}

func (z *Zone) drops() uint64 { return z.ResolverAddress + z.Lookup + z.LocalNameInside }
