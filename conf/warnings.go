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

// A Warning describes a probable mistake in a valid configuration. It contains
// attributes and positions in lists, but no value: logs must not contain names or
// addresses.
type Warning struct {
	Problem string // what is wrong
	Advice  string // what to do about it
}

// Warnings returns the warnings about f, which check prints and run logs.
func (f *File) Warnings() []Warning {
	all := append(warnOfNames("scrub.local_names", "element", f.ownNames, nil),
		warnOfNames("scrub.local_names_file", "line", f.Policy.LocalNames[len(f.ownNames):], f.fileLines)...)
	all = append(all, warnOfNetworks("scrub.local_networks", f.Policy.LocalNetworks)...)
	all = append(all, warnOfNetworks("scrub.resolvers", f.resolvers)...)
	if len(f.Sources)+len(f.Packets) > 0 && !f.Policy.KeepResolver && !f.KnowsResolver() {
		all = append(all, Warning{
			"no public address of the resolver is known: scrub.resolvers has none, and no pcap source has one",
			"Name in scrub.resolvers the public addresses that servers see, after NAT if there is any. " +
				"Messages may contain others or none (Unbound without outgoing-interface and BIND without query-source report 0.0.0.0 or ::), " +
				"and then answers that contain the address (who-am-I services, your own name servers) are not recognised.",
		})
	}
	return all
}

// warnOfNames checks local names. The position of names[i] is lines[i], or i+1 if lines
// is nil.
func warnOfNames(attribute, unit string, names []string, lines []int) (all []Warning) {
	var suffixes, labels []int
	for i, entry := range names {
		name, err := transform.ParseLocalName(entry)
		if err != nil {
			continue // not a name: an error already
		}
		position := i + 1
		if lines != nil {
			position = lines[i]
		}
		if suffix, _ := publicsuffix.PublicSuffix(name); !strings.Contains(name, ".") {
			labels = append(labels, position)
		} else if suffix == name {
			suffixes = append(suffixes, position)
		}
	}
	if len(suffixes) > 0 {
		all = append(all, Warning{attribute + ": a public suffix, below which others have their domains, at " + positions(unit, suffixes),
			"It covers the domains of others. Name your own domains there instead."})
	}
	if len(labels) > 0 {
		all = append(all, Warning{attribute + ": a name of a single label, at " + positions(unit, labels),
			"It matches as a top-level domain only. Write the whole name of a host or domain, like corp.example."})
	}
	return all
}

// shortest4 and shortest6 are the prefix lengths of the largest networks that one
// organisation has.
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
	return []Warning{{fmt.Sprintf("%s: a prefix shorter than /%d (IPv6 /%d), at %s", attribute, shortest4, shortest6, positions("element", short)),
		"It covers the networks of others, so records about them are dropped. Name your own networks instead."}}
}

// KnowsResolver reports whether the configuration contains a public address of the
// resolver. A prefix of a pcap source suffices: packets show each address in it.
func (c *Config) KnowsResolver() bool {
	isPublic := func(p netip.Prefix) bool { return transform.IsPublic(p.Addr()) }
	return slices.ContainsFunc(c.Policy.Resolvers, transform.IsPublicResolver) ||
		slices.ContainsFunc(c.Packets, func(p pcap.Config) bool { return slices.ContainsFunc(p.Resolvers, isPublic) })
}

// shownPositions is the number of positions that a warning lists.
const shownPositions = 5

// positions lists numbers in the form "elements 1, 4 and 7".
func positions(unit string, all []int) string {
	if len(all) == 1 {
		return fmt.Sprintf("%s %d", unit, all[0])
	}
	var shown []string
	for _, n := range all[:min(len(all), shownPositions)] {
		shown = append(shown, strconv.Itoa(n))
	}
	last := len(shown) - 1
	if more := len(all) - shownPositions; more > 0 {
		return fmt.Sprintf("%ss %s and %d more", unit, strings.Join(shown, ", "), more)
	}
	return fmt.Sprintf("%ss %s and %s", unit, strings.Join(shown[:last], ", "), shown[last])
}
