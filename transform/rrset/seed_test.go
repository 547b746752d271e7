package rrset

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// rootZone has the forms of the real file: names in two letter cases, addresses before the delegation
// that names their host, records that are no delegations.
const rootZone = `.			86400	IN	SOA	a.root-servers.net. nstld.verisign-grs.com. 2026112900 1800 900 604800 86400
.			518400	IN	NS	a.root-servers.net.
.			86400	IN	NSEC	com. NS SOA RRSIG NSEC DNSKEY
A.GTLD-SERVERS.net.	172800	IN	A	192.5.6.30
a.gtld-servers.net.	172800	IN	AAAA	2001:503:a83e:0:0:0:2:30
com.			172800	IN	NS	a.gtld-servers.net.
COM.			86400	IN	DS	19718 13 2 8ACBB0CD28F41250A80A491389424D341522D946B0DA0C0291F2D3D771D7805A
net.			172800	IN	NS	a.gtld-servers.net.
root-servers.net.	172800	IN	A	192.0.2.1
`

func planted(tb testing.TB) *sensor {
	tb.Helper()
	seed, err := ReadSeed(strings.NewReader(rootZone))
	if err != nil {
		tb.Fatal(err)
	}
	if seed.Serial != 2026112900 {
		tb.Errorf("serial %d", seed.Serial)
	}
	s := newSensor(tb)
	s.delegations.Plant(seed)
	return s
}

// TestARootZoneFileReplacesReferralsOfTheRoot is about a resolver that sends none, because it has
// the root zone itself, or has run for a while.
func TestARootZoneFileReplacesReferralsOfTheRoot(t *testing.T) {
	s := planted(t)
	s.expect(comReferral, "example.com. NS com.", "ns.example.com. A com.")
	r := comReferral
	r.server = "2001:503:a83e::2:30"
	s.expect(r, "example.com. NS com.", "ns.example.com. A com.")
	if zones, hosts := s.delegations.Len(); zones != 3 || hosts != 2 {
		t.Errorf("%d zones and %d hosts", zones, hosts)
	}
}

// TestRecordsReplaceTheRootZoneFile because the file may be old.
func TestRecordsReplaceTheRootZoneFile(t *testing.T) {
	s := planted(t)
	served := func(by string, now transform.Time) bool {
		return s.delegations.zoneOf(wiretest.Name("www.example.com"), dns.TypeA, netip.MustParseAddr(by), now) != nil
	}
	if !served(comServer, noon+3650*day) {
		t.Error("the delegation of the file expires before records replace it")
	}
	s.expect(reply{server: rootServer.String(), name: "www.example.com.", authority: "com. 60 NS new.gtld-servers.net.", additional: "new.gtld-servers.net. 60 A 192.0.2.30"},
		"com. NS .", "new.gtld-servers.net. A .")
	for _, server := range []string{comServer, "192.0.2.30"} {
		if !served(server, noon+7*day-1) || served(server, noon+7*day) {
			t.Errorf("%s does not expire after 7 days", server)
		}
	}
	s.expect(reply{server: rootServer.String(), name: "a.gtld-servers.net.", additional: "a.gtld-servers.net. 60 A 192.0.2.31"}, "a.gtld-servers.net. A .")
	r := reply{server: rootServer.String(), name: "www.example.net.", authority: "net. 8640000 NS a.gtld-servers.net."}
	s.expect(r, "net. NS .")
	if name := wiretest.Name("x.net"); s.delegations.zoneOf(name, dns.TypeA, netip.MustParseAddr(comServer), noon+8*day) != nil {
		t.Error("the address of the file does not expire")
	}
}

func TestReadSeedRefusesOtherFiles(t *testing.T) {
	soa, _, _ := strings.Cut(rootZone, "\n")
	for what, c := range map[string]struct{ text, want string }{
		"no file":         {"", "no SOA record"},
		"root hints":      {". 3600000 NS A.ROOT-SERVERS.NET.\nA.ROOT-SERVERS.NET. 3600000 A 198.41.0.4\n", "no SOA record"},
		"no delegation":   {soa + "\n", "no delegation"},
		"another zone":    {strings.Replace(rootZone, ".\t\t\t86400", "com.\t86400", 1), "no SOA record"},
		"not a zone file": {"<html>", "line: 1"},
		"a cut line":      {rootZone + "de. 60 IN", "line: 10"},
		"includes":        {soa + "\n$INCLUDE /etc/passwd\n", "line: 2"},
		"too many":        {soa + "\n$GENERATE 1-65535 a$.x. A 192.0.2.1\n" + strings.Repeat("$GENERATE 1-65535 b$. NS ns.b$.\n", 4), "too many"},
	} {
		_, err := ReadSeed(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "root zone file: ") {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// TestALargeRootZoneFits has 1,500 delegations, with 6 servers each.
func TestALargeRootZoneFits(t *testing.T) {
	var file strings.Builder
	file.WriteString(rootZone)
	for i := range 1500 {
		for j := range 6 {
			fmt.Fprintf(&file, "tld%d. 172800 IN NS ns%d.nic.tld%d.\nns%[2]d.nic.tld%[1]d. 172800 IN A 192.0.2.1\nns%[2]d.nic.tld%[1]d. 172800 IN AAAA 2001:db8::%[2]d\n", i, j, i)
		}
	}
	seed, err := ReadSeed(strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	d := NewDelegations(nil, 4<<20)
	d.Plant(seed)
	if zones, _ := d.Len(); zones != 1502 {
		t.Errorf("%d zones", zones)
	}
	t.Logf("%d octets", d.Octets())
	small := NewDelegations(nil, 1<<16)
	small.Plant(&Seed{servers: seed.servers})
	if small.Octets() > 1<<16 {
		t.Errorf("delegations alone use %d octets of %d", small.Octets(), 1<<16)
	}
	small.Plant(seed)
	if zones, _ := small.Len(); zones == 0 || small.Octets() > 1<<16 {
		t.Errorf("%d zones use %d octets of %d", zones, small.Octets(), 1<<16)
	}
}
