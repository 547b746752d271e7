package canary

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func prefixList(all ...string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, p := range all {
		prefixes = append(prefixes, netip.MustParsePrefix(p))
	}
	return prefixes
}

// site is a policy with entries of each kind.
func site() Policy {
	return Policy{
		LocalNames: []Name{{"corp.example", "Corp.Example."}, {"xn--bcher-kva.example", "bücher.example"}, {"intern", "intern"},
			{"ksu.edu", "ksu.edu"}, {"xn--kve-ula.de", "kåve.de"}},
		LocalNetworks: prefixList("198.51.100.0/24", "2001:db8:51::/48", "203.0.113.7/32"),
		Resolvers:     prefixList("192.0.2.53/32", "2001:db8:53::53/128", "198.18.7.0/24", "2001:db8:54::/48", "198.19.0.0/16", "127.0.0.1/32"),
	}
}

// ecs has two client subnets, and two that are too short to identify a client.
var ecs = prefixList("100.64.0.0/16", "3fff:64::/32", "100.70.0.0/15", "3fff:7f0::/28")

// wireName returns a name in wire form; \DDD is an octet.
func wireName(t *testing.T, name string) []byte {
	t.Helper()
	b := make([]byte, 300)
	n, err := dns.PackDomainName(dns.Fqdn(name), b, 0, nil, false)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b[:n]
}

// rules returns the rules and entries of hits, each once.
func rules(hits []Hit) string {
	var all []string
	for _, h := range hits {
		all = append(all, fmt.Sprintf("%s %s", h.Rule, h.Entry))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "; ")
}

const (
	corp     = "local name Corp.Example."
	within   = "local name inside a foreign name Corp.Example."
	books    = "local name bücher.example"
	network  = "local network 198.51.100.0/24"
	network6 = "local network 2001:db8:51::/48"
	one      = "resolver address 192.0.2.53"
	one6     = "resolver address 2001:db8:53::53"
	some     = "resolver address 198.18.7.0/24"
	some6    = "resolver address 2001:db8:54::/48"
	client   = "client subnet 100.64.0.0/16"
	client6  = "client subnet 3fff:64::/32"
)

func nibblesOf(addr string) string {
	return strings.Join(nibbles(netip.MustParseAddr(addr).AsSlice()), ".")
}

func TestNamesAreJudged(t *testing.T) {
	f := NewForbidden(site())
	for name, want := range map[string]string{
		"corp.example":                                corp,
		"www.CORP.example":                            corp,
		`admin\@corp.example`:                         corp,
		`admin\.corp.example`:                         corp,
		"xcorp.example":                               "",
		`x\-corp.example`:                             "",
		`\195\188corp.example`:                        "", // a letter
		`\188corp.example`:                            corp,
		"corp.examples":                               "",
		"corp.example.dbl.bl.org":                     within,
		"corp.example-dbl.org":                        "",
		`corp.example\@x.org`:                         within,
		"intranet.corp.example.fritz.box":             within,
		"corp.example._report._dmarc.partner.org":     within,
		"host.xn--bcher-kva.example":                  books,
		`host.b\195\188cher.example`:                  books,
		`host.B\195\156CHER.example`:                  books,
		`host.bu\204\136cher.example`:                 books,
		`host.b\252cher.example`:                      "",
		`\226\132\170a.intern`:                        "local name intern",
		`k\195\165ve.de`:                              "local name kåve.de",
		`\226\132\170\226\132\171ve.de`:               "local name kåve.de", // Kelvin and Angstrom signs
		"x.intern":                                    "local name intern",
		"intern.example.org":                          "",
		`x\.intern`:                                   "",
		"www.ksu.edu":                                 "local name ksu.edu",
		"www.ksu.edu.sa":                              "",
		"www.ksu.edu.example.org":                     "local name inside a foreign name ksu.edu",
		"corp.example.blogspot.com":                   within, // a suffix of the private section
		"com":                                         "",
		".":                                           "",
		"23.100.51.198.in-addr.arpa":                  network,
		"23.100.51.198.in-addr.arpa.fritz.box":        network,
		"x.23.100.51.198.IN-ADDR.arpa":                network,
		"100.51.198.in-addr.arpa":                     network,
		"51.198.in-addr.arpa":                         "",
		"x.51.198.in-addr.arpa":                       network,
		"0-15.100.51.198.in-addr.arpa":                network,
		"in-addr.arpa":                                "",
		"x.in-addr.arpa":                              "",
		"256.100.51.198.in-addr.arpa":                 network,
		"23.101.51.198.in-addr.arpa":                  "",
		"0023.100.51.198.in-addr.arpa":                network,
		"53.2.0.192.in-addr.arpa":                     one,
		"53.0-63.2.0.192.in-addr.arpa":                one,
		"053.x.2.0.192.in-addr.arpa":                  one,
		"54.0-63.2.0.192.in-addr.arpa":                "",
		"0-63.2.0.192.in-addr.arpa":                   "",
		"x.7.18.198.in-addr.arpa":                     some,
		"x.18.198.in-addr.arpa":                       some,
		"x.0.19.198.in-addr.arpa":                     "", // a prefix of /16 does not identify the resolver
		"x.113.0.203.in-addr.arpa":                    "local network 203.0.113.7",
		nibblesOf("2001:db8:53::53") + ".ip6.arpa":    one6,
		nibblesOf("2001:db8:53::54") + ".ip6.arpa":    "",
		"1.5.0.0.8.b.d.0.1.0.0.2.ip6.arpa":            network6,
		"x.5.0.0.8.b.d.0.1.0.0.2.ip6.arpa":            network6 + "; " + some6,
		"5.0.0.8.b.d.0.1.0.0.2.ip6.arpa":              "",
		"5.4.6.0.0.f.f.f.3.ip6.arpa":                  client6,
		nibblesOf("::ffff:192.0.2.53") + ".ip6.arpa":  one,
		nibblesOf("64:ff9b::c633:6417") + ".ip6.arpa": network,
		nibblesOf("2002:c633:6417::1") + ".ip6.arpa":  network,
		"53.2.0.192.ip6.arpa":                         "",
		"53.2.0.192.ip6.arpa.53.2.0.192.example.org":  one,
		"corp.example.ip6.arpa":                       within,
		"23.100.51.198.zen.dnsbl-test.com":            network,
		"9.23.100.51.198.7.dnsbl-test.com":            network,
		"053.2.0.192.example.org":                     one,
		"0053.2.0.192.example.org":                    one,
		nibblesOf("2001:db8:53::53") + ".example.org": one6,
		"0." + nibblesOf("2001:db8:53::53") + ".org":  one6,
		"192.0.2.53.example.org":                      one,
		"0192.0.2.0053.example.org":                   one,
		"192.0.2.54.example.org":                      "",
		"192.0.2.x53.example.org":                     "",
		"2001.db8.53.0.0.0.0.53.example.org":          one6,
		"2001.0db8.0051.1.2.3.4.5.example.org":        network6,
		"ip-198-51-100-23.cdn-test.com":               network,
		"ip-23-100-51-198.cdn-test.com":               network,
		`198\.51\.100\.23.cdn-test.com`:               network,
		"c6336417.cdn-test.com":                       network,
		"xc6336417.cdn-test.com":                      "",
		"x-C6336417-y.cdn-test.com":                   network,
		"3325256727.cdn-test.com":                     network,
		"x3325256727y.cdn-test.com":                   network,
		"33252567271.cdn-test.com":                    "",
		"2001-db8-51--1.cdn-test.com":                 network6,
		"2001-db8-53--53.cdn-test.com":                one6,
		"x2001-db8-53--53.cdn-test.com":               one6,
		"02001-db8-53--53.cdn-test.com":               "",
		"3fff-64--.cdn-test.com":                      "", // two groups
		"3fff-64--1-x.cdn-test.com":                   client6,
		"20010db8005300000000000000000053.org":        one6,
		"ip-100-64-7-7.org":                           client,
		"ip-7-7-64-100.org":                           client,
		"1681918727.org":                              "", // a decimal number needs /24
		"64400707.org":                                client,
		"3fff-64--7.org":                              client6,
		"3fff0064000000000000000000000007.org":        "", // hexadecimal needs /48
		"100-70-7-7.org":                              "",
		"3fff-7f0--7.org":                             "",
		"127.0.0.1.org":                               "",
	} {
		for _, place := range []Place{InQuestion, InZone, InOwner, InRdata} {
			wire, zone := messageWith(t, place, name)
			got := f.Message(wire, zone, ecs, nil)
			if rules(got) != want {
				t.Errorf("%s as %s: got %q, want %q", name, place, rules(got), want)
			}
			for _, h := range got {
				if h.Place != place {
					t.Errorf("%s as %s: got place %q", name, place, h.Place)
				}
			}
		}
	}
}

// messageWith returns a message, and a zone, with a name in one place.
func messageWith(t *testing.T, place Place, name string) (wire, zone []byte) {
	t.Helper()
	at := func(p Place) []byte {
		if p == place {
			return wireName(t, name)
		}
		return wireName(t, "plain.example.net")
	}
	wire = append([]byte("\x00\x00\x84\x00\x00\x01\x00\x00\x00\x01\x00\x00"), at(InQuestion)...)
	wire = append(wire, "\x00\x05\x00\x01"...)
	return appendRecord(wire, at(InOwner), dns.TypeCNAME, at(InRdata)), at(InZone)
}

func appendRecord(wire, owner []byte, rtype uint16, rdata []byte) []byte {
	wire = append(wire, owner...)
	wire = append(wire, byte(rtype>>8), byte(rtype), 0, 1, 0, 0, 0, 60, byte(len(rdata)>>8), byte(len(rdata)))
	return append(wire, rdata...)
}

// recordHits searches a message of one record with this type and rdata.
func recordHits(t *testing.T, f *ForbiddenSearch, rtype uint16, rdata []byte) []Hit {
	t.Helper()
	wire := appendRecord([]byte("\x00\x00\x84\x00\x00\x00\x00\x00\x00\x00\x00\x01"), wireName(t, "x.org"), rtype, rdata)
	return f.Message(wire, nil, ecs, nil)
}

// TestTextsAreJudged searches one text in each place that holds text.
func TestTextsAreJudged(t *testing.T) {
	f := NewForbidden(site())
	for text, want := range map[string]string{
		"see www.Corp.Example, or ask":           corp,
		"CORP.EXAMPLE":                           corp,
		"mail admin@corp.example now":            corp,
		"corp.example.":                          corp,
		"corp.example.org":                       corp,
		"x-corp.example":                         "",
		"corp.example_":                          "",
		"corp.examplé":                           "",
		"écorp.example":                          "",
		"\xe9corp.example\xe9":                   corp,
		"at bücher.example":                      books,
		"at BÜCHER.EXAMPLE":                      books,
		"at bu\u0308cher.example":                books,
		"at bu\u0308cher.example.org":            books,
		"at xn--bcher-kva.example":               books,
		"intern and x.intern":                    "",
		"www.ksu.edu.sa":                         "",
		"www.ksu.edu.sa...":                      "",
		"www.ksu.edu.":                           "local name ksu.edu",
		"www.ksu.edu, .sa":                       "local name ksu.edu",
		"23.100.51.198.in-addr.arpa":             "", // local networks count in names only
		"198.51.100.23":                          "",
		"v=spf1 ip4:192.0.2.53 -all":             one,
		"192.0.2.530":                            "",
		"1192.0.2.53":                            "",
		"1.192.0.2.53.7":                         one,
		"a192_0_2_53b":                           one,
		"192-0.2-53":                             "",
		"192--0-2-53":                            "",
		"53.2.0.192":                             one,
		"00192.000.02.0053":                      one,
		"198.18.7.9 and 198.18.8.9":              some,
		"100.64.1.2":                             client,
		"x=c0000235":                             one,
		"c00002355":                              "",
		"c0000235g":                              "",
		"c0000235é":                              one,
		"3221226037":                             one,
		"id03221226037x":                         one,
		"32212260370":                            "",
		"2001:db8:53::53":                        one6,
		"1:2001:db8:53::53":                      one6,
		"2001:db8:53::53:1":                      one6,
		"2001:db8:53:0:0:0:0:53:1":               one6,
		"2001:DB8:0053::0:53":                    one6,
		"2001:db8:53::0.0.0.83":                  one6,
		"02001:db8:53::53":                       "",
		"2001:db8:53::53/128":                    one6,
		"g2001:db8:53::53g":                      one6,
		"::ffff:192.0.2.53":                      one,
		"::ffff:c000:235":                        one,
		"64:ff9b::c000:235":                      one,
		"64:ff9b:1:c000:2:3500::":                one,
		"2002:c000:235::1":                       one,
		"2001:db8:7:c000:2:3500::":               one, // RFC 6052 with 48 bits
		"2001:db8:7:c000:2:3500:0:1":             "",
		"fe80::5efe:c000:235":                    one,
		"2001:0:c000:235::1":                     one,
		"2001:0:1:2:3:4:3fff:fdca":               one,
		"::ffff:198.18.7.9":                      some,
		"2001:db8:7:c612:7:0900::":               "", // not every form counts for prefixes
		"2001-db8-53--53":                        one6,
		"2001_db8_53_0_0_0_0_53":                 one6,
		"2001.db8.53.0.0.0.0.53.":                one6,
		"x-2001-db8-53--53":                      one6,
		"x2001-db8-53--53":                       one6,
		"1-2001-db8-53--53":                      one6,
		"2001_db8_53_0_0_0_0_53_1":               one6,
		"02001-db8-53--53":                       "",
		"2001-db8-53--192.0.2.54":                "",
		"2001-db8--5":                            "",
		"2001-db8-54--":                          some6,
		"3fff-64--":                              "", // two groups
		"2001--db8-53--53":                       "",
		"20010db8005300000000000000000053":       one6,
		"42540766411382933699931999173154439251": one6,
		nibblesOf("2001:db8:53::53"):             one6,
		nibblesOf("2001:db8:53::53") + "x":       "",
		"0." + nibblesOf("2001:db8:53::53"):      one6,
		nibblesOf("2001:db8:53::53")[2:]:         "",
		"at 53.2.0.192.in-addr.arpa.":            one,
		"at 53.2.0.192.in-addr.arpa.x":           one,
		"at 0-63.7.18.198.in-addr.arpa":          some,
		"at ..7.18.198.in-addr.arpa..":           some,
		"at x.18.198.in-addr.arpa.":              some,
		"at x..18.198.in-addr.arpa":              "",
		"at x.18.198..in-addr.arpa":              "",
		"at .18.198.in-addr.arpa":                "",
		"at 53.0-63.2.0.192.In-Addr.Arpa":        one,
		"at x.4.5.0.0.8.b.d.0.1.0.0.2.ip6.arpa":  some6,
		"127.0.0.1 or ::1":                       "",
	} {
		for place, hits := range map[string][]Hit{
			"TXT":     recordHits(t, f, dns.TypeTXT, characterString(text)),
			"cut":     recordHits(t, f, dns.TypeTXT, append(characterString(text[:len(text)/2]), characterString(text[len(text)/2:])...)),
			"HINFO":   recordHits(t, f, dns.TypeHINFO, append(characterString(text), 0)),
			"NAPTR":   recordHits(t, f, dns.TypeNAPTR, append(append(append([]byte("\x00\x01\x00\x01\x01u"), characterString(text)...), 0), 0)),
			"CAA":     recordHits(t, f, dns.TypeCAA, append([]byte("\x00\x05issue"), text...)),
			"URI":     recordHits(t, f, dns.TypeURI, append([]byte("\x00\x01\x00\x01"), text...)),
			"SVCB":    recordHits(t, f, dns.TypeSVCB, append([]byte{0, 1, 0, 0, 7, 0, byte(len(text))}, text...)),
			"ALPN":    recordHits(t, f, dns.TypeHTTPS, append([]byte{0, 1, 0, 0, 1, 0, byte(len(text) + 1)}, characterString(text)...)),
			"unknown": recordHits(t, f, 65280, []byte(text)),
			"strings": recordHits(t, f, 65280, characterString(text)),
			"DS":      recordHits(t, f, dns.TypeDS, []byte(text)),
			"HIP":     recordHits(t, f, dns.TypeHIP, append([]byte{0, 2, 0, byte(len(text))}, text...)),
			"gateway": recordHits(t, f, dns.TypeIPSECKEY, append([]byte("\x1f\x04"+strings.Repeat("x", 30)), characterString(text)...)),
		} {
			if got := rules(hits); got != want {
				t.Errorf("%q in %s: got %q, want %q", text, place, got, want)
			}
			for _, h := range hits {
				if h.Place != InText {
					t.Errorf("%q in %s: got place %q", text, place, h.Place)
				}
			}
		}
	}
}

func characterString(s string) []byte { return append([]byte{byte(len(s))}, s...) }

// TestOpaqueOctetsAreJudged searches one string of octets between other octets.
func TestOpaqueOctetsAreJudged(t *testing.T) {
	f := NewForbidden(site())
	addr := func(a string) string { return string(netip.MustParseAddr(a).AsSlice()) }
	for octets, want := range map[string]string{
		"\x04corp\x07example":                                corp,
		"\x04CORP\x07exAmple\x00":                            corp,
		"\x04corp\x07example\x03org\x00":                     corp,
		"\x05xcorp\x07example":                               "",
		"\x04corp\x08examples":                               "",
		"\x04corp\x07exampl":                                 "",
		"\x07b\xc3\xbccher\x07example":                       books,
		"\x08bu\xcc\x88cher\x07example":                      books,
		"\x07B\xc3\x9cCHER\x07example":                       books,
		"\x07b\xc3\xbdcher\x07example":                       "",
		"\x0dxn--bcher-kva\x07example":                       books,
		"\x06intern\x00":                                     "local name intern",
		"\x06intern\x03org\x00":                              "",
		"\x03ksu\x03edu\x02sa\x00":                           "local name ksu.edu", // public suffixes do not count
		addr("192.0.2.53"):                                   one,
		addr("192.0.2.54"):                                   "",
		addr("2001:db8:53::53"):                              one6,
		addr("2001:db8:54::7"):                               some6,
		addr("198.18.7.9"):                                   "", // a prefix of IPv4
		addr("100.64.1.1"):                                   "", // a client subnet
		addr("198.51.100.23"):                                "", // a local network
		"\x0253\x012\x010\x03192\x07In-addr\x04arpa":         one,
		"\x0254\x012\x010\x03192\x07in-addr\x04arpa":         "",
		"\x0253\x040-63\x012\x010\x03192\x07in-addr\x04arpa": one, // RFC 2317
		"\x010\x017\x0218\x03198\x07in-addr\x04arpa\x00":     some,
		"\x0223\x03100\x0251\x03198\x07in-addr\x04arpa":      "",
		"\x017\x017\x0264\x03100\x07in-addr\x04arpa":         client,
	} {
		for _, around := range [][2]string{{"", ""}, {"\x00\xff", "................"}, {".................", "\x00"}} {
			rdata := []byte(around[0] + octets + around[1])
			for _, rtype := range []uint16{65280, dns.TypeNULL} {
				if got := rules(recordHits(t, f, rtype, rdata)); got != want {
					t.Errorf("%q in %s: got %q, want %q", rdata, dns.Type(rtype), got, want)
				}
			}
			if len(octets) == 4 {
				want = ""
			}
			if got := rules(recordHits(t, f, dns.TypeDNSKEY, rdata)); got != want {
				t.Errorf("%q in what is random: got %q, want %q", rdata, got, want)
			}
			if len(octets) == 4 {
				break
			}
		}
	}
	numbers := append(wireName(t, "ns.org"), wireName(t, "mail.org")...)
	numbers = append(numbers, "\xc0\x00\x02\x35............\xc0\x00\x02\x35"...)
	if got := rules(recordHits(t, f, dns.TypeSOA, numbers)); got != "" {
		t.Errorf("numbers of SOA: got %q", got)
	}
	for rdata, want := range map[string]string{
		"\x20\x01\x0d\xb8\x00\x54":         some6, // the record ends with the octets of the prefix
		"..\x20\x01\x0d\xb8\x00\x54.":      some6,
		"..\x20\x01\x0d\xb8\x00\x55.":      "",
		"..\x20\x01\x0d\xb8\x00":           "",
		"..\x20\x01\x0d\xb8\x00\x54ninety": some6,
	} {
		if got := rules(recordHits(t, f, 65280, []byte(rdata))); got != want {
			t.Errorf("%q: got %q, want %q", rdata, got, want)
		}
	}
}

// TestAddressesAreJudged searches addresses in rdata that holds addresses by its type.
func TestAddressesAreJudged(t *testing.T) {
	f := NewForbidden(site())
	for addr, want := range map[string]string{
		"192.0.2.53": one, "192.0.2.54": "", "198.18.7.77": some, "198.19.0.1": "", "100.64.3.3": client, "198.51.100.23": "",
		"203.0.113.7": "", "127.0.0.1": "", "100.70.0.1": "",
		"2001:db8:53::53": one6, "2001:db8:54:1::1": some6, "2001:db8:55::": "", "3fff:64:1::": client6, "2001:db8:51::1": "",
		"::ffff:192.0.2.53": one, "64:ff9b::198.18.7.1": some, "64:ff9b:1::192.0.2.53": one, "64:ff9b:1:c000:2:3500::": one,
		"64:ff9b:1:c6:12:709::": some, "64:ff9b:1:1:c6:1207:900::": some, "2002:6440:303::": client,
		// RFC 6052 with 32 to 96 bits, each with a suffix or an octet 8 that is not zero.
		"2001:db8:c000:235::": one, "2001:db8:c000:235::1": "", "2001:db8:c000:235:100::": "",
		"2001:db8:c0:2:35::": one, "2001:db8:c0:2:35::1": "", "2001:db8:c0:2:135::": "",
		"2001:db8:1:c000:2:3500::": one, "2001:db8:1:c000:2:3501::": "", "2001:db8:1:c000:102:3500::": "",
		"2001:db8:1:c0:0:235::": one, "2001:db8:1:c0:0:235:1::": "", "2001:db8:1:c0:100:235::": "",
		"2001:db8:1:1:c0:2:3500:0": one, "2001:db8:1:1:c0:2:3501:0": "", "2001:db8:1:1:1c0:2:3500:0": "",
		"2001:db8:1:1::c000:235": one, "2001:db8:1:1:100::c000:235": "",
		"::192.0.2.53": one, "::198.18.7.1": "", "2001:db8:c612:701::": "",
		"fe80::5efe:192.0.2.53": one, "fe80::200:5efe:192.0.2.53": one, "fe80::300:5efe:192.0.2.53": "",
		"2001:0:c000:235::1": one, "2001::3fff:fdca": one, "2001:0:c612:709::": "",
	} {
		a := netip.MustParseAddr(addr)
		all := map[string][]Hit{}
		if a.Is4() {
			all["A"] = recordHits(t, f, dns.TypeA, a.AsSlice())
			all["hint"] = recordHits(t, f, dns.TypeHTTPS, append([]byte{0, 1, 0, 0, 4, 0, 8, 1, 1, 1, 1}, a.AsSlice()...))
			all["IPSECKEY"] = recordHits(t, f, dns.TypeIPSECKEY, append(append([]byte{1, 1, 1}, a.AsSlice()...), "key"...))
			all["AMTRELAY"] = recordHits(t, f, dns.TypeAMTRELAY, append([]byte{1, 0x81}, a.AsSlice()...))
			all["APL"] = recordHits(t, f, dns.TypeAPL, append([]byte{0, 2, 8, 1, 7, 0, 1, 32, 0x84}, a.AsSlice()...))
		} else {
			all["AAAA"] = recordHits(t, f, dns.TypeAAAA, a.AsSlice())
		}
		for place, hits := range all {
			if got := rules(hits); got != want {
				t.Errorf("%s in %s: got %q, want %q", addr, place, got, want)
			}
			if want != "" && !slices.ContainsFunc(hits, func(h Hit) bool { return h.Place == InAddress }) {
				t.Errorf("%s in %s: got %+v", addr, place, hits)
			}
		}
	}
	for name, hits := range map[string][]Hit{
		"hint":     recordHits(t, f, dns.TypeSVCB, append([]byte{0, 1, 0, 0, 6, 0, 16}, netip.MustParseAddr("64:ff9b::198.18.7.1").AsSlice()...)),
		"IPSECKEY": recordHits(t, f, dns.TypeIPSECKEY, append([]byte{1, 2, 1}, netip.MustParseAddr("64:ff9b::198.18.7.1").AsSlice()...)),
		"AMTRELAY": recordHits(t, f, dns.TypeAMTRELAY, append([]byte{1, 2}, netip.MustParseAddr("64:ff9b::198.18.7.1").AsSlice()...)),
		"A6":       recordHits(t, f, typeA6, append([]byte{0}, netip.MustParseAddr("64:ff9b::198.18.7.1").AsSlice()...)),
		"APL":      recordHits(t, f, dns.TypeAPL, append([]byte{0, 2, 128, 16}, netip.MustParseAddr("64:ff9b::198.18.7.1").AsSlice()...)),
		"cut APL":  recordHits(t, f, dns.TypeAPL, []byte{0, 1, 24, 3, 198, 18, 7}),
	} {
		if got := rules(hits); got != some {
			t.Errorf("%s: got %q, want %q", name, got, some)
		}
	}
}

// TestNamesInRdataAreJudged compares fieldsByType with miekg/dns: each name of each type is found.
func TestNamesInRdataAreJudged(t *testing.T) {
	f := NewForbidden(Policy{LocalNames: []Name{{"corp.example", "corp.example"}}})
	seen := 0
	for rtype, newRR := range dns.TypeToRR {
		if rtype == dns.TypeTKEY || rtype == dns.TypeTSIG {
			continue // messages with these never leave
		}
		rr := newRR()
		v := reflect.ValueOf(rr).Elem()
		for i := range v.NumField() {
			if !strings.HasSuffix(v.Type().Field(i).Tag.Get("dns"), "domain-name") {
				continue
			}
			rr := newRR()
			*rr.Header() = dns.RR_Header{Name: "x.org.", Rrtype: rtype, Class: dns.ClassINET}
			v := reflect.ValueOf(rr).Elem()
			for j := range v.NumField() { // every other name is the root
				if v.Field(j).Kind() == reflect.String && strings.HasSuffix(v.Type().Field(j).Tag.Get("dns"), "domain-name") {
					v.Field(j).SetString(".")
				}
			}
			if v.Field(i).Kind() == reflect.Slice {
				v.Field(i).Set(reflect.ValueOf([]string{"a.org.", "www.corp.example.dbl.org."}))
			} else {
				v.Field(i).SetString("www.corp.example.dbl.org.")
			}
			m := dns.Msg{Compress: true, Question: []dns.Question{{Name: "dbl.org."}}, Answer: []dns.RR{rr}}
			wire, err := m.Pack()
			if err != nil {
				t.Errorf("%s: %v", dns.Type(rtype), err)
				continue
			}
			seen++
			hits := f.Message(wire, nil, nil, nil)
			if !slices.ContainsFunc(hits, func(h Hit) bool { return h.Place == InRdata && h.Rule == LocalNameInside }) {
				t.Errorf("%s: got %+v", dns.Type(rtype), hits)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d names", seen)
	}
}

// TestPoliciesThatKeepForbidLess also tests items that are forbidden in one record only.
func TestPoliciesThatKeepForbidLess(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.77"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1")}
	for _, c := range []struct {
		edit       func(*Policy)
		name, want string
	}{
		{func(*Policy) {}, "corp.example.192.0.2.53.org", within + "; " + one},
		{func(p *Policy) { p.KeepInside = true }, "corp.example.192.0.2.53.org", one},
		{func(p *Policy) { p.KeepInside = true }, "192.0.2.53.corp.example", corp + "; " + one},
		{func(p *Policy) { p.KeepResolver = true }, "corp.example.192.0.2.53.org", within},
		{func(p *Policy) { p.KeepResolver = true }, "100.64.9.9.org", client},
		{func(*Policy) {}, "192.0.2.77.org", "resolver address 192.0.2.77"},
		{func(p *Policy) { p.KeepResolver = true }, "192.0.2.77.org", ""},
		{func(*Policy) {}, "127.0.0.1.org", ""},
	} {
		p := site()
		c.edit(&p)
		wire, zone := messageWith(t, InQuestion, c.name)
		if got := rules(NewForbidden(p).Message(wire, zone, ecs, own)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	f := NewForbidden(Policy{})
	for _, a := range []string{"192.0.2.78", "::", "127.0.0.1", "169.254.1.1", "224.0.0.1", "fe80::1%eth0", "ff02::1"} {
		f.AddResolver(netip.MustParseAddr(a))
	}
	for addr, want := range map[string]string{"192.0.2.78": "resolver address 192.0.2.78", "127.0.0.1": "", "169.254.1.1": "", "224.0.0.1": ""} {
		if got := rules(f.Record(&Record{Addresses: []netip.Addr{netip.MustParseAddr(addr)}})); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
}

// TestMalformedMessagesAreSearched: octets from the malformed part on count as octets and text.
func TestMalformedMessagesAreSearched(t *testing.T) {
	f := NewForbidden(site())
	wire, _ := messageWith(t, InRdata, "www.corp.example")
	for n := range wire {
		f.Message(wire[:n], wire[:n], ecs, nil) // cut off anywhere
	}
	for _, c := range []string{
		"\x00\x00\x84\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0",
		"\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01\x00\x00\x00\x00\xff\xff",
		"\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x20",
		"\x00\x00\x84\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	} {
		if got := rules(f.Message([]byte(c+" 192.0.2.53 \x04corp\x07example"), nil, nil, nil)); got != corp+"; "+one {
			t.Errorf("%q: got %q", c, got)
		}
	}
	if got := rules(f.Message([]byte("192.0.2.53"), nil, nil, nil)); got != one {
		t.Errorf("shorter than a header: got %q", got)
	}
	loop := []byte("\x00\x00\x84\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01")
	if got := f.Message(loop, loop[12:14], nil, nil); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

// hostileTexts returns texts of about this length on which a search with nested loops takes long.
func hostileTexts(octets int) map[string]string {
	fill := func(pattern string, octets int) string { return strings.Repeat(pattern, octets/len(pattern)) }
	return map[string]string{
		"colons":  fill("0:0::", octets),
		"groups":  fill("1:2:3:4:5:6:7::", octets),
		"dashes":  fill("0-0--", octets),
		"numbers": fill("1.1-", octets),
		"zeros":   fill("0", octets/2) + fill("0.", octets/2),
		"names":   fill("corp.example.", octets),
		"ended":   fill("corp.example.", octets/2) + fill(".", octets/2),
		"labels":  fill("a.", octets),
		"words":   fill("a1", octets),
		"dots":    fill(".", octets),
		"reverse": fill("2.0.192.in-addr.arpa.", octets),
		"ip6":     fill("ip6.arpa.", octets),
		"nibbles": fill("0.", octets),
		"quads":   fill("::1.1.1.1", octets),
		"letters": fill("\xc3\xbc!", octets),
		"wire":    fill("\x04corp\x07exampl", octets),
		"corp":    fill("\x04corp", octets),
		"lengths": fill("\x01\x01\x01", octets),
		"revwire": fill("\x012\x010\x03192\x07in-addr\x04arpa", octets),
	}
}

// longText is nearly the length of the longest message.
const longText = 60000

// TestScannersJudgeFewAddresses limits the number of addresses that the scanners report, in
// proportion to the length of a text.
func TestScannersJudgeFewAddresses(t *testing.T) {
	for name, text := range hostileTexts(longText) {
		b, judged := []byte(text), 0
		count4, count16 := func([4]byte) { judged++ }, func([16]byte) { judged++ }
		scanQuads(b, count4)
		scanColons(b, func([16]byte, int) { judged++ })
		scanGroups(b, '-', func([16]byte, int) { judged++ })
		scanHex(b, count4, count16)
		scanDecimal(b, count4, count16)
		scanNibbles(b, count16)
		if judged > 3*len(b) {
			t.Errorf("%s: %d addresses in %d octets", name, judged, len(b))
		}
	}
}

func BenchmarkHostileTexts(b *testing.B) {
	p := site()
	for i := range 64 {
		p.Resolvers = append(p.Resolvers, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32))
	}
	f := NewForbidden(p)
	for name, text := range hostileTexts(longText) {
		for _, rtype := range []uint16{65280, dns.TypeTXT} {
			b.Run(name+dns.Type(rtype).String(), func(b *testing.B) {
				wire := appendRecord([]byte("\x00\x00\x84\x00\x00\x00\x00\x00\x00\x00\x00\x01"), []byte{0}, rtype, []byte(text))
				for b.Loop() {
					f.Message(wire, nil, ecs, nil)
				}
			})
		}
	}
}

func TestClientSubnetsAreRead(t *testing.T) {
	m := new(dns.Msg).SetQuestion("x.org.", dns.TypeA)
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.Option = []dns.EDNS0{
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac0000000000"},
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 20, SourceScope: 24, Address: netip.MustParseAddr("198.18.80.0").AsSlice()},
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 2, SourceNetmask: 56, Address: netip.MustParseAddr("2001:db8:5:600::").AsSlice()},
		&dns.EDNS0_LOCAL{Code: dns.EDNS0SUBNET, Data: []byte{0, 1, 33, 0, 1}}, // longer than an address
		&dns.EDNS0_LOCAL{Code: dns.EDNS0SUBNET, Data: []byte{0, 1}},
	}
	m.Extra = []dns.RR{opt}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	want := prefixList("198.18.80.0/20", "2001:db8:5:600::/56")
	if got := ClientSubnets(wire); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for n := range wire {
		ClientSubnets(wire[:n]) // cut off anywhere
	}
}

// TestOtherPeoplesNamesAreNotAddresses: numbers under in-addr.arpa count in reverse order only,
// and the digits of A-labels, which encode letters of another script, do not count.
func TestOtherPeoplesNamesAreNotAddresses(t *testing.T) {
	f := NewForbidden(Policy{LocalNetworks: prefixList("62.11.112.0/24", "10.0.0.0/8", "1.53.41.0/24")})
	for name, want := range map[string]string{
		"10.2.0.192.in-addr.arpa":              "",
		"10.2.0.192.in-addr.arpa.fritz.box":    "",
		"192.0.2.10.in-addr.arpa":              "local network 10.0.0.0/8",
		"10.0.0.1.x.10.2.0.192.in-addr.arpa":   "local network 10.0.0.0/8",
		"192.0.2.9.in-addr.arpa.10.0.0.1.test": "local network 10.0.0.0/8",
		"www.xn--3e0b707e":                     "",
		"www.3e0b707e":                         "local network 62.11.112.0/24",
		"xn--20261129.example":                 "",
		"20261129.example":                     "local network 1.53.41.0/24",
	} {
		wire, zone := messageWith(t, InQuestion, name)
		if got := rules(f.Message(wire, zone, nil, nil)); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
