package integration

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/miekg/dns"
)

// startResolver is a method of World that starts a resolver.
type startResolver func(*lab.World, testing.TB, lab.Options) *lab.Resolver

// dnstapResolver is a resolver that sends resolver messages over dnstap.
type dnstapResolver struct {
	name    string // its key in dnstapResolvers
	start   startResolver
	retry   time.Duration // at most, between two attempts to connect
	buffers bool          // whether it buffers about 1 MB of messages while it is not connected
	twoTaps bool          // whether it can send to two sockets at once
}

var dnstapResolvers = map[string]dnstapResolver{
	"Unbound":  {start: (*lab.World).Unbound, retry: time.Second, buffers: true},
	"BIND":     {start: (*lab.World).BIND, retry: 5 * time.Second},
	"PowerDNS": {start: (*lab.World).PowerDNS, retry: 5 * time.Second, twoTaps: true},
}

// forEachResolver runs a test in parallel with each of these resolvers.
func forEachResolver(t *testing.T, test func(t *testing.T, r dnstapResolver)) {
	t.Parallel()
	for name, r := range dnstapResolvers {
		r.name = name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, r)
		})
	}
}

// tapAddr is the address of the sensor's TCP source, in a namespace of its own.
var tapAddr = netip.MustParseAddrPort("127.0.0.1:6000")

func tcpSource() string {
	return fmt.Sprintf("source \"dnstap\" \"tap\" {\n  listen = \"tcp://%s\"\n}\n", tapAddr)
}

// TestRecordsAreAsInTheZones checks, over each dnstap transport of each resolver, that the
// answers of servers become records that agree with the zones, and that nothing else leaves.
func TestRecordsAreAsInTheZones(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start   startResolver
		clients bool // whether it sends client messages too
		tcp     bool
		options lab.Options
	}{
		"Unbound, Unix socket":                   {start: (*lab.World).Unbound, clients: true},
		"Unbound, Unix socket, unidirectional":   {start: (*lab.World).Unbound, clients: true, options: lab.Options{Unidirectional: true}},
		"Unbound, TCP":                           {start: (*lab.World).Unbound, clients: true, tcp: true},
		"Unbound, TCP, unidirectional":           {start: (*lab.World).Unbound, clients: true, tcp: true, options: lab.Options{Unidirectional: true}},
		"Unbound, any address, two threads":      {start: (*lab.World).Unbound, clients: true, options: lab.Options{AnyAddress: true, Threads: 2}},
		"Unbound, Unix socket, four connections": {start: (*lab.World).Unbound, clients: true, options: lab.Options{Threads: 4}},
		"BIND":                                   {start: (*lab.World).BIND, clients: true},
		"BIND, any address, two threads":         {start: (*lab.World).BIND, clients: true, options: lab.Options{AnyAddress: true, Threads: 2}},
		"PowerDNS, Unix socket":                  {start: (*lab.World).PowerDNS},
		"PowerDNS, TCP":                          {start: (*lab.World).PowerDNS, tcp: true},
		"PowerDNS, two threads":                  {start: (*lab.World).PowerDNS, options: lab.Options{Threads: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			source := unixSource
			if c.tcp {
				source = tcpSource()
			}
			s := startSensor(t, w.Namespace, source+site+fileSink("first", "dnsqr"))
			c.options.Tap = lab.UnixTap(s.tapPath())
			if c.tcp {
				c.options.Tap = lab.TCPTap(tapAddr)
			}
			resolver := c.start(w, t, c.options)
			w.Ask(t, resolver, lab.Questions())
			resolver.Stop(t)
			closing := s.stop(t)

			checkMainJob(t, w, s, closing)
			if n := closing.Dropped["not_outward"]; (n > 0) != c.clients {
				t.Errorf("%d messages dropped as not_outward", n)
			}
			t.Logf("%+v", closing.account)
		})
	}
}

// TestNothingOfForwarderLeaves checks that everything of a resolver that forwards to another
// one is dropped, with the reason forwarded.
func TestNothingOfForwarderLeaves(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath()), Forward: w.Upstream(t)})
		w.Ask(t, resolver, lab.Questions())
		resolver.Stop(t)
		closing := s.stop(t)

		checkNothingLeft(t, s, closing)
		// A query is judged together with its response. Queries for dead.com have none.
		forwarded, unfinished := closing.Dropped["forwarded"], closing.Dropped["unfinished"]
		if forwarded < differentNames() || forwarded+closing.Paired+unfinished+closing.Dropped["not_outward"] != closing.Read {
			t.Errorf("read %d messages, paired %d, dropped %v", closing.Read, closing.Paired, closing.Dropped)
		}
		t.Logf("%+v", closing.account)
	})
}

// TestNothingOfStubZoneLeaves checks that a zone served by an internal server does not leave,
// because of the server's address and without configured local names. Other zones leave.
func TestNothingOfStubZoneLeaves(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		s := startSensor(t, w.Namespace, unixSource+jsonLog+fileSink("first", "dnsqr"))
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath()), Stub: true})
		inside := []lab.Question{
			{Name: "portal.corp.example.", Type: dns.TypeA, From: lab.Client1},
			{Name: "dc1.corp.example.", Type: dns.TypeA, From: lab.Client1},
			{Name: "_ldap._tcp.dc._msdcs.corp.example.", Type: dns.TypeSRV, From: lab.Client1},
			{Name: "nonexist.corp.example.", Type: dns.TypeA, From: lab.Client1},
		}
		outside := []lab.Question{{Name: "mail.shop.com.", Type: dns.TypeA, From: lab.Client1}}
		for i, answer := range w.Ask(t, resolver, append(inside, outside...)) {
			if answer == nil || answer.Rcode == dns.RcodeServerFailure {
				t.Errorf("question %d was answered with %s", i, answer)
			}
		}
		resolver.Stop(t)
		closing := s.stop(t)

		out := s.written(t, "first")
		checkRecords(t, w.Zones, out) // fails for local names
		checkNothingLeaked(t, out)
		checkExpected(t, w.Zones, out, outside)
		if n := closing.Dropped["local_server"]; n < uint64(len(inside)) || closing.Dropped["local_name"] > 0 {
			t.Errorf("dropped %v, want %d or more as local_server and none as local_name", closing.Dropped, len(inside))
		}
		t.Logf("%+v", closing.account)
	})
}

// differentNames counts the names that clients ask for and that a server answers.
func differentNames() uint64 {
	names := make(map[string]bool)
	for _, q := range lab.Questions() {
		if name := dns.CanonicalName(q.Name); name != "dead.com." && q.Class != dns.ClassCHAOS {
			names[name] = true
		}
	}
	return uint64(len(names))
}

// checkNothingLeft checks that a sensor made no record.
func checkNothingLeft(t *testing.T, s *sensor, closing ledger) {
	t.Helper()
	if n := len(s.written(t, "first").bytes); n > 0 || closing.Records != 0 || closing.sinks["first"].Offered != 0 {
		t.Errorf("%d bytes written; the ledger has %d records, its sink %+v", n, closing.Records, closing.sinks["first"])
	}
}

// checkMainJob checks the outcome of all questions against the zones, the policy and the
// ledger.
func checkMainJob(t *testing.T, w *lab.World, s *sensor, closing ledger) {
	t.Helper()
	out := s.written(t, "first")
	checkRecords(t, w.Zones, out)
	checkNothingLeaked(t, out)
	checkExpected(t, w.Zones, out, lab.Questions())
	checkBothFamilies(t, out)
	checkLedger(t, closing, out)
}

func checkBothFamilies(t *testing.T, o output) {
	t.Helper()
	families := make(map[bool]int)
	for _, r := range o.records {
		families[r.Server.Is6()]++
	}
	if families[true] == 0 || families[false] == 0 {
		t.Errorf("%d records from IPv6 servers, %d from IPv4 servers", families[true], families[false])
	}
}

// checkLedger checks the ledger against the file, and that the questions caused every expected
// drop reason.
func checkLedger(t *testing.T, l ledger, o output) {
	t.Helper()
	n := uint64(len(o.records))
	sink := l.sinks["first"]
	if l.Records != n || sink.Offered != n || sink.Delivered != n {
		t.Errorf("%d records in the file; the ledger has %d, its sink %+v", n, l.Records, sink)
	}
	for _, reason := range []string{"local_server", "truncated", "local_name", "lookup", "special_name"} {
		if l.Dropped[reason] == 0 {
			t.Errorf("no message was dropped as %s: %v", reason, l.Dropped)
		}
	}
	for _, reason := range []string{"malformed", "oversize", "unscrubbable", "pairing_full", "resolver_address"} {
		if l.Dropped[reason] != 0 {
			t.Errorf("%d dropped as %s", l.Dropped[reason], reason)
		}
	}
	rcodes := make(map[int]int)
	for _, r := range o.records {
		rcodes[r.Rcode]++
	}
	for _, rcode := range []int{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeRefused} {
		if rcodes[rcode] == 0 {
			t.Errorf("no record with rcode %s", dns.RcodeToString[rcode])
		}
	}
}
