package conf

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/net/publicsuffix"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Warning describes a probable mistake in a valid configuration, or a decision that it
// lacks. It contains attributes, names of blocks and positions in lists, but no value: logs
// must not contain names or addresses.
type Warning struct {
	Name    string // one of WarningNames, for metrics
	Place   string // FILE:LINE; empty: none
	Problem string // what is wrong
	Advice  string // what to do about it
}

// Names of warnings.
const (
	localNamesUndecided    = "local_names_undecided"
	localNetworksUndecided = "local_networks_undecided"
	publicSuffix           = "public_suffix"
	singleLabel            = "single_label"
	shortPrefix            = "short_prefix"
	socketForAll           = "socket_for_all"
	exposedListener        = "exposed_listener"
	captureTwice           = "capture_twice"
	captureUnended         = "capture_unended"
	unencryptedSink        = "unencrypted_sink"
	unencryptedSource      = "unencrypted_source"
	unconfirmedCommit      = "unconfirmed_commit"
	windowEndsEarly        = "window_ends_early"
	scrubUnused            = "scrub_unused"
	releaseBypassed        = "release_bypassed"
	unreadAggregate        = "unread_aggregate"

	// ResolverUnknown is the only warning that messages may make obsolete: a running sensor
	// learns addresses of the resolver from them.
	ResolverUnknown = "resolver_unknown"
)

// WarningNames returns the names of all warnings.
func WarningNames() []string {
	return []string{localNamesUndecided, localNetworksUndecided, publicSuffix, singleLabel, shortPrefix, ResolverUnknown,
		socketForAll, exposedListener, captureTwice, captureUnended, unencryptedSink, unencryptedSource,
		unconfirmedCommit, windowEndsEarly, scrubUnused, releaseBypassed, unreadAggregate}
}

// Warnings returns the warnings about f, which check, the log, status, the status page and
// the metrics show.
func (f *File) Warnings() []Warning {
	all := slices.Concat(f.undecided(),
		warnOfNames("scrub.local_names", "element", f.ownNames, nil),
		warnOfNames("scrub.local_names_file", "line", f.Policy.LocalNames[len(f.ownNames):], f.fileLines),
		warnOfNetworks("scrub.local_networks", f.Policy.LocalNetworks),
		warnOfNetworks("scrub.resolvers", f.resolvers))
	if len(f.Sources)+len(f.Packets) > 0 && !f.Policy.KeepResolver && !f.KnowsResolver() {
		all = append(all, Warning{
			Name:    ResolverUnknown,
			Problem: "no public address of the resolver is known: scrub.resolvers has none, and no pcap source has one",
			Advice: "Name in scrub.resolvers the public addresses that servers see, after NAT if there is any. " +
				"Messages may contain others or none (Unbound without outgoing-interface and BIND without query-source report 0.0.0.0 or ::), " +
				"and then answers that contain the address (who-am-I services, your own name servers) are not recognised.",
		})
	}
	return append(all, f.found...)
}

// undecided warns of data of the organisation that the operator has neither named nor
// declared absent. What a Kafka source reads was scrubbed elsewhere.
func (f *File) undecided() (all []Warning) {
	if len(f.Kafka) > 0 {
		return nil
	}
	if !f.scrub.isWritten("local_names") && f.LocalNamesFile == "" {
		all = append(all, Warning{
			Name:    localNamesUndecided,
			Problem: "scrub.local_names is not set, nor is scrub.local_names_file: records of your own internal names leave",
			Advice:  `Name your own domains, like local_names = ["corp.example"]. If you have none, write local_names = [].`,
		})
	}
	if !f.scrub.isWritten("local_networks") {
		all = append(all, Warning{
			Name:    localNetworksUndecided,
			Problem: "scrub.local_networks is not set: names that contain addresses of your own networks leave",
			Advice:  `Name your own networks, like local_networks = ["198.51.100.0/24"]. If you have none, write local_networks = [].`,
		})
	}
	return all
}

// warnOfNames warns of local names that are public suffixes or single labels. The
// position of names[i] is lines[i], or i+1 if lines is nil; unit is its noun.
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
		suffix, managed := publicsuffix.PublicSuffix(name)
		switch single := !strings.Contains(name, "."); {
		case suffix == name && (managed || !single):
			suffixes = append(suffixes, position)
		case single: // no top-level domain of the Internet
			labels = append(labels, position)
		}
	}
	if len(suffixes) > 0 {
		all = append(all, Warning{
			Name:    publicSuffix,
			Problem: attribute + ": a public suffix, below which others have their domains, at " + positions(unit, suffixes),
			Advice:  "It covers the domains of others. Name your own domains there instead.",
		})
	}
	if len(labels) > 0 {
		all = append(all, Warning{
			Name:    singleLabel,
			Problem: attribute + ": a name of a single label, at " + positions(unit, labels),
			Advice:  "It matches as a top-level domain only. Write the whole name of a host or domain, like corp.example.",
		})
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
	return []Warning{{
		Name:    shortPrefix,
		Problem: fmt.Sprintf("%s: a prefix shorter than /%d (IPv6 /%d), at %s", attribute, shortest4, shortest6, positions("element", short)),
		Advice:  "It covers the networks of others, so records about them are dropped. Name your own networks instead.",
	}}
}

// othersMayWrite is the permission bit with which every user may connect to a socket.
const othersMayWrite fs.FileMode = 0o002

// warnIfForAll warns of a Unix socket to which every user of the machine may connect.
func (s *section) warnIfForAll(mode fs.FileMode) {
	if mode&othersMayWrite != 0 {
		s.warn(socketForAll, s.valueOr("mode", s.header), "mode: every user of this machine may write to the socket, and can invent records",
			`Set group to the group of the resolver, and mode = "0660".`)
	}
}

// warn adds a warning about an attribute of a block with a name. problem begins with the
// attribute.
func (s *section) warn(name string, at hcl.Range, problem, advice string) {
	s.file.found = append(s.file.found, Warning{
		Name:    name,
		Place:   location(at),
		Problem: fmt.Sprintf("%s %q: %s", s.schema.name, s.name, problem),
		Advice:  advice,
	})
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

// positions lists the first numbers in the form "elements 1, 4 and 7".
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
