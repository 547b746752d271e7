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

// TestDnstapAndPacketsOfOneResolverGiveTheSameRecords has two sensors listen to one
// resolver at once: to its dnstap, and on a span port. Zone and time aside, their
// records are the same; where they are not, the packets say why.
func TestDnstapAndPacketsOfOneResolverGiveTheSameRecords(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, r speaker) {
		w := lab.NewWorld(t)
		port := w.SpanPort(t, lab.SpanOptions{})
		policy := kept + fileSink("first", "dnsobs") + fileSink("second", "dnsqr")
		told := startSensor(t, port.Namespace, unixSource+policy)
		seen := startCapture(t, port.Namespace, 1, packetSource("", port.Interfaces...)+policy)
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(told.tapPath()), Span: port})
		told.awaitLog(t, connected, 1)
		w.Ask(t, resolver, lab.Questions())
		resolver.Stop(t)
		told.stop(t)
		books := seen.stop(t)
		seen.packets(t).checkWhole(t)

		dnstap, packets := told.written(t, "first"), seen.written(t, "first")
		checkZones(t, w.Zones, packets)
		checkExpected(t, w.Zones, packets, lab.Questions())
		// Of answers that came after others have been asked, it may be that the resolver
		// tells nothing.
		slow := answeredLate(seen.written(t, "second"))
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
			t.Errorf("it is not so that %s", unlogged)
		}
		t.Logf("%d records of dnstap, %d of packets, explained: %v; packets: %+v",
			len(dnstap.records), len(packets.records), explained, books.account)
	})
}

// asksByItself reports whether PowerDNS Recursor asks for that without a client, and
// without a word: the root's name servers, its version's security status with the
// names above that, which it finds its way by, and addresses of name servers.
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

// answeredLate counts the answers that took longer than any resolver here waits before
// it asks again.
func answeredLate(o output) map[key]int {
	const impatience = 100 * time.Millisecond
	slow := map[key]int{}
	for _, r := range o.records {
		if r.Exchange != nil && took(r) > impatience {
			slow[keyOf(r)]++
		}
	}
	return slow
}

func took(r nmsgcheck.Record) time.Duration { return r.ResponseTime.Sub(r.QueryTime) }
