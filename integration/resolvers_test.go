package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/miekg/dns"
)

// startResolver is one of lab's resolvers: a method of World.
type startResolver func(*lab.World, testing.TB, lab.Options) *lab.Resolver

// speaker is a resolver whose dnstap says what servers told it.
type speaker struct {
	name    string // its key in speakers
	start   startResolver
	retry   time.Duration // at most, between its attempts to connect
	keeps   bool          // what nobody listens to, about 1 MB of it, for later
	twoTaps bool          // it can feed two sockets at once
}

var speakers = map[string]speaker{
	"Unbound":  {start: (*lab.World).Unbound, retry: time.Second, keeps: true},
	"BIND":     {start: (*lab.World).BIND, retry: 5 * time.Second},
	"PowerDNS": {start: (*lab.World).PowerDNS, retry: 5 * time.Second, twoTaps: true},
}

// eachSpeaker runs a test with each of them, all at once.
func eachSpeaker(t *testing.T, test func(t *testing.T, r speaker)) {
	t.Parallel()
	for name, r := range speakers {
		r.name = name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, r)
		})
	}
}

// tapAddr is where the sensor's TCP source listens, in a namespace where nothing
// else does.
var tapAddr = netip.MustParseAddrPort("127.0.0.1:6000")

func tcpSource() string {
	return fmt.Sprintf("source \"dnstap\" \"tap\" {\n  listen = \"tcp://%s\"\n}\n", tapAddr)
}

// The main job, over each way that each resolver has to deliver dnstap: what it
// was told by servers comes out as the zones have it, and nothing else does.
func TestRecordsAreWhatTheZonesSay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start   startResolver
		clients bool // it sends client messages too
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
			books := s.stop(t)

			checkMainJob(t, w, s, books)
			if inward := books.Dropped["not_outward"]; (inward > 0) != c.clients {
				t.Errorf("%d messages not outward", inward)
			}
			t.Logf("%+v", books.account)
		})
	}
}

// A resolver that asks another one has nothing to say of servers: all of it is
// dropped, under the reason that tells the operator why.
func TestNothingOfForwarderLeaves(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) {
		w := lab.NewWorld(t)
		s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath()), Forward: w.Upstream(t)})
		w.Ask(t, resolver, lab.Questions())
		resolver.Stop(t)
		books := s.stop(t)

		checkNothingLeft(t, s, books)
		// A query is judged with its response. Those for dead.com have none.
		forwarded, unfinished := books.Dropped["forwarded"], books.Dropped["unfinished"]
		if forwarded < differentNames() || forwarded+books.Paired+unfinished+books.Dropped["not_outward"] != books.Read {
			t.Errorf("read %d messages, paired %d, dropped %v", books.Read, books.Paired, books.Dropped)
		}
		t.Logf("%+v", books.account)
	})
}

// A zone that the resolver asks of an internal server stays by that server's
// address alone, with no local name configured, and beside it the world's leave.
func TestNothingOfStubZoneLeaves(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) {
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
		books := s.stop(t)

		out := s.written(t, "first")
		checkRecords(t, w.Zones, out) // which knows what must stay
		checkNothingLeaked(t, out)
		checkExpected(t, w.Zones, out, outside)
		if n := books.Dropped["local_server"]; n < uint64(len(inside)) || books.Dropped["local_name"] > 0 {
			t.Errorf("dropped %v, want %d or more as local_server and none as local_name", books.Dropped, len(inside))
		}
		t.Logf("%+v", books.account)
	})
}

// differentNames counts the names that clients ask for and that somebody answers.
func differentNames() uint64 {
	names := make(map[string]bool)
	for _, q := range lab.Questions() {
		if name := dns.CanonicalName(q.Name); name != "dead.com." && q.Class != dns.ClassCHAOS {
			names[name] = true
		}
	}
	return uint64(len(names))
}

// A resolver that tells of its clients only, as Knot Resolver always does: nothing
// of that leaves, and after a minute the sensor says, once, what helps.
func TestClientsOnlyIsReportedAndNothingLeaves(t *testing.T) {
	t.Parallel()
	const report = "only messages that are not outward have come"
	for name, r := range map[string]struct {
		start  startResolver
		remedy string
	}{
		"Unbound": {(*lab.World).Unbound, "dnstap-log-resolver-query-messages: yes"},
		"BIND":    {(*lab.World).BIND, "dnstap { resolver; };"},
		"Knot":    {(*lab.World).Knot, "use a pcap source"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
			resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath()), ClientsOnly: true})
			began := time.Now()
			w.Ask(t, resolver, lab.Questions())
			forAWhile(time.Until(began.Add(time.Minute)))
			s.awaitLog(t, report, 1)
			w.Ask(t, resolver, lab.Questions())
			resolver.Stop(t)
			books := s.stop(t)

			reports := s.logged(t, report)
			if len(reports) != 1 || !strings.Contains(reports[0], r.remedy) {
				t.Errorf("the sensor reports, and the remedy is %q:\n%s", r.remedy, strings.Join(reports, ""))
			}
			checkNothingLeft(t, s, books)
			if inward := books.Dropped["not_outward"]; inward < 2*uint64(len(lab.Questions())) || inward != books.Read {
				t.Errorf("read %d messages, dropped %v", books.Read, books.Dropped)
			}
			t.Logf("%+v", books.account)
		})
	}
}

// checkNothingLeft holds a sensor to having made nothing of what it read.
func checkNothingLeft(t *testing.T, s *sensor, books ledger) {
	t.Helper()
	if n := len(s.written(t, "first").bytes); n > 0 || books.Records != 0 || books.sinks["first"].Offered != 0 {
		t.Errorf("%d bytes left; the ledger has %d records, its sink %+v", n, books.Records, books.sinks["first"])
	}
}

// checkMainJob holds what became of all questions to the zones, to the policy and to
// the ledger.
func checkMainJob(t *testing.T, w *lab.World, s *sensor, books ledger) {
	t.Helper()
	out := s.written(t, "first")
	checkRecords(t, w.Zones, out)
	checkNothingLeaked(t, out)
	checkExpected(t, w.Zones, out, lab.Questions())
	checkBothFamilies(t, out)
	checkBooks(t, books, out)
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

// checkBooks holds the ledger to the file and to what the questions must have
// brought about.
func checkBooks(t *testing.T, l ledger, o output) {
	t.Helper()
	n := uint64(len(o.records))
	sink := l.sinks["first"]
	if l.Records != n || sink.Offered != n || sink.Delivered != n {
		t.Errorf("%d records in the file; the ledger has %d, its sink %+v", n, l.Records, sink)
	}
	for _, reason := range []string{"local_server", "truncated", "local_name", "lookup", "special_name"} {
		if l.Dropped[reason] == 0 {
			t.Errorf("nothing was dropped as %s: %v", reason, l.Dropped)
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
