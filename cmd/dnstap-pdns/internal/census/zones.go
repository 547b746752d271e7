package census

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A name is asked for again if it is asked for after repeatAfter: a resolver asks several
// servers, for several types and by several transports, within seconds. A zone is disposable
// if fewestNames or more names below it were asked for, and 95 % of them once.
const (
	repeatAfter = time.Minute
	fewestNames = 30
	onceShare   = 0.95

	// zoneLevels bounds the domains that are examined for each name that is kept: its
	// registered domain, and the next ones below.
	zoneLevels = 5
)

// ask notes that a name was asked for.
func (e *entry) ask(name string, at int64) {
	if e.asked == 0 {
		e.name, e.first = name, at
	}
	e.asked++
	e.repeat = e.repeat || time.Duration(at-e.first) > repeatAfter
}

// A zone counts names that are kept and below a domain.
type zone struct{ names, once, asked uint64 }

// disposableZones returns domains under which nearly every name was asked for once, those with
// the most names first. No domain is below another.
func (d *distinct) disposableZones() (domains []string, total zone) {
	all := map[string]zone{}
	for _, e := range d.kept {
		for domain := range zonesOf(e.name) {
			z := all[domain]
			z.names++
			if !e.repeat {
				z.once++
				z.asked += e.asked
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
		total.asked += z.asked * d.oneIn()
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

// zonesOf yields the domains above a name, from its registered domain downwards. Under arpa
// there are none: every reverse name is for one address, and kinds of their own.
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
