package integration

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/miekg/dns"
)

// askTime is how long a client waits for Unbound.
const askTime = time.Second

// The main job, over each way that Unbound has to deliver dnstap: what it was
// told by servers comes out as the zones have it, and nothing else does.
func TestRecordsOfUnboundAreWhatTheZonesSay(t *testing.T) {
	t.Parallel()
	tcp := netip.MustParseAddrPort("127.0.0.1:6000") // in a namespace where nothing else listens
	tcpSource := fmt.Sprintf("source \"dnstap\" \"tap\" {\n  listen = \"tcp://%s\"\n}\n", tcp)
	for name, c := range map[string]struct {
		source  string
		options lab.Options
	}{
		"Unix socket":                   {source: unixSource},
		"Unix socket, unidirectional":   {source: unixSource, options: lab.Options{Unidirectional: true}},
		"TCP":                           {source: tcpSource},
		"TCP, unidirectional":           {source: tcpSource, options: lab.Options{Unidirectional: true}},
		"any address, two threads":      {source: unixSource, options: lab.Options{AnyAddress: true, Threads: 2}},
		"Unix socket, four connections": {source: unixSource, options: lab.Options{Threads: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			s := startSensor(t, w.Namespace, c.source+site+fileSink("first", "dnsqr"))
			if c.source == tcpSource {
				c.options.Tap = lab.TCPTap(tcp)
			} else {
				c.options.Tap = lab.UnixTap(s.tapPath())
			}
			unbound := w.Unbound(t, c.options)
			w.Ask(t, unbound, lab.Questions(), askTime)
			unbound.Stop(t)
			books := s.stop(t)

			out := s.written(t, "first")
			checkRecords(t, w.Zones, out)
			checkNothingLeaked(t, out)
			checkExpected(t, w.Zones, out, lab.Questions())
			checkBothFamilies(t, out)
			checkBooks(t, books, out)
			checkGoNMSG(t, s.files(t, "first"), out)
		})
	}
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
	for _, reason := range []string{"not_outward", "local_server", "truncated", "local_name", "special_name"} {
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
