package rrset

import (
	"fmt"
	"math"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// The path of a resolver with an empty cache to www.example.com.
var (
	rootReferral = reply{server: rootServer.String(), name: "www.example.com.",
		authority: "com. 172800 NS a.gtld-servers.net.", additional: "a.gtld-servers.net. 172800 A " + comServer}
	comReferral = reply{server: comServer, name: "www.example.com.",
		authority: "example.com. 172800 NS ns.example.com.", additional: "ns.example.com. 172800 A " + exampleServer}
	answer = reply{server: exampleServer, name: "www.example.com.", answer: "www.example.com. 60 A 192.0.2.80"}
)

// warm is a sensor that has seen that path.
func warm(tb testing.TB) *sensor {
	s := newSensor(tb)
	s.expect(rootReferral, "com. NS .", "a.gtld-servers.net. A .")
	s.expect(comReferral, "example.com. NS com.", "ns.example.com. A com.")
	return s
}

func TestDelegationsAreLearnedFromTheRootDown(t *testing.T) {
	s := warm(t)
	s.expect(answer, "www.example.com. A example.com.")
	s.count(map[Outcome]uint64{Delegated: 5})
}

// TestQueryNameMinimisation is the same with queries for the names of zones only.
func TestQueryNameMinimisation(t *testing.T) {
	s := newSensor(t)
	down, next := rootReferral, comReferral
	down.name, next.name, next.qtype = "com.", "example.com.", dns.TypeNS
	s.expect(down, "com. NS .", "a.gtld-servers.net. A .")
	s.expect(next, "example.com. NS com.", "ns.example.com. A com.")
	s.expect(answer, "www.example.com. A example.com.")
}

func TestPrimingNeedsARootServer(t *testing.T) {
	priming := reply{server: rootServer.String(), name: ".", qtype: dns.TypeNS,
		answer: ". 60 NS a.root-servers.net.\n. 60 NS ns.evil.com.", additional: "a.root-servers.net. 60 A 192.0.2.66\nns.evil.com. 60 A 192.0.2.66"}
	s := newSensor(t)
	s.expect(priming, ". NS .", "a.root-servers.net. A .", "ns.evil.com. A .")
	priming.server = "192.0.2.66" // root servers are configured, and never learned
	s.expect(priming)
	if c := s.Counts(); c.Held != 3 {
		t.Errorf("%d RRsets are held, want 3", c.Held)
	}
}

func TestMappedAddressesOfRootServersAreIPv4(t *testing.T) {
	d := NewDelegations([]netip.Addr{netip.MustParseAddr("::ffff:198.41.0.4")}, 0)
	if !d.isRootServer(rootServer) {
		t.Error("not a root server")
	}
}

// attacker is the server of evil.com, of which the sensors of these tests know.
const attacker = "192.0.2.66"

func attacked(t *testing.T) *sensor {
	s := warm(t)
	s.expect(reply{server: comServer, name: "www.evil.com.", authority: "evil.com. 172800 NS ns.evil.com.", additional: "ns.evil.com. 172800 A " + attacker},
		"evil.com. NS com.", "ns.evil.com. A com.")
	return s
}

// TestForgedDataIsNeitherPassedNorLearned sends responses with forged data, and then a response that
// would pass if one of them had been learned.
func TestForgedDataIsNeitherPassedNorLearned(t *testing.T) {
	forged := reply{server: attacker, name: "www.example.com.", answer: "www.example.com. 60 A " + attacker}
	for _, c := range []struct {
		what  string
		reply reply
		want  []string
	}{
		{
			"glue for the server of another zone",
			reply{server: attacker, name: "www.evil.com.", authority: "evil.com. 60 NS ns.example.com.", additional: "ns.example.com. 60 A " + attacker},
			[]string{"evil.com. NS evil.com."},
		}, {
			"the attack of Kashpureff: an NS RRset of another zone, with glue of one's own",
			reply{server: attacker, name: "www.evil.com.", answer: "www.evil.com. 60 A 192.0.2.67",
				authority: "example.com. 60 NS ns.evil.com.\ncom. 60 NS ns.evil.com.\n. 60 NS ns.evil.com.", additional: "ns.evil.com. 60 A " + attacker},
			[]string{"www.evil.com. A evil.com.", "ns.evil.com. A evil.com."},
		}, {
			"the target of an alias",
			reply{server: attacker, name: "www.evil.com.", answer: "www.evil.com. 60 CNAME ns.example.com.\nns.example.com. 60 A " + attacker},
			[]string{"www.evil.com. CNAME evil.com."},
		}, {
			"an address of the parent's server",
			reply{server: attacker, name: "www.evil.com.", answer: "a.gtld-servers.net. 60 A " + attacker},
			nil,
		}, {
			"a lame server that refers upwards, to itself",
			reply{server: attacker, name: "www.evil.com.", authority: "com. 60 NS ns.evil.com."},
			nil,
		}, {
			"a zone whose name ends like the own one",
			reply{server: attacker, name: "www.evil.com.", authority: "notevil.com. 60 NS ns.evil.com."},
			nil,
		}, {
			"a query that another server should have got",
			reply{server: attacker, name: "www.example.com.", authority: "example.com. 60 NS ns.evil.com."},
			nil,
		}, {
			"a forwarder",
			reply{server: attacker, name: "www.evil.com.", answer: "evil.com. 60 NS ns.example.com.", forwarded: true},
			nil,
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := attacked(t)
			s.expect(c.reply, c.want...)
			s.expect(forged)
			s.expect(answer, "www.example.com. A example.com.")
		})
	}
}

// TestUnpairedResponsesTeachNothing because they may be spoofed.
func TestUnpairedResponsesTeachNothing(t *testing.T) {
	s := newSensor(t)
	down := rootReferral
	down.alone = true
	s.expect(down, "com. NS .", "a.gtld-servers.net. A .")
	s.expect(comReferral)
}

func TestExactResponsesTeachDelegations(t *testing.T) {
	s := newSensor(t)
	down, next := rootReferral, comReferral
	down.zone, next.zone = ".", "com"
	s.take(down)
	s.take(next)
	s.expect(answer, "www.example.com. A example.com.")
	s.count(map[Outcome]uint64{Exact: 4, Delegated: 1})
}

func TestServersAreThoseOfParentAndZone(t *testing.T) {
	s := warm(t)
	s.expect(reply{server: exampleServer, name: "example.com.", qtype: dns.TypeNS,
		answer: "example.com. 60 NS ns2.example.com.\nexample.com. 60 NS ns.example.net.", additional: "ns2.example.com. 60 A 192.0.2.2\nns.example.net. 60 A 192.0.2.3"},
		"example.com. NS example.com.", "ns2.example.com. A example.com.")
	for server, passes := range map[string]bool{exampleServer: true, "192.0.2.2": true, "192.0.2.3": false} {
		r := answer
		r.server = server
		if got := len(s.take(r)) > 0; got != passes {
			t.Errorf("server %s: passes: %v", server, got)
		}
	}
	// the address outside the zone is learned when its own zone states it
	s.expect(reply{server: rootServer.String(), name: "ns.example.net.", authority: "net. 60 NS a.gtld-servers.net."}, "net. NS .")
	s.expect(reply{server: comServer, name: "ns.example.net.", answer: "ns.example.net. 60 A 192.0.2.3"},
		"ns.example.net. A net.", "www.example.com. A example.com.") // with the held one
}

func TestAServerOfParentAndChild(t *testing.T) {
	s := warm(t)
	s.expect(reply{server: exampleServer, name: "x.sub.example.com.", authority: "sub.example.com. 60 NS ns.example.com."}, "sub.example.com. NS example.com.")
	s.expect(reply{server: exampleServer, name: "x.sub.example.com.", answer: "x.sub.example.com. 60 A 192.0.2.9", authority: "example.com. 60 NS ns.example.com."},
		"x.sub.example.com. A sub.example.com.")
}

// TestDSQueriesGoToTheParent also if its server serves the child.
func TestDSQueriesGoToTheParent(t *testing.T) {
	s := warm(t)
	s.expect(reply{server: exampleServer, name: "x.sub.example.com.", authority: "sub.example.com. 60 NS ns.example.com."}, "sub.example.com. NS example.com.")
	s.expect(reply{server: exampleServer, name: "sub.example.com.", qtype: dns.TypeDS, answer: "sub.example.com. 60 DS 1 8 2 00"}, "sub.example.com. DS example.com.")
	s.expect(reply{server: exampleServer, name: "example.com.", qtype: dns.TypeDS, answer: "example.com. 60 DS 1 8 2 00"})
	s.expect(reply{server: exampleServer, name: "x.sub.example.com.", answer: "sub.example.com. 60 DS 1 8 2 00"})
}

func TestDelegationsExpire(t *testing.T) {
	for _, c := range []struct {
		ttl  uint32
		life transform.Time
	}{{0, 7 * day}, {172800, 7 * day}, {2_592_000, 30 * day}, {math.MaxInt32 + 1, 7 * day}} {
		s := warm(t)
		z := fmt.Sprintf("sub.example.com. %d NS ns.sub.example.com.", c.ttl)
		a := fmt.Sprintf("ns.sub.example.com. %d A 192.0.2.9", c.ttl)
		s.expect(reply{server: exampleServer, name: "x.sub.example.com.", authority: z, additional: a}, "sub.example.com. NS example.com.", "ns.sub.example.com. A example.com.")
		server, name := netip.MustParseAddr("192.0.2.9"), wiretest.Name("x.sub.example.com")
		if d := s.delegations; d.zoneOf(name, dns.TypeA, server, noon+c.life-1) == nil || d.zoneOf(name, dns.TypeA, server, noon+c.life) != nil {
			t.Errorf("TTL %d: does not live for %d days", c.ttl, c.life/day)
		}
	}
}

func TestDelegationsAreRenewedWhenTheyAreSeen(t *testing.T) {
	s := warm(t)
	s.now += 6 * day
	for range 20 { // until the clock believes it
		s.take(comReferral)
	}
	name, server := wiretest.Name("www.example.com"), netip.MustParseAddr(exampleServer)
	if d := s.delegations; d.zoneOf(name, dns.TypeA, server, noon+13*day-1) == nil || d.zoneOf(name, dns.TypeA, server, noon+13*day) != nil {
		t.Error("does not live for 7 days after it was seen again")
	}
}

func TestExpiryAtTheEndOfTime(t *testing.T) {
	for _, now := range []transform.Time{math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, 0} {
		if e := expiry(now, math.MaxInt32); e == never || e < min(now, never-1) {
			t.Errorf("seen at %d: expires at %d", now, e)
		}
	}
}

// TestServersAndAddressesAreLimited also checks that new ones replace the ones that expire first.
func TestServersAndAddressesAreLimited(t *testing.T) {
	d := NewDelegations(nil, 1<<22)
	for i := range 3 * maxServers {
		now := noon + transform.Time(i)
		d.learnServers(&RRset{Name: wiretest.Name("example.com"), Rdata: [][]byte{wiretest.Name(fmt.Sprintf("ns%d.example.com", i))}}, now)
		d.learnServers(&RRset{Name: wiretest.Name("example.net"), Rdata: [][]byte{wiretest.Name("ns.example.net")}}, now)
		d.learnAddresses(&RRset{Name: wiretest.Name("ns.example.net"), Rdata: [][]byte{{192, 0, 2, byte(i)}}}, now)
	}
	com, net := d.zones[string(wiretest.Name("example.com"))], d.hosts[string(wiretest.Name("ns.example.net"))]
	if len(com.servers) != maxServers || len(net.addresses) != maxAddresses {
		t.Errorf("%d servers and %d addresses, want %d and %d", len(com.servers), len(net.addresses), maxServers, maxAddresses)
	}
	for _, x := range com.servers {
		if x.expires < noon+minLife+2*maxServers {
			t.Errorf("an early server is left: %s", text([]byte(x.host.name)))
		}
	}
	for _, x := range net.addresses {
		if x.expires < noon+minLife+3*maxServers-maxAddresses {
			t.Errorf("an early address is left: %v", x.addr)
		}
	}
	if _, hosts := d.Len(); hosts != maxServers+1 {
		t.Errorf("%d hosts, want %d", hosts, maxServers+1)
	}
}
