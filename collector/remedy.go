package collector

import (
	"slices"
	"strings"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
)

// A Remedy is advice for a connection that sends no outward messages.
type Remedy struct {
	Sender string // the kind of sender
	Advice string // what to change at the sender
}

// resolvers are recognised by a prefix of their version, in lower case.
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
			"dnstapNODFrameStreamServer is something else: it reports new domains, with a client's address"},
		[]string{"pdns-recursor", "powerdns"}},
	{Remedy{"Knot Resolver",
		"none over dnstap, which contains only its client messages: use a pcap source"},
		[]string{"knot resolver", "kresd"}},
}

var (
	anyResolver = Remedy{"a resolver that does not say which",
		"make it log resolver messages: Unbound by dnstap-log-resolver-query-messages and " +
			"dnstap-log-resolver-response-messages, BIND by dnstap { resolver; };, PowerDNS Recursor by logQueries and " +
			"logResponses of dnstapFrameStreamServer; Knot Resolver has none: use a pcap source"}
	authority = Remedy{"an authoritative server",
		"none: it sends no queries; connect the resolver instead"}
	forwarder = Remedy{"a forwarder",
		"connect the resolver that it queries; or set outward.forwarded to record its messages as they are"}
)

// remedy returns the remedy for a stream whose messages so far cannot become records. due is
// false if one can, or if there was no message.
func (a *account) remedy() (r Remedy, due bool) {
	switch {
	case a.outward > 0:
		return forwarder, a.forwarded > 0 && a.direct == 0
	case a.notOutward == 0:
		return Remedy{}, false
	case a.types.onlyAuthority():
		return authority, true
	}
	return RemedyFor(string(a.version)), true
}

// RemedyFor returns the remedy for a resolver that sends no outward messages. version is what
// the resolver states in dnstap, or empty.
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

// reportDelay is the time from a connection's first message to the report that no outward
// message has come. For a while the clients of a small resolver may query only cached names.
const reportDelay = time.Minute

// checkOutward schedules report at the first message. It clears the remedy when a message has
// come that can become a record.
func (c *conn) checkOutward() {
	a := &c.stream.account
	if !c.reportScheduled && a.notOutward+a.outward > 0 {
		c.reportScheduled = true
		c.reader.setTimer(reportDelay, c.report)
	}
	if c.shown.Remedy == (Remedy{}) { // no other goroutine writes it
		return
	}
	if _, due := a.remedy(); due {
		return
	}
	c.mu.Lock()
	c.shown.Remedy = Remedy{}
	c.mu.Unlock()
	c.log.Info("outward messages have come after all")
}

// report logs and shows the remedy if no message has come that can become a record.
func (c *conn) report() {
	a := &c.stream.account
	remedy, due := a.remedy()
	if !due {
		return
	}
	c.mu.Lock()
	c.shown.Remedy = remedy
	c.mu.Unlock()
	problem := "only messages that are not outward have come"
	if a.outward > 0 {
		problem = "only forwarded messages have come"
	}
	c.log.Warn(problem, "from", remedy.Sender, "remedy", remedy.Advice, a.types.attr())
}
