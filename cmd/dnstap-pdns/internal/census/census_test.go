package census

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var local = []string{"univ.edu", "my-lab.univ.example", "corp"}

// kindsOf returns the kinds of one name.
func kindsOf(text string) []string {
	c := New(local)
	c.Record(0)
	c.Name(text)
	return kindsOfCensus(c)
}

// kindsIn returns the kinds of one text.
func kindsIn(text string) []string {
	c := New(local)
	c.Record(0)
	c.Text(text)
	return kindsOfCensus(c)
}

// kindsOfCensus returns the kinds that a census of one record found.
func kindsOfCensus(c *Census) []string {
	all := []string{}
	for _, k := range c.Report(false).Kinds {
		if k.Names+k.Texts != k.Records {
			all = append(all, "inconsistent")
		}
		if k.Records > 0 {
			all = append(all, k.Kind)
		}
	}
	return all
}

func TestKindsOfNames(t *testing.T) {
	for text, want := range map[string]string{
		"ip-198-51-100-23.cdn-test.com.":                      "address",
		"ec2-52-14-3-200.compute.test.com":                    "address",
		"static_198_51_100_23.isp-test.com":                   "address",
		"198.51.100.23.track-test.com":                        "address",
		"23.100.51.198.zen.dnsbl-test.com":                    "address",
		`198\.51\.100\.23.track-test.com`:                     "address",
		"198.051.100.023.track-test.com":                      "address",
		"10-0-0-5.test.com":                                   "address",
		"p5482b1a2.dip0.isp-test.de":                          "address",
		"magic-c6336417.nip.io":                               "address",
		"2001-db8-17--2.host-test.io":                         "address",
		"dyn-2a01-4f8-0-1-2-3-4-5.test.com":                   "address",
		"20010db8000000000000000000000053.test.com":           "address",
		reverse("2001:db8::53", "dnsbl-test.com"):             "address",
		reverse("2001:db8::53", "ip6.arpa"):                   "reverse_name",
		"23.100.51.198.in-addr.arpa.":                         "reverse_name",
		"b._dns-sd._udp.0.100.51.198.in-addr.arpa":            "reverse_name",
		"00-1b-a9-3c-4d-5e.test.com":                          "mac_address",
		"00.1b.a9.3c.4d.5e.test.com":                          "mac_address",
		`00\:1b\:a9\:3c\:4d\:5e.test.com`:                     "mac_address",
		"sep001ba93c4d5e.test.com":                            "mac_address",
		"android-001BA93C4D5E.test.com":                       "mac_address",
		"021ba9fffe3c4d5e.test.com":                           "mac_address",
		"6f1c2b3a-1d2e-4f50-8a9b-0c1d2e3f4a5b.test.com":       "uuid",
		"app_6f1c2b3a_1d2e_4f50_8a9b_0c1d2e3f4a5b.test.com":   "uuid",
		"d41d8cd98f00b204e9800998ecf8427e.avatar-test.com":    "long_hex",
		"id-" + strings.Repeat("0123456789abcdef", 3) + ".de": "long_hex",
		"k3jq8zx0v5w9m1fh.test.com":                           "random_label",
		"mfzwi3dpfzrw64tqnvxgcy3b.test.com":                   "random_label",
		"xqzvkjhwtplfgbnmc.test.com":                          "random_label",
		"eyjhbgcioijiuzi1niisinr5cci6ikpxvcj9.test.com":       "web_token",
		`john\@corp.mail-test.com`:                            "mail_address",
		"5.5.5.1.2.3.4.5.8.4.e164.arpa":                       "telephone",
		"1.2.3.4.5.6.7.e164.test.org":                         "telephone",
		`\+49-30-1234567.sip-test.com`:                        "telephone",
		"+4930123456.sip-test.com":                            "telephone",
		"univ-edu.mail.protection.outlook.com":                "own_host",
		"x-my-lab-univ-example-y.test.com":                    "own_host",
		"johns-house.duckdns.org":                             "dynamic_dns",
		"www.johns-house.ddns.net":                            "dynamic_dns",
	} {
		if diff := cmp.Diff([]string{want}, kindsOf(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// reverse returns the reverse name of an address under a zone (RFC 3596 section 2.5).
func reverse(addr, zone string) string {
	a := netip.MustParseAddr(addr).As16()
	digits := strings.Split(hex.EncodeToString(a[:]), "")
	slices.Reverse(digits)
	return strings.Join(append(digits, zone), ".")
}

func TestSimilarNamesHaveNoKind(t *testing.T) {
	for _, text := range []string{
		".", "com.", "www.test.com", "ns1.test.com", "ns-1234.awsdns-12.co.uk", "s3-eu-west-1.amazonaws.com",
		"ec2.eu-central-1.compute.test.com", "2026-11-29.backup.test.com", "20261129123000.test.com", "2026-11-29-12-30-00.test.com",
		"26-11-29-12.test.com", "v1-2-3-44.test.com", "v1.2.3.4.test.com", "1.2.3.4.5.test.com", "1-2-3-4-50.test.com", "1.2.3.4.test.com",
		"release-1-22-3-0.test.com", "300.51.100.23.test.com", "0.51.100.0.test.com", "100.51.198.in-addr.arpa", "in-addr.arpa",
		"0.0.8.b.d.0.1.0.0.2.ip6.arpa", "8.b.d.0.1.0.0.2.test.com", "c6336417.track-test.com", "deadbeef.dyn.test.com",
		"12345678.dyn.test.com", "24-01-02-10-20-30.test.com", "01-1b-a9-3c-4d-5e.test.com", "00-1b-a9-3c-4d.test.com",
		"202601021530.test.com", "facadedecade.test.com", "0123456789ab0123456789.test.com", "020000aabbcc.test.com",
		"d51d8cd98f00.test.com", strings.Repeat("d", 47) + ".test.com",
		"donaudampfschifffahrtsgesellschaft.test.com", "internationalization.test.com", "counterrevolutionary.test.com",
		"production-loadbalancer-frontend-01.test.com", "mail-protection-gateway2.test.com", "1234567890123456.test.com",
		"xn--80ak6aa92e1b2c3d4.test.com", "selector1-univ-org._domainkey.test.com", "20230601._domainkey.gmail.com",
		"ihchhvubuqgjsxyuhssfvqohv7z3u4hn._domainkey.test.com", "s2048g1._domainkey.test.com", "_acme-challenge.test.com",
		"hostmaster.test.com", `hostmaster\@corp.test.com`, "eyjafjord.test.com", "1.2.3.4.5.6.e164.arpa", "49301234567.test.com",
		"+1.test.com", "univ.edu", "univ-edus.test.com", "xuniv-edu.test.com", "univ.edu.test.com", "corp.test.com", "duckdns.org",
		"xduckdns.org", "www.notduckdns.org", "2024--beta.test.com", "a--b.test.com", "2001-01-02.test.com",
	} {
		if diff := cmp.Diff([]string{}, kindsOf(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
