package shortage

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// dropped returns counts of messages that were dropped, and nothing else.
func dropped(counts map[transform.Reason]uint64) *transform.Counts {
	c := &transform.Counts{}
	for r, n := range counts {
		c.Dropped[r] = n
	}
	c.Read = c.Sum()
	return c
}

// paired returns counts of transactions that were dropped for one reason: each has a query that
// found its response.
func paired(r transform.Reason, n uint64) *transform.Counts {
	c := dropped(map[transform.Reason]uint64{r: n})
	c.Paired = n
	c.Read = c.Sum()
	return c
}

// packets returns the rows of packet.Stats with some counts.
func packets(counts map[string]uint64) []transform.Row {
	rows := []transform.Row{}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		rows = append(rows, transform.Row{Name: name, Value: counts[name]})
	}
	return rows
}

var senders = []packet.Sender{{Addr: netip.MustParseAddr("192.0.2.53"), Packets: 352}, {Addr: netip.MustParseAddr("2001:db8::53"), Packets: 8}}

func TestCauses(t *testing.T) {
	none := &transform.Counts{}
	for name, tt := range map[string]struct {
		counts Counts
		want   []Cause
	}{
		"unlisted resolver": {
			Counts{Messages: dropped(map[transform.Reason]uint64{transform.NotOutward: 720}), Where: []string{"eth0"}, Queries: senders,
				Packets: packets(map[string]uint64{"packets": 720, "unlisted_queries": 360, "client_queries": 100})},
			[]Cause{{"eth0 carries queries to port 53 from 192.0.2.53 (352), 2001:db8::53 (8), which resolvers does not list",
				"Add the addresses of the resolver to resolvers of the pcap source (replay and explain: --resolvers)."}}},
		"unlisted resolver, without addresses, in a live capture": {
			Counts{Messages: none, Where: []string{"eth0", "eth1"}, Packets: packets(map[string]uint64{"packets": 0, "unlisted_queries": 360})},
			[]Cause{{"eth0, eth1 carry 360 queries to port 53 from addresses that resolvers does not list",
				"Add the addresses of the resolver to resolvers of the pcap source (replay and explain: --resolvers). If admin.listen is on loopback, dnstap-pdns status shows the addresses."}}},
		"tunnels": {
			Counts{Messages: none, Packets: packets(map[string]uint64{"packets": 24, "unread_gre": 20, "unread_vxlan": 3, "unread_esp": 1, "unread_gtp": 0})},
			[]Cause{{"the input carries packets in tunnels that are not read: esp (1), GRE (20), VXLAN (3)",
				"Set decapsulate = true in the pcap source, and name in decapsulate_from the addresses that the tunnels come from."}}},
		"a tunnel that cannot be read": {
			Counts{Messages: none, Packets: packets(map[string]uint64{"packets": 24, "unread_gtp": 24})},
			[]Cause{{"the input carries packets in tunnels that are not read: gtp (24)", "Mirror the packets without this protocol around them."}}},
		"refused tunnels": {
			Counts{Messages: none, Packets: packets(map[string]uint64{"packets": 7, "tunnels_refused": 7})},
			[]Cause{{"all 7 tunnels were refused because of their addresses",
				"Name in decapsulate_from the addresses from which the mirror sends its tunnels, and in decapsulate_to the addresses to which it sends them, if the interfaces do not have these addresses."}}},
		"unknown link layer": {
			Counts{Messages: none, Packets: packets(map[string]uint64{"packets": 10, "unknown_link": 10})},
			[]Cause{{"10 of 10 packets have a link layer that is not supported", "Capture on another interface, or with tcpdump on an Ethernet interface."}}},
		"clients over dnstap": {
			Counts{Messages: dropped(map[transform.Reason]uint64{transform.NotOutward: 100, transform.Unanswered: 1}), Version: "unbound 1.17.1"},
			[]Cause{{"100 of 101 messages are not between the resolver and a server: only messages of clients were read",
				"In the resolver (Unbound): set dnstap-log-resolver-query-messages: yes and dnstap-log-resolver-response-messages: yes."}}},
		"clients over dnstap, reported already": {
			Counts{Messages: dropped(map[transform.Reason]uint64{transform.NotOutward: 100}), Advised: true}, nil},
		"clients in packets": {
			Counts{Messages: dropped(map[transform.Reason]uint64{transform.NotOutward: 100}), Packets: packets(map[string]uint64{"packets": 100, "client_queries": 50})},
			[]Cause{{"100 of 100 messages are not between the resolver and a server: only messages of clients were read",
				"Capture where the resolver's own queries to servers on the Internet pass. If the resolver forwards to another one, install the sensor at that one."}}},
		"clients in a live capture": {
			Counts{Messages: none, Where: []string{"eth0"}, Packets: packets(map[string]uint64{"client_queries": 50})},
			[]Cause{{"eth0 carries only queries of clients: 50 ask for recursion",
				"Capture where the resolver's own queries to servers on the Internet pass. If the resolver forwards to another one, install the sensor at that one."}}},
		"only queries in packets": {
			Counts{Messages: dropped(map[transform.Reason]uint64{transform.Unanswered: 90, transform.Unfinished: 10, transform.LocalServer: 20, transform.NotOutward: 5}), Packets: packets(map[string]uint64{"packets": 125})},
			[]Cause{{"only queries were read, and no response to 100 of them",
				"Mirror both directions: the packets to and from the resolver (receive and transmit of its port)."}}},
		"only queries over dnstap": {
			Counts{Messages: dropped(map[transform.Reason]uint64{transform.Unanswered: 100})},
			[]Cause{{"only queries were read, and no response to 100 of them",
				"Configure the resolver to send responses too (Unbound: dnstap-log-resolver-response-messages, PowerDNS Recursor: logResponses)."}}},
		"only responses": {
			Counts{Messages: dropped(map[transform.Reason]uint64{transform.Unsolicited: 99, transform.LocalServer: 20}), Packets: packets(map[string]uint64{"packets": 100})},
			[]Cause{{"only responses were read, 99 of them without a query",
				"Mirror both directions: the packets to and from the resolver (receive and transmit of its port)."}}},
		"truncated": {
			Counts{Messages: paired(transform.Truncated, 50), Packets: packets(map[string]uint64{"packets": 100})},
			[]Cause{{"50 of 50 transactions were dropped as truncated: responses with TC=1, whose retries over TCP were not read",
				"Capture TCP port 53 too, and check that the resolver reaches servers over TCP."}}},
		"truncated over dnstap": {
			Counts{Messages: paired(transform.Truncated, 50)},
			[]Cause{{"50 of 50 transactions were dropped as truncated: responses with TC=1, whose retries over TCP were not read",
				"Check that the resolver reaches servers over TCP port 53: its retries bring whole responses."}}},
		"forwarded": {
			Counts{Messages: func() *transform.Counts {
				c := paired(transform.Forwarded, 50)
				c.Dropped[transform.Unfinished], c.Dropped[transform.NotOutward] = 10, 124
				c.Read = c.Sum()
				return c
			}()},
			[]Cause{{"50 of 50 transactions were dropped as forwarded: the resolver forwards to another one", forwards}}},
		"unsolicited": {
			Counts{Messages: func() *transform.Counts {
				c := dropped(map[transform.Reason]uint64{transform.Unsolicited: 99})
				c.Paired, c.Records, c.Read = 1, 1, 101
				return c
			}(), Packets: packets(map[string]uint64{"packets": 101})},
			[]Cause{{"99 of 100 transactions were dropped as unsolicited: responses without a query", allPackets}}},
		"SERVFAIL": {
			Counts{Messages: paired(transform.Rcode, 50)},
			[]Cause{{"50 of 50 transactions were dropped as rcode: response codes that outward.rcodes does not list, such as SERVFAIL",
				"Check that the resolver reaches the servers and that it can validate, or name the response codes in outward.rcodes."}}},
		"no DNS": {
			Counts{Messages: none, Where: []string{"eth0"}, Packets: packets(map[string]uint64{"packets": 100, "other": 100})},
			[]Cause{{"eth0 carries 100 packets, and none between resolvers and port 53 of a server",
				"Capture between the resolver and the Internet, outside of NAT and VPNs. Queries over TLS or HTTPS cannot be read from packets: use dnstap."}}},

		"enough records": {Counts{Messages: func() *transform.Counts {
			c := paired(transform.Forwarded, 90)
			c.Records, c.Read = 10, 190
			return c
		}()}, nil},
		"a cache that answers nearly all clients": {Counts{Messages: func() *transform.Counts {
			c := dropped(map[transform.Reason]uint64{transform.NotOutward: 1000})
			c.Records, c.Paired, c.Read = 10, 10, 1020
			return c
		}()}, nil},
		"one resolver of several is listed": {Counts{Messages: func() *transform.Counts {
			c := dropped(map[transform.Reason]uint64{transform.NotOutward: 1000})
			c.Records, c.Paired, c.Read = 10, 10, 1020
			return c
		}(), Packets: packets(map[string]uint64{"packets": 1020, "unlisted_queries": 500}), Queries: senders},
			[]Cause{{"the input carries queries to port 53 from 192.0.2.53 (352), 2001:db8::53 (8), which resolvers does not list",
				"Add the addresses of the resolver to resolvers of the pcap source (replay and explain: --resolvers)."}}},
		"some queries of others": {Counts{Messages: func() *transform.Counts {
			c := dropped(map[transform.Reason]uint64{transform.NotOutward: 100})
			c.Records, c.Paired, c.Read = 10, 10, 120
			return c
		}(), Packets: packets(map[string]uint64{"packets": 120, "unlisted_queries": 50}), Queries: senders}, nil},
		"queries and tunnels of others are few": {
			Counts{Messages: paired(transform.Forwarded, 50), Packets: packets(map[string]uint64{"packets": 120, "unlisted_queries": 10, "unread_gre": 10})},
			[]Cause{{"50 of 50 transactions were dropped as forwarded: the resolver forwards to another one", forwards}}},
		"too few messages": {Counts{Messages: paired(transform.Forwarded, 2)}, nil},
		"various reasons":  {Counts{Messages: dropped(map[transform.Reason]uint64{transform.Forwarded: 50, transform.Rcode: 50})}, nil},
		"nothing":          {Counts{Messages: none}, nil},
	} {
		if diff := cmp.Diff(tt.want, Causes(&tt.counts)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestEveryReasonHasRemedies checks the table of reasons: each is known, listed once, and has a
// remedy for packets and for dnstap.
func TestEveryReasonHasRemedies(t *testing.T) {
	seen := map[transform.Reason]bool{}
	for _, r := range reasons {
		dnstap, packets := Causes(&Counts{Messages: paired(r.reason, 50)}), Causes(&Counts{Messages: paired(r.reason, 50), Packets: packets(nil)})
		if len(dnstap) != 1 || len(packets) != 1 || dnstap[0].Do == "" || packets[0].Do == "" || seen[r.reason] {
			t.Errorf("%s: %q, %q", r.reason, dnstap, packets)
		}
		seen[r.reason] = true
	}
}
