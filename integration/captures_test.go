package integration

import (
	"fmt"
	"net/netip"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
)

// Reasons for differences between records of the same minutes.
const (
	silent   = "Knot Resolver logs no resolver messages"
	unlogged = "PowerDNS does not log its own queries: root, security status, addresses of name servers"
	late     = "the resolver had given up, and did not log the answer"
	afterBad = "the resolver had logged an answer to another question before, and not the answer to its own"
	noZone   = "packets carry no zone, and the root of this closed world is not among the root hints"
	damaged  = "the addresses in the capture were rewritten afterwards, and in this packet also other octets with the same value"
)

// A difference counts records that only one side has.
type difference struct {
	n     int // positive: only in dnstap's; negative: only in the packets'
	about key
	why   string
}

func only(n int, name string, qtype uint16, server, why string) difference {
	return difference{n, key{netip.MustParseAddr(server), name, qtype}, why}
}

const (
	firstResolver  = "192.0.2.53,2001:db8:53::53"
	secondResolver = "203.0.113.50,203.0.113.51,203.0.113.52,203.0.113.53,203.0.113.54," +
		"2001:db8::50,2001:db8::51,2001:db8::52,2001:db8::53,2001:db8::54"
)

// TestPacketsAndDnstapOfTheSameMinutesGiveTheSameRecords replays the dnstap of each resolver
// and the packets that tcpdump captured meanwhile. Except for zone and time the records must
// be equal, or differ as listed.
func TestPacketsAndDnstapOfTheSameMinutesGiveTheSameRecords(t *testing.T) {
	for _, c := range []struct {
		name, resolvers string
		records         int // from the packets
		differ          []difference
	}{
		{"unbound", firstResolver, 88, nil},
		{"bind", firstResolver, 82, nil},
		{"bind-fwd", firstResolver, 0, nil},
		{"pdns", firstResolver, 68, []difference{
			only(-1, ".", dns.TypeNS, "2001:db8:41::4", unlogged),
			only(-1, "com.", dns.TypeA, "198.41.0.4", unlogged),
			only(-1, "ns1.cdn.net.", dns.TypeAAAA, "198.51.100.20", unlogged),
			only(-1, "ns1.evil.com.", dns.TypeAAAA, "198.51.100.66", unlogged),
			only(-1, "ns2.hoster.net.", dns.TypeAAAA, "203.0.113.10", unlogged),
			only(-1, "powerdns.com.", dns.TypeA, "2001:db8:5::30", unlogged),
			only(-1, securityStatus, dns.TypeTXT, "192.5.6.30", unlogged),
		}},
		{"unbound-2", secondResolver, 356, []difference{
			only(-1, "version.bind.", dns.TypeA, "2001:db8::10", noZone),
			only(-9, "www.late.com.", dns.TypeA, "203.0.113.14", late),
			only(-4, "www.slow.com.", dns.TypeA, "203.0.113.14", late),
			only(-5, "www.wrongq.com.", dns.TypeA, "203.0.113.14", afterBad),
			only(1, "hosting.net.", dns.TypeA, "203.0.113.16", damaged),
		}},
		{"unbound-3", secondResolver, 355, []difference{
			only(-1, "version.bind.", dns.TypeA, "203.0.113.10", noZone),
			only(-9, "www.late.com.", dns.TypeA, "203.0.113.14", late),
			only(-4, "www.slow.com.", dns.TypeA, "203.0.113.14", late),
			only(-5, "www.wrongq.com.", dns.TypeA, "203.0.113.14", afterBad),
			only(1, "evil.com.", dns.TypeA, "203.0.113.16", damaged),
			only(1, "target.other.org.", dns.TypeAAAA, "203.0.113.13", damaged),
			only(1, "www.lame.com.", dns.TypeA, "203.0.113.13", damaged),
			only(1, "x.wild.org.", dns.TypeA, "203.0.113.12", damaged),
		}},
		{"bind-2", secondResolver, 280, []difference{
			only(-1, "version.bind.", dns.TypeA, "2001:db8::10", noZone),
			only(-6, "www.late.com.", dns.TypeA, "203.0.113.14", late),
			only(-2, "www.slow.com.", dns.TypeA, "203.0.113.14", late),
			only(1, "h3.ecs.net.", dns.TypeA, "203.0.113.17", damaged),
		}},
		{"pdns-2", secondResolver, 240, []difference{
			only(-1, "www.late.com.", dns.TypeA, "203.0.113.14", late),
			only(1, "intranet.corp.example.", dns.TypeA, "203.0.113.20", damaged),
			only(1, "huge.big.com.", dns.TypeTXT, "203.0.113.12", damaged),
			only(1, "manya.big.com.", dns.TypeA, "203.0.113.12", damaged),
			only(-1, ".", dns.TypeNS, "203.0.113.10", unlogged),
			only(-1, "b.gtld-servers.net.", dns.TypeAAAA, "203.0.113.11", unlogged),
			only(-1, "b.root-servers.net.", dns.TypeAAAA, "203.0.113.10", unlogged),
			only(-1, "dead.com.", dns.TypeA, "203.0.113.16", unlogged),
			only(-1, "gtld-servers.net.", dns.TypeA, "2001:db8::11", unlogged),
			only(-1, "net.", dns.TypeA, "203.0.113.15", unlogged),
			only(-1, "ns.ecs.net.", dns.TypeAAAA, "203.0.113.17", unlogged),
			only(-1, "ns.evil.com.", dns.TypeAAAA, "203.0.113.14", unlogged),
			only(-1, "ns1.big.com.", dns.TypeAAAA, "203.0.113.12", unlogged),
			only(-1, "ns1.deleg.example.com.", dns.TypeAAAA, "203.0.113.13", unlogged),
			only(-1, "ns1.halfdead.com.", dns.TypeAAAA, "203.0.113.12", unlogged),
			only(-1, "ns1.halflame.com.", dns.TypeAAAA, "203.0.113.12", unlogged),
			only(-1, "ns1.hosting.net.", dns.TypeAAAA, "203.0.113.13", unlogged),
			only(-1, "ns1.lame.com.", dns.TypeAAAA, "203.0.113.13", unlogged),
			only(-1, "ns2.example.com.", dns.TypeAAAA, "203.0.113.12", unlogged),
			only(-1, "ns2.example.net.", dns.TypeAAAA, "203.0.113.13", unlogged),
			only(-1, "root-servers.net.", dns.TypeA, "2001:db8::11", unlogged),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dnstap := replayedFile(t, c.resolvers, "../transform/testdata/captures/"+c.name+".fstrm")
			packets := replayedFile(t, c.resolvers, "testdata/captures/"+c.name+".pcap")
			if len(packets.records) != c.records {
				t.Errorf("%d records of packets, want %d", len(packets.records), c.records)
			}
			want := map[difference]bool{}
			for _, d := range c.differ {
				t.Logf("%+d %v: %s", d.n, d.about, d.why)
				d.why = ""
				want[d] = true
			}
			same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			if diff := cmp.Diff(want, differences(dnstap, packets), same, cmp.AllowUnexported(difference{}, key{})); diff != "" {
				t.Errorf("records that only one side has (-expected +found):\n%s", diff)
			}
		})
	}
}

const securityStatus = "recursor-4.8.8-1_deb12u1.debian.security-status.secpoll.powerdns.com."

// TestPacketsOfKnotResolverGiveWhatItsDnstapLacks checks that the packets yield records where
// dnstap yields none. TestPacketsOfKnotResolverGiveRecordsAsTheZonesHaveThem
// checks the records themselves.
func TestPacketsOfKnotResolverGiveWhatItsDnstapLacks(t *testing.T) {
	t.Parallel()
	if got := len(replayedFile(t, firstResolver, "../transform/testdata/captures/kresd.fstrm").records); got != 0 {
		t.Errorf("%d records of dnstap, want none: %s", got, silent)
	}
	if got := len(replayedFile(t, firstResolver, "testdata/captures/kresd.pcap").records); got != 74 {
		t.Errorf("%d records of packets, want 74", got)
	}
}

// replayedFile replays a capture with the default policy, as dnsobs.
func replayedFile(t *testing.T, resolvers, file string) output {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), sensorBinary, "replay", "--resolvers", resolvers, "--message", "dnsobs", "--to", "stdout:", file)
	cmd.Stderr = t.Output()
	data, err := cmd.Output()
	if err != nil {
		t.Fatalf("replay %s: %v", file, err)
	}
	return readOutput(t, data)
}

// differences counts, by key, the records that only one of two outputs has. Zone and time
// are ignored.
func differences(dnstap, packets output) map[difference]bool {
	full := func(r nmsgcheck.Record) string {
		return fmt.Sprintf("%v class %d rcode %d %x", keyOf(r), r.Class, r.Rcode, r.Wire)
	}
	balance, of := map[string]int{}, map[string]key{}
	for _, r := range dnstap.records {
		balance[full(r)]++
		of[full(r)] = keyOf(r)
	}
	for _, r := range packets.records {
		balance[full(r)]--
		of[full(r)] = keyOf(r)
	}
	more, less := map[key]int{}, map[key]int{}
	for record, n := range balance {
		more[of[record]] += max(n, 0)
		less[of[record]] += min(n, 0)
	}
	found := map[difference]bool{}
	for k, n := range more {
		if n != 0 {
			found[difference{n, k, ""}] = true
		}
		if less[k] != 0 {
			found[difference{less[k], k, ""}] = true
		}
	}
	return found
}
