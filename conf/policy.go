package conf

import (
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
	p.KeepResolver = readText(s, "resolver_address", parseResolverAddress)
	p.Resolvers = readList(s, "resolvers", parseNetwork)
	p.LocalNames = s.localNames()
	p.LocalNetworks = readList(s, "local_networks", parseNetwork)
	p.SpecialNames = s.readFlag("special_names")
	p.TimeResolution = s.readDuration("time_resolution")
}
