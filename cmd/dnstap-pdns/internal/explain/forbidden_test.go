package explain

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// leaked returns a record that was not scrubbed.
func leaked(t *testing.T, name string, qtype uint16, answer ...string) *transform.Record {
	t.Helper()
	return &transform.Record{Server: server, Resolver: netip.AddrPortFrom(netip.IPv4Unspecified(), 0), Zeroed: true, HasResponse: true,
		Name: []byte("\x01x\x08test-tld\x00"), Type: qtype, Class: dns.ClassINET, Response: pack(t, response(t, name, qtype, answer...))}
}

// TestForbiddenItemsAreFoundWithoutACanary has records that were not scrubbed.
func TestForbiddenItemsAreFoundWithoutACanary(t *testing.T) {
	c := site()
	c.Resolvers = []netip.Prefix{netip.MustParsePrefix("192.0.2.54/32"), netip.MustParsePrefix("2001:db8:53::/48")}
	for _, x := range []struct {
		record  *transform.Record
		verdict string
		finding string // form, place
	}{
		{leaked(t, "www.corp.example.", dns.TypeA), "local name corp.example appears in 1 of 1 output records", "name, question"},
		{leaked(t, "corp.example.dbl.test-tld.", dns.TypeA), "local name corp.example appears in 1 of 1 output records",
			"name inside a foreign name, question"},
		{leaked(t, "x.test-tld.", dns.TypeTXT, `x.test-tld. TXT "at CORP.exa" "mple"`),
			"local name corp.example appears in 1 of 1 output records", "name, text"},
		{leaked(t, "ip-203-0-113-7.test-tld.", dns.TypeA), "local network 203.0.113.0/24 appears in 1 of 1 output records",
			"four numbers, question"},
		{leaked(t, "x.test-tld.", dns.TypeA, "x.test-tld. A 192.0.2.53"), "resolver address appears in 1 of 1 output records", "address, address"},
		{leaked(t, "x.test-tld.", dns.TypeAAAA, "x.test-tld. AAAA 2001:db8:53::9"),
			"resolver address 2001:db8:53::/48 appears in 1 of 1 output records", "address, address"},
		{&transform.Record{Server: server, Resolver: resolver, HasResponse: true, Name: []byte("\x01x\x00"),
			Response: pack(t, response(t, "x.test-tld.", dns.TypeA))},
			"resolver address appears in 1 of 1 output records", "address, address field"},
	} {
		for _, m := range nmsg.MessageTypes() {
			e := New(c, Options{})
			e.Learner().Take(answered(nil))
			_, payload, err := nmsg.AppendPayload(nil, m, nmsg.IDs{}, x.record)
			if err != nil {
				t.Fatal(err)
			}
			var out nmsg.Container
			e.Sent(m.String(), out.Seal(out.Add(out.Begin(nil), payload), 1), false)
			r := e.Report(&transform.Counts{}, Origin{})
			if m == nmsg.DNSObs && strings.HasSuffix(x.finding, "field") {
				continue // it has no address of the resolver
			}
			found := ""
			for _, v := range r.Verdicts {
				if v.Found > 0 {
					found += fmt.Sprintf("%s: %s, %s\n", v.Verdict, v.Findings[0].Form, v.Findings[0].Place)
				}
			}
			if want := x.verdict + ": " + x.finding + "\n"; found != want || !r.Found {
				t.Errorf("%s: got %q, want %q; found %v", m, found, want, r.Found)
			}
		}
	}
}

// TestLooseHitsAreNotes: an item of the policy is a note in a form or place that the policy
// does not forbid.
func TestLooseHitsAreNotes(t *testing.T) {
	c := site()
	c.LocalNames = []string{"ksu.edu"}
	e := New(c, Options{})
	e.Learner().Take(answered(nil))
	e.Sent("dnsqr", contained(t, leaked(t, "www.ksu.edu.sa.", dns.TypeDNSKEY, "www.ksu.edu.sa. DNSKEY 257 3 8 wAACNcAAAjU=")), false)
	r := e.Report(&transform.Counts{}, Origin{})
	if len(r.Verdicts) != 2 || r.Found {
		t.Fatalf("got %+v, found %v", r.Verdicts, r.Found)
	}
	for _, v := range r.Verdicts {
		if v.Found != 0 || v.Loose != 1 || len(v.Notes) != 1 {
			t.Errorf("got %+v", v)
		}
	}
	var b strings.Builder
	if err := r.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"local name ksu.edu appears in 0 of 1 output records\n  note: 1 records or containers hold it in a form or place that the configuration does not forbid:\n" +
			"  record 1 of dnsqr: wire labels, in the octets as sent, at octet ",
		"local names of the configuration (1) appear in 0 of 1 output records\n",
		"Nothing of this that must not leave was found.\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%.1500s", want, b.String())
		}
	}
}

// TestTransactionsAreSearchedForTheirOwnItems: a client subnet is forbidden in the record of its
// transaction only, and so is a resolver's address beyond maxLearned.
func TestTransactionsAreSearchedForTheirOwnItems(t *testing.T) {
	record := leaked(t, "x.test-tld.", dns.TypeTXT, `x.test-tld. TXT "you are in 198.18.5.0/24, and 192.0.2.53 queried"`)
	query := new(dns.Msg).SetQuestion("X.test-tld.", dns.TypeTXT)
	query.Id = 0x1234
	with, without := asked(pack(t, withOPT(query.Copy()))), asked(pack(t, query))
	plain, echoed := answered(record.Response), answered(pack(t, withOPT(response(t, "x.test-tld.", dns.TypeTXT))))
	other := answered(append([]byte("\x12\x35"), record.Response[2:]...))
	const subnet, address = "client subnet 198.18.5.0/24", "resolver address 192.0.2.53"
	for _, c := range []struct {
		name     string
		messages []*transform.Message
		keep     bool
		want     string
	}{
		{"subnet in the query", []*transform.Message{with, plain}, true, subnet},
		{"subnet in the response", []*transform.Message{without, echoed}, true, subnet},
		{"no subnet", []*transform.Message{without, plain}, true, ""},
		{"another ID", []*transform.Message{with, other}, true, ""},
		{"the query ended", []*transform.Message{with, nil}, true, subnet},
		{"own address", []*transform.Message{without, plain}, false, address},
		{"both", []*transform.Message{with, plain}, false, subnet + " " + address},
	} {
		config := site()
		config.KeepResolver = c.keep
		e := New(config, Options{})
		for len(e.learned.addrs) < maxLearned { // no room for the address
			e.learned.addrs[netip.AddrFrom4([4]byte{198, 19, byte(len(e.learned.addrs) >> 8), byte(len(e.learned.addrs))})] = true
		}
		for i, m := range c.messages {
			v := &transform.Verdict{Message: m, Response: i == 1, Server: server, Name: []byte("\x01x\x08test-tld\x00"), Type: dns.TypeTXT}
			if i == 1 {
				v.Record = record
				v.Response = m != nil
			}
			e.Verdict(v)
		}
		r := e.Report(&transform.Counts{}, Origin{})
		var got []string
		for _, v := range r.Verdicts {
			got = append(got, v.Kind+" "+v.Canary)
			if v.Verdict != v.Kind+" "+v.Canary+" appears in 1 of 1 records of its own transaction" || v.Findings[0].Text != exampleText(c.messages[1]) {
				t.Errorf("%s: got %+v", c.name, v)
			}
		}
		if strings.Join(got, " ") != c.want || r.Found != (c.want != "") {
			t.Errorf("%s: got %q, want %q; found %v", c.name, got, c.want, r.Found)
		}
	}
}

func exampleText(m *transform.Message) string {
	if m == nil {
		return "x.test-tld. TXT to 198.51.100.7:53 1970-01-01T00:00:00Z\n"
	}
	return "x.test-tld. TXT from 198.51.100.7:53 1970-01-01T00:00:00Z\n"
}

// TestSubnetsOfQueriesAreForgotten after two generations of later queries.
func TestSubnetsOfQueriesAreForgotten(t *testing.T) {
	var x transactions
	subnet := []netip.Prefix{netip.MustParsePrefix("198.18.5.0/24")}
	first := query{id: 1, name: "first"}
	x.remember(first, subnet)
	for i := range 2 * maxSubnets {
		x.remember(query{id: 1, name: fmt.Sprint(i)}, subnet)
	}
	if n := len(x.queries) + len(x.last); n > 2*(maxSubnets+1) || x.queries[first] != nil || x.last[first] != nil {
		t.Errorf("%d queries, the first: %v", n, x.last[first])
	}
}

// TestFindingsMatchTheirEntries: a finding matches the entry that it names, and the names above it.
func TestFindingsMatchTheirEntries(t *testing.T) {
	c := site()
	c.LocalNames = []string{"corp.example", "Example.", "www.corp.example", "bücher.example", "list.test-tld"}
	c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("203.0.0.0/16"),
		netip.MustParsePrefix("198.51.0.0/16"), netip.MustParsePrefix("198.18.0.0/15")}
	c.Resolvers = []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32"), netip.MustParsePrefix("192.0.2.54/32"),
		netip.MustParsePrefix("192.0.2.55/32"), netip.MustParsePrefix("198.18.0.0/16"), netip.MustParsePrefix("198.51.100.7/32")}
	find := func(rule transform.Rule, entry transform.Entry) *transform.Verdict {
		return &transform.Verdict{Reason: rule.ForbidsAs(), Finding: transform.Finding{Rule: rule, Entry: entry}}
	}
	e := New(c, Options{Masked: func(entry string) string { return strings.ReplaceAll(entry, "www", "***") }})
	for _, v := range []*transform.Verdict{
		find(transform.LocalNameInside, transform.Entry{Name: "corp.example"}),
		find(transform.LocalNetwork, transform.Entry{Prefix: netip.MustParsePrefix("203.0.113.0/24")}),
		find(transform.ResolverInName, transform.Entry{Prefix: netip.MustParsePrefix("192.0.2.54/32")}),
		find(transform.ClientSubnet, transform.Entry{Prefix: netip.MustParsePrefix("192.0.2.55/32")}),
		find(transform.SpecialUse, transform.Entry{}),
		{Reason: transform.LocalServer, Server: server},
	} {
		e.Verdict(v)
	}
	e.Learner().Take(answered(nil))
	want := []Entry{
		{"scrub.local_names", `"b\u00fccher.example"`},
		{"scrub.local_names", "list.test-tld"},
		{"scrub.local_names", "***.corp.example"},
		{"scrub.local_networks", "198.18.0.0/15"},
		{"scrub.resolvers", "192.0.2.55"},
		{"scrub.resolvers", "198.18.0.0/16"},
	}
	if diff := cmp.Diff(want, e.Report(&transform.Counts{}, Origin{}).Unmatched); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestZonesThatMayHideAreListed in the order of their drops, the most first.
func TestZonesThatMayHideAreListed(t *testing.T) {
	e := New(site(), Options{})
	drop := func(name string, reason transform.Reason, rule transform.Rule) {
		b := make([]byte, 300)
		n, err := dns.PackDomainName(name, b, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		e.Verdict(&transform.Verdict{Reason: reason, Name: b[:n], Finding: transform.Finding{Rule: rule}})
	}
	for i := range 3 {
		drop(fmt.Sprintf("x%d.whoami.co.uk.", i), transform.ResolverAddress, transform.ResolverInAddress)
		drop("a.b.list.org.", transform.Lookup, transform.ListLookup)
	}
	drop("list.org.", transform.LocalName, transform.LocalNameInside)
	drop("co.uk.", transform.Lookup, transform.ListLookup)
	drop("www.other.org.", transform.LocalName, transform.LocalNameInName)
	drop("printer.local.", transform.SpecialName, transform.SpecialUse)
	r := e.Report(&transform.Counts{}, Origin{})
	want := []Zone{{"list.org", 0, 3, 1}, {"whoami.co.uk", 3, 0, 0}, {"co.uk", 0, 1, 0}}
	if diff := cmp.Diff(want, r.MostDropped); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w := text{}
	w.hiding(r.MostDropped[:1])
	if got := w.b.String(); !strings.HasSuffix(got, "\nlist.org                    4  lookup 3, local_name_inside 1\n") {
		t.Errorf("got %q", got)
	}
	for i := range 3 * maxZones { // each once: the zone with many drops stays
		drop(fmt.Sprintf("x.zone%d.org.", i), transform.Lookup, transform.ListLookup)
		if i%10 == 0 {
			drop("b.list.org.", transform.Lookup, transform.ListLookup)
		}
	}
	r = e.Report(&transform.Counts{}, Origin{})
	if held := len(e.hiding.Top(2 * maxZones)); held > maxZones || len(r.MostDropped) > shownZones || r.MostDropped[0].Zone != "list.org" {
		t.Errorf("%d zones, shown %v", held, r.MostDropped)
	}
}
