package conf

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func (s *section) pairing() (maxQueries int, timeout time.Duration) {
	return int(s.readNumber("max_queries")), s.readDuration("timeout")
}

func (s *section) outward(p *transform.Config) {
	p.Forwarded = s.readFlag("forwarded")
	p.Unanswered = s.readFlag("unanswered")
	p.LocalServers = s.readFlag("local_servers")
	p.Rcodes = readList(s, "rcodes", parseRcode)
	if set := s.settings["rcodes"]; set.value != cty.NilVal && set.value.LengthInt() == 0 {
		s.refuse(set, set.at, "without an rcode no response would make a record")
	}
}

func (s *section) scrub(p *transform.Config) {
	p.KeepResolver = readText(s, "resolver_address", keepOr("zero"))
	s.file.resolvers = readList(s, "resolvers", parseOwnNetwork)
	p.Resolvers = slices.Clone(s.file.resolvers)
	p.LocalNames = s.localNames()
	p.KeepLocalNamesInside = readText(s, "local_names_inside", keepOr("drop"))
	p.LocalNetworks = readList(s, "local_networks", parseNetwork)
	p.KeepLookups = readText(s, "lookups", keepOr("drop"))
	p.LookupZones = readListOr(s, "lookup_zones", parseLookupZone, transform.DefaultLookupZones)
	p.RootServers = readListOr(s, "root_servers", parseAddress, transform.RootServers)
	p.SpecialNames = s.readFlag("special_names")
	p.TimeResolution = s.readDuration("time_resolution")
}

// keepOr returns a parser of "keep", which gives true, or the word other.
func keepOr(other string) func(string) (bool, error) {
	return func(v string) (keep bool, err error) {
		if v != other && v != "keep" {
			return false, errors.New("unknown value")
		}
		return v == "keep", nil
	}
}

// parseOwnNetwork reads an address or prefix of the resolver. It refuses loopback
// addresses, because public servers answer with them too, for example DNS blocklists.
func parseOwnNetwork(v string) (netip.Prefix, error) {
	p, err := parseResolverNetwork(v)
	for _, loopback := range []string{"127.0.0.0/8", "::1/128"} {
		if err == nil && p.Overlaps(netip.MustParsePrefix(loopback)) {
			err = errors.New("every host has loopback addresses: they do not identify the resolver")
		}
	}
	return p, err
}

// parseLookupZone reads a zone, and returns it in A-labels.
func parseLookupZone(v string) (string, error) {
	zone, err := transform.ParseLocalName(v)
	switch {
	case err != nil:
		return "", errors.New("not a domain name")
	case !strings.Contains(zone, "."):
		return "", errors.New("every name below a top-level domain would be dropped")
	}
	return zone, nil
}
