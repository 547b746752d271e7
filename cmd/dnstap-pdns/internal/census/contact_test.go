package census

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKindsOfTexts(t *testing.T) {
	token := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqb2huIn0.c2lnbmF0dXJl"
	for text, want := range map[string][]string{
		"contact=John.Doe@corp.example":                    {"mail_address"},
		"v=DMARC1; rua=mailto:jane@corp.example":           {"mail_address"},
		"call +49 30 1234567 now":                          {"telephone"},
		"+1 (212) 555-0123":                                {"telephone"},
		"tel:+49-30-1234567":                               {"telephone"},
		"+1.2125550123":                                    {"telephone"},
		"session=" + token:                                 {"web_token"},
		"jane@corp.example, +49301234567":                  {"mail_address", "telephone"},
		"v=DMARC1; rua=mailto:dmarc-reports@corp.example":  {},
		"mailto:hostmaster@corp.example":                   {},
		"v=spf1 +a +mx ip4:198.51.100.0/24 ~all":           {},
		"p=MIGfMA0+4930123456789/eyJBQUFB+12345678901AQAB": {},
		"2026-11-29T12:30:00+01:00":                        {},
		"user@localhost":                                   {},
		"@corp.example":                                    {},
		"eyJmb28iOiJiYXIifQ.eyJzdWIiOiJqb2huIn0.c2ln":      {},
		"eyJhbGciOiJIUzI1NiJ9":                             {},
		"4930123456":                                       {},
		"+1234":                                            {},
	} {
		if diff := cmp.Diff(want, kindsIn(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestRoleAddressesAreNotCounted(t *testing.T) {
	for text, want := range map[string][]string{
		"hostmaster.test.com":       {},
		"awsdns-hostmaster.test.co": {},
		"dns-admin.test.com":        {},
		"noc.test.com":              {},
		`john\.doe.test.com`:        {"mail_address"},
		"dominic.test.com":          {"mail_address"},
		".":                         {},
	} {
		c := New(nil)
		c.Record(0)
		c.Mailbox(text)
		if diff := cmp.Diff(want, kindsOfCensus(c)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
