package census

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A query repeats a name if it comes more than repeatAfter after the name's first query: for one
// client, a resolver queries several servers, types and transports within seconds. A zone is
// disposable if fewestNames or more names below it were queried, and 95 % of them not repeated.
const (
	repeatAfter = time.Minute
	fewestNames = 30
	onceShare   = 0.95

	// zoneLevels bounds the domains that are examined for each kept name: its registered domain,
	// and the next domains below it.
	zoneLevels = 5
)

// query counts a query for a name.
func (e *entry) query(name string, at int64) {
	if e.queries == 0 {
		e.name, e.first = name, at
	}
	e.queries++
	e.repeat = e.repeat || time.Duration(at-e.first) > repeatAfter
}

// A zone counts the kept names below a domain: all, those that were not repeated, and the queries
// for the latter.
type zone struct{ names, once, queries uint64 }

// disposableZones returns the disposable domains that are not below another disposable domain,
// those with the most names first. total is the estimated sum of their counts once and queries.
func (d *distinct) disposableZones() (domains []string, total zone) {
	all := map[string]zone{}
	for _, e := range d.kept {
		for domain := range zonesOf(e.name) {
			z := all[domain]
			z.names++
			if !e.repeat {
				z.once++
				z.queries += e.queries
			}
			all[domain] = z
		}
	}
	for domain, z := range all {
		if !z.isDisposable() || belowDisposable(domain, all) {
			continue
		}
		domains = append(domains, domain)
		total.once += z.once * d.oneIn()
		total.queries += z.queries * d.oneIn()
	}
	slices.SortFunc(domains, func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b].once, all[a].once), strings.Compare(a, b))
	})
	return domains, total
}

func (z zone) isDisposable() bool {
	return z.names >= fewestNames && float64(z.once) >= onceShare*float64(z.names)
}

func belowDisposable(domain string, all map[string]zone) bool {
	for above := range zonesOf(domain) {
		if all[above].isDisposable() {
			return true
		}
	}
	return false
}

// zonesOf yields at most zoneLevels domains that a name is below, from its registered domain
// downwards. It yields none under arpa, because each reverse name is of one address and has a kind
// of its own.
func zonesOf(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		top, found := registrable(name)
		if !found || strings.HasSuffix(top, ".arpa") {
			return
		}
		at := len(name) - len(top)
		for range zoneLevels {
			if at <= 0 || at == len(name) || !yield(name[at:]) {
				return
			}
			at = strings.LastIndexByte(name[:at-1], '.') + 1
		}
	}
}
