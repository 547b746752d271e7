package collector

import (
	"slices"
	"strings"

	dnstap "github.com/dnstap/golang-dnstap"
)

// A Remedy is what helps where a connection brings nothing outward.
type Remedy struct {
	Sender string // what is at the other end
	Advice string // what to do there
}

// resolvers are told by how the version begins that they state, in lower case.
var resolvers = []struct {
	Remedy
	versions []string
}{
	{Remedy{"Unbound",
		"set dnstap-log-resolver-query-messages: yes and dnstap-log-resolver-response-messages: yes"},
		[]string{"unbound"}},
	{Remedy{"BIND",
		"set dnstap { resolver; }; in its options"},
		[]string{"bind"}},
	{Remedy{"PowerDNS Recursor",
		"call dnstapFrameStreamServer with logQueries=true and logResponses=true; " +
			"dnstapNODFrameStreamServer is not that: it tells of new domains, with a client's address"},
		[]string{"pdns-recursor", "powerdns"}},
	{Remedy{"Knot Resolver",
		"none over dnstap, where it tells of its clients only: use a pcap source"},
		[]string{"knot resolver", "kresd"}},
}

var (
	anyResolver = Remedy{"a resolver that does not say which",
		"have it log resolver messages: Unbound by dnstap-log-resolver-query-messages and " +
			"dnstap-log-resolver-response-messages, BIND by dnstap { resolver; };, PowerDNS Recursor by logQueries and " +
			"logResponses of dnstapFrameStreamServer; Knot Resolver has none: use a pcap source"}
	authority = Remedy{"an authoritative server",
		"none: it asks nobody; connect the resolver instead"}
	forwarder = Remedy{"a forwarder",
		"connect the resolver that it asks; outward.forwarded takes its messages as they are"}
)

// remedy returns what helps if the stream has brought messages, and none that can
// become a record.
func (t *tally) remedy() (r Remedy, due bool) {
	switch {
	case t.outward > 0:
		return forwarder, t.forwarded > 0 && t.direct == 0
	case t.inward == 0:
		return Remedy{}, false
	case t.types.onlyAuthority():
		return authority, true
	}
	return RemedyFor(string(t.version)), true
}

// RemedyFor returns what helps a resolver that states this version to say what servers
// tell it; empty: it states none.
func RemedyFor(version string) Remedy {
	version = strings.ToLower(version)
	for _, s := range resolvers {
		if slices.ContainsFunc(s.versions, func(begin string) bool { return strings.HasPrefix(version, begin) }) {
			return s.Remedy
		}
	}
	return anyResolver
}

func (c *TypeCounts) onlyAuthority() bool {
	authority := c[dnstap.Message_AUTH_QUERY] + c[dnstap.Message_AUTH_RESPONSE]
	var all uint64
	for _, n := range c {
		all += n
	}
	return authority > 0 && authority == all
}
