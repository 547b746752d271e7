package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
)

// TestDnstapAndPacketsOfOneResolverGiveTheSameRecords runs two sensors for one resolver: one
// receives its dnstap, one captures on a span port. Except for zone and time their records
// must be equal, or the packets must explain the difference.
func TestDnstapAndPacketsOfOneResolverGiveTheSameRecords(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		port := w.SpanPort(t, lab.SpanOptions{})
		policy := keepAddress + fileSink("first", "dnsobs") + fileSink("second", "dnsqr")
		fromDnstap := startSensor(t, port.Namespace, unixSource+policy)
		fromPackets := startCapture(t, port.Namespace, 1, packetSource("", port.Interfaces...)+policy)
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(fromDnstap.tapPath()), Span: port})
		fromDnstap.awaitLog(t, connected, 1)
		w.Ask(t, resolver, lab.Questions())
		resolver.Stop(t)
		fromDnstap.stop(t)
		closing := fromPackets.stop(t)
		fromPackets.packets(t).checkWhole(t)

		dnstap, packets := fromDnstap.written(t, "first"), fromPackets.written(t, "first")
		checkZones(t, w.Zones, packets)
		checkExpected(t, w.Zones, packets, lab.Questions())
		// The resolver may log no answer to a query that it had repeated to another server.
		slow := answeredLate(fromPackets.written(t, "second"))
		explained := map[string]int{}
		for d := range differences(dnstap, packets) {
			switch {
			case d.n == -1 && r.name == "PowerDNS" && asksByItself(d.about):
				explained[unlogged]++
			case d.n < 0 && slow[d.about] >= -d.n:
				explained[late]++
			default:
				t.Errorf("%+d %v", d.n, d.about)
			}
		}
		if r.name == "PowerDNS" && explained[unlogged] == 0 {
			t.Errorf("no difference was explained by: %s", unlogged)
		}
		t.Logf("%d records of dnstap, %d of packets, explained: %v; packets: %+v",
			len(dnstap.records), len(packets.records), explained, closing.account)
	})
}

// asksByItself reports whether PowerDNS Recursor asks that question without a client, and
// without logging it: the root's name servers, the security status of its version with the
// names above it, and addresses of name servers.
func asksByItself(k key) bool {
	const status = ".security-status.secpoll.powerdns.com."
	switch {
	case k.name == ".":
		return k.qtype == dns.TypeNS
	case strings.HasSuffix(k.name, status):
		return k.qtype == dns.TypeTXT || k.qtype == dns.TypeA
	case dns.IsSubDomain(k.name, status[1:]):
		return k.qtype == dns.TypeA
	case slices.ContainsFunc([]string{"ns1.", "ns2."}, func(ns string) bool { return strings.HasPrefix(k.name, ns) }):
		return k.qtype == dns.TypeA || k.qtype == dns.TypeAAAA
	}
	return false
}

// answeredLate counts the answers that took longer than the resolvers here wait before they
// repeat a query.
func answeredLate(o output) map[key]int {
	const retryTime = 100 * time.Millisecond
	slow := map[key]int{}
	for _, r := range o.records {
		if r.Exchange != nil && took(r) > retryTime {
			slow[keyOf(r)]++
		}
	}
	return slow
}

func took(r nmsgcheck.Record) time.Duration { return r.ResponseTime.Sub(r.QueryTime) }
