// Package shortage explains from counts why messages became few records. It knows no files,
// sockets or configuration, and it must not know where its text is shown: a caller that others
// than the operator can read passes no addresses.
package shortage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Thresholds.
const (
	leastMessages = 5  // fewer messages or packets explain nothing
	fewRecords    = 5  // percent of the messages between resolver and servers: fewer records are few
	nearlyAll     = 90 // percent
	most          = 50 // percent
	manyUnlisted  = 10 // queries of unlisted addresses for each record: more are reported though records are not few
	tunnelShare   = 10 // percent of the packets: fewer packets in tunnels explain nothing
	shownSenders  = 8  // addresses in a text
)

// Counts is what is known about a source, or about all inputs of a replay.
type Counts struct {
	Messages *transform.Counts

	// Dnstap sources.
	Version string // of the only sender, if it states one
	Advised bool   // the sender's messages of clients are reported already

	// Packet sources.
	Packets []transform.Row // the rows of packet.Stats; nil: no packets were read
	Where   []string        // the interfaces; empty: files
	Queries []packet.Sender // addresses that send unlisted queries; nil if they must not be shown
}

// A Cause is a reason for few records, and its remedy.
type Cause struct {
	Says string `json:"says"` // the reason
	Do   string `json:"do"`   // the remedy
}

// Causes returns the reasons for which there are few records. It returns none if there are
// enough, or if too little was read.
func Causes(c *Counts) []Cause {
	if c.evidence() < leastMessages {
		return nil
	}
	if !c.few() {
		return c.found(c.unlisted)
	}
	// The other checks would report what follows from these.
	if all := c.found(c.unlisted, c.tunnelsUnread, c.tunnelsRefused, c.unknownLink); len(all) > 0 {
		return all
	}
	all := c.found(c.clientsOnly, c.oneDirection, c.oneReason, c.noDNS)
	return all[:min(1, len(all))]
}

// few reports whether there are few records.
func (c *Counts) few() bool {
	return c.Messages.Records == 0 || c.Messages.Records*100 < c.outward()*fewRecords
}

// found returns the causes that the checks find.
func (c *Counts) found(checks ...check) (all []Cause) {
	for _, check := range checks {
		if found, says, do := check(); found {
			all = append(all, Cause{says, do})
		}
	}
	return all
}

// A check looks for one cause.
type check func() (found bool, says, do string)

// evidence returns how much was read or, in a live capture, sampled.
func (c *Counts) evidence() uint64 {
	_, tunnels, _ := c.unread()
	return c.Messages.Read + c.packets("packets") + c.packets("unlisted_queries") + c.packets("client_queries") + tunnels
}

// packets returns a count of packets.
func (c *Counts) packets(name string) uint64 {
	if i := slices.IndexFunc(c.Packets, func(r transform.Row) bool { return r.Name == name }); i >= 0 {
		return c.Packets[i].Value
	}
	return 0
}

// carries begins a sentence about packets.
func (c *Counts) carries() string {
	switch len(c.Where) {
	case 0:
		return "the input carries"
	case 1:
		return c.Where[0] + " carries"
	}
	return strings.Join(c.Where, ", ") + " carry"
}

// List returns addresses with their counts.
func List(senders []packet.Sender) string {
	var texts []string
	for _, s := range senders[:min(len(senders), shownSenders)] {
		texts = append(texts, fmt.Sprintf("%s (%d)", s.Addr, s.Packets))
	}
	return strings.Join(texts, ", ")
}

// unlisted finds resolvers that the configuration does not list.
func (c *Counts) unlisted() (found bool, says, do string) {
	n := c.packets("unlisted_queries")
	says = fmt.Sprintf("%s %d queries to port 53 from addresses that resolvers does not list", c.carries(), n)
	if len(c.Queries) > 0 {
		says = fmt.Sprintf("%s queries to port 53 from %s, which resolvers does not list", c.carries(), List(c.Queries))
	}
	found = n > manyUnlisted*c.Messages.Records
	if c.few() {
		found = 2*n > c.outward() // a query of listed resolvers has a response
	}
	return found && n >= leastMessages, says, "Add the addresses of the resolver to resolvers of the pcap source (replay and explain: --resolvers)." + c.whereAddresses()
}

// whereAddresses names the command that shows the addresses, if the text does not.
func (c *Counts) whereAddresses() string {
	if len(c.Queries) > 0 {
		return ""
	}
	return " If admin.listen is on loopback, dnstap-pdns status shows the addresses."
}

// unreadPrefix begins the names of the counts of packets in protocols that are not read.
const unreadPrefix = "unread_"

// opened are the names of tunnels that a source opens with decapsulate, by their counts.
var opened = map[string]string{"unread_gre": "GRE", "unread_vxlan": "VXLAN", "unread_geneve": "GENEVE", "unread_ip_in_ip": "IP in IP"}

// unread returns the protocols that were not read, with the counts of their packets. opens is true
// if a source opens one of them with decapsulate.
func (c *Counts) unread() (which []string, sum uint64, opens bool) {
	for i := range c.Packets {
		r := &c.Packets[i]
		protocol, is := strings.CutPrefix(r.Name, unreadPrefix)
		if !is || r.Value == 0 {
			continue
		}
		if name := opened[r.Name]; name != "" {
			protocol, opens = name, true
		}
		which, sum = append(which, fmt.Sprintf("%s (%d)", protocol, r.Value)), sum+r.Value
	}
	return which, sum, opens
}

// tunnelsUnread finds tunnels that the configuration does not open, and protocols that are never
// read.
func (c *Counts) tunnelsUnread() (found bool, says, do string) {
	which, sum, opens := c.unread()
	do = "Mirror the packets without this protocol around them."
	if opens {
		do = "Set decapsulate = true in the pcap source, and name in decapsulate_from the addresses that the tunnels come from."
	}
	return sum >= leastMessages && sum*100 >= c.packets("packets")*tunnelShare,
		fmt.Sprintf("%s packets in tunnels that are not read: %s", c.carries(), strings.Join(which, ", ")), do
}

func (c *Counts) tunnelsRefused() (found bool, says, do string) {
	n := c.packets("tunnels_refused")
	return n > 0 && c.packets("tunnelled") == 0, fmt.Sprintf("all %d tunnels were refused because of their addresses", n),
		"Name in decapsulate_from the addresses from which the mirror sends its tunnels, and in decapsulate_to the addresses to which it sends them, if the interfaces do not have these addresses."
}

func (c *Counts) unknownLink() (found bool, says, do string) {
	n, all := c.packets("unknown_link"), c.packets("packets")
	return isNearlyAll(n, all), fmt.Sprintf("%d of %d packets have a link layer that is not supported", n, all),
		"Capture on another interface, or with tcpdump on an Ethernet interface."
}

// clientsOnly finds sources that have only messages between the resolver and its clients.
func (c *Counts) clientsOnly() (found bool, says, do string) {
	m := c.Messages
	n := m.Dropped[transform.NotOutward]
	says = fmt.Sprintf("%d of %d messages are not between the resolver and a server: only messages of clients were read", n, m.Read)
	if c.Packets == nil {
		r := collector.RemedyFor(c.Version)
		do = fmt.Sprintf("In the resolver (%s): %s.", r.Sender, r.Advice)
		if c.Version == "" {
			do = "In the resolver: " + r.Advice + "."
		}
		return isNearlyAll(n, m.Read) && m.Records == 0 && !c.Advised, says, do
	}
	return isNearlyAll(n, m.Read) && m.Records == 0 || m.Read < leastMessages && c.packets("client_queries") > 0, c.clientPackets(says),
		"Capture where the resolver's own queries to servers on the Internet pass. If the resolver forwards to another one, install the sensor at that one."
}

// clientPackets is the text of clientsOnly for packets. A live capture counts samples only.
func (c *Counts) clientPackets(says string) string {
	if c.Messages.Read < leastMessages {
		return fmt.Sprintf("%s only queries of clients: %d ask for recursion", c.carries(), c.packets("client_queries"))
	}
	return says
}

// oneDirection finds sources that have only queries or only responses. Part of these may have been
// dropped for other reasons.
func (c *Counts) oneDirection() (found bool, says, do string) {
	m := c.Messages
	queries, responses := m.Dropped[transform.Unanswered]+m.Dropped[transform.Unfinished], m.Dropped[transform.Unsolicited]
	switch {
	case m.Paired == 0 && responses == 0 && queries >= leastMessages && isMost(queries+m.Held, c.outward()):
		return true, fmt.Sprintf("only queries were read, and no response to %d of them", queries+m.Held),
			c.remedy(bothDirections, "Configure the resolver to send responses too (Unbound: dnstap-log-resolver-response-messages, PowerDNS Recursor: logResponses).")
	case m.Paired+m.Held+queries == 0 && isMost(responses, c.outward()):
		return true, fmt.Sprintf("only responses were read, %d of them without a query", responses), bothDirections
	}
	return false, "", ""
}

// outward returns the number of messages between the resolver and servers.
func (c *Counts) outward() uint64 { return c.Messages.Read - c.Messages.Dropped[transform.NotOutward] }

// oneReason finds a reason for which nearly all transactions were dropped. Queries that are held or
// unfinished were not judged.
func (c *Counts) oneReason() (found bool, says, do string) {
	m := c.Messages
	transactions := c.outward() - m.Paired - m.Held - m.Dropped[transform.Unfinished]
	for _, r := range reasons {
		if n := m.Dropped[r.reason]; isNearlyAll(n, transactions) {
			return true, fmt.Sprintf("%d of %d transactions were dropped as %s: %s", n, transactions, r.reason, r.says), c.remedy(r.packets, r.dnstap)
		}
	}
	return false, "", ""
}

// remedy returns the remedy for packets or for dnstap.
func (c *Counts) remedy(packets, dnstap string) string {
	if c.Packets != nil || dnstap == "" {
		return packets
	}
	return dnstap
}

const (
	bothDirections = "Mirror both directions: the packets to and from the resolver (receive and transmit of its port)."
	allPackets     = "Check that all packets of both directions are captured, each once, and that the kernel drops none."
	forwards       = "Install the sensor at the resolver to which this one forwards, or accept forwarded messages with outward.forwarded = true."
)

// reasons are those of oneReason: what they mean for the input, and the remedies for packets and
// for dnstap. An empty remedy for dnstap is that for packets.
var reasons = []struct {
	reason                transform.Reason
	says, packets, dnstap string
}{
	{transform.Truncated, "responses with TC=1, whose retries over TCP were not read",
		"Capture TCP port 53 too, and check that the resolver reaches servers over TCP.",
		"Check that the resolver reaches servers over TCP port 53: its retries bring whole responses."},
	{transform.Forwarded, "the resolver forwards to another one", forwards, ""},
	{transform.LocalServer, "the servers have private or local addresses",
		"If these servers are the resolver that this one forwards to, install the sensor there; to record local servers set outward.local_servers = true.", ""},
	{transform.Rcode, "response codes that outward.rcodes does not list, such as SERVFAIL",
		"Check that the resolver reaches the servers and that it can validate, or name the response codes in outward.rcodes.", ""},
	{transform.Unsolicited, "responses without a query", allPackets, ""},
	{transform.Mismatched, "responses to other questions than the query", allPackets, "Several resolvers share one connection: give each its own."},
	{transform.Duplicate, "copies", "Capture each packet once: mirror one side of the link only.",
		"Use when = \"idle\" in the pcap source, or remove one of the sources."},
	{transform.Malformed, "not DNS, or cut", "Capture whole packets (tcpdump -s 0), and check that the link layer is right.",
		"Check what sends to this source: it must be a resolver's dnstap output."},
	{transform.LocalName, "names or networks of scrub.local_names or scrub.local_networks",
		"Check these entries: one of them may contain far more than the organisation's own names.", ""},
	{transform.ResolverAddress, "answers that contain an address of scrub.resolvers or of resolvers",
		"Check that these prefixes contain only addresses of the resolver.", ""},
	{transform.Lookup, "queries of lists of addresses or names", "This resolver serves a mail server's list lookups: connect the resolver of other clients too.", ""},
	{transform.SpecialName, "special-use names, and names under no top-level domain", "Check that the resolver's clients query public names.", ""},
}

// noDNS is the cause of last resort, for packets of which none is DNS.
func (c *Counts) noDNS() (found bool, says, do string) {
	n := c.packets("packets")
	return n >= leastMessages && c.Messages.Read == 0,
		fmt.Sprintf("%s %d packets, and none between resolvers and port 53 of a server", c.carries(), n),
		"Capture between the resolver and the Internet, outside of NAT and VPNs. Queries over TLS or HTTPS cannot be read from packets: use dnstap."
}

// isMost reports whether n is most of a whole that is large enough.
func isMost(n, whole uint64) bool { return whole >= leastMessages && n*100 >= whole*most }

// isNearlyAll reports whether n is nearly all of a whole that is large enough.
func isNearlyAll(n, whole uint64) bool {
	return whole >= leastMessages && n*100 >= whole*nearlyAll
}
