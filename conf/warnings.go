package conf

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Warning is something in a valid configuration that is probably a mistake. It names
// attributes and places in lists, never a value: logs must not hold names or addresses.
type Warning struct {
	Says string // what is wrong
	Do   string // what to do about it
}

// Warnings returns what check prints and run logs about f.
func (f *File) Warnings() []Warning {
	all := append(warnOfNames("scrub.local_names", "element", f.written, nil),
		warnOfNames("scrub.local_names_file", "line", f.Policy.LocalNames[len(f.written):], f.lines)...)
	all = append(all, warnOfNetworks("scrub.local_networks", f.Policy.LocalNetworks)...)
	all = append(all, warnOfNetworks("scrub.resolvers", f.resolvers)...)
	if len(f.Sources)+len(f.Packets) > 0 && !f.Policy.KeepResolver && !f.KnowsResolver() {
		all = append(all, Warning{
			"no public address of the resolver is known: scrub.resolvers has none, and no pcap source has one",
			"Name in scrub.resolvers the addresses that the resolver's queries have on the Internet, a NAT's included. " +
				"Messages may show others or none (Unbound without outgoing-interface and BIND without query-source report 0.0.0.0 or ::), " +
				"and then answers that hold the address (who-am-I services, your own name servers) are not recognised.",
		})
	}
	return all
}

// warnOfNames looks at local names; places are their numbers in the list unless lines
// has others.
func warnOfNames(attribute, unit string, names []string, lines []int) (all []Warning) {
	var suffixes, labels []int
	for i, entry := range names {
		name, err := transform.ParseLocalName(entry)
		if err != nil {
			continue // not a name: an error already
		}
		place := i + 1
		if lines != nil {
			place = lines[i]
		}
		if suffix, _ := publicsuffix.PublicSuffix(name); !strings.Contains(name, ".") {
			labels = append(labels, place)
		} else if suffix == name {
			suffixes = append(suffixes, place)
		}
	}
	if len(suffixes) > 0 {
		all = append(all, Warning{attribute + ": a public suffix, below which others have their domains, at " + places(unit, suffixes),
			"It covers the domains of others. Name your own domains there instead."})
	}
	if len(labels) > 0 {
		all = append(all, Warning{attribute + ": a name of a single label, at " + places(unit, labels),
			"It matches as a top-level domain, and in no other place. Write the whole name of a host or domain, like corp.example."})
	}
	return all
}

// shortest4 and shortest6 are the lengths of the largest networks that one organisation
// has.
const (
	shortest4 = 8
	shortest6 = 16
)

func warnOfNetworks(attribute string, networks []netip.Prefix) []Warning {
	var short []int
	for i, p := range networks {
		least := shortest6
		if p.Addr().Is4() {
			least = shortest4
		}
		if p.Bits() < least {
			short = append(short, i+1)
		}
	}
	if short == nil {
		return nil
	}
	return []Warning{{fmt.Sprintf("%s: a prefix shorter than /%d (IPv6 /%d), at %s", attribute, shortest4, shortest6, places("element", short)),
		"It covers the networks of others, and what concerns them is dropped. Name your own networks instead."}}
}

// KnowsResolver reports whether the configuration has a public address of the resolver.
// Packets show every address inside their source's prefixes.
func (c *Config) KnowsResolver() bool {
	isPublic := func(p netip.Prefix) bool { return transform.IsPublic(p.Addr()) }
	return slices.ContainsFunc(c.Policy.Resolvers, transform.IsPublicResolver) ||
		slices.ContainsFunc(c.Packets, func(p pcap.Config) bool { return slices.ContainsFunc(p.Resolvers, isPublic) })
}

// shownPlaces is how many places a warning lists.
const shownPlaces = 5

// places lists numbers: elements 1, 4 and 7.
func places(unit string, all []int) string {
	if len(all) == 1 {
		return fmt.Sprintf("%s %d", unit, all[0])
	}
	var shown []string
	for _, n := range all[:min(len(all), shownPlaces)] {
		shown = append(shown, strconv.Itoa(n))
	}
	last := len(shown) - 1
	if more := len(all) - shownPlaces; more > 0 {
		return fmt.Sprintf("%ss %s and %d more", unit, strings.Join(shown, ", "), more)
	}
	return fmt.Sprintf("%ss %s and %s", unit, strings.Join(shown[:last], ", "), shown[last])
}
