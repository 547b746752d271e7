package census

import (
	"testing"
)

func TestMaskingKeepsTheRegisteredDomain(t *testing.T) {
	for text, want := range map[string]string{
		"Ip-198-51.John.corp.co.uk.":           "xx-000-00.xxxx.corp.co.uk",
		"corp.com":                             "corp.com",
		"co.uk":                                "co.uk",
		"john.duckdns.org":                     "xxxx.duckdns.org",
		"a1.john.s3.amazonaws.com":             "x0.xxxx.s3.amazonaws.com",
		"23.100.51.198.in-addr.arpa":           "00.000.00.000.in-addr.arpa",
		"5.5.5.1.4.e164.arpa":                  "0.0.0.0.0.e164.arpa",
		"198.51.100.23":                        "000.00.000.00",
		"printer3":                             "xxxxxxx0",
		"john.corp.example":                    "xxxx.corp.example",
		`j\195\182rg\@x\.y._tcp.corp.com`:      `x\000\000xx\@x\.x._xxx.corp.com`,
		"j\xc3\xb6rg\x1b[2J.corp.com":          `x\000\000xx\000[0x.corp.com`,
		`trailing\`:                            `xxxxxxxx\\`,
		"a..b.com":                             "x..x.com",
		"univ-edu.mail.protection.outlook.com": "xxxx-xxx.xxxx.xxxxxxxxxx.outlook.com",
	} {
		if got := parseName(text).masked(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
