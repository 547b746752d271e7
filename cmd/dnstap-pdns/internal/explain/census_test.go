package explain

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// counted returns the report on these messages, with a census.
func counted(t *testing.T, c transform.Config, messages ...*transform.Message) Report {
	t.Helper()
	policy, err := transform.NewPolicy(c)
	if err != nil {
		t.Fatal(err)
	}
	e := New(c, Options{})
	e.EnableCensus(true)
	p := transform.NewPairer(transform.NewBudget(100))
	p.Trace(e.Trace("test"))
	for _, m := range messages {
		p.Take(m, policy, func(*transform.Record) {})
	}
	p.Finish(policy, func(*transform.Record) {})
	counts := p.Counts()
	return e.Report(&counts, Origin{})
}

// examplesOf returns the census's examples of one kind.
func examplesOf(r Report, kind string) []string {
	for _, k := range r.Census.Kinds {
		if k.Kind == kind {
			return k.Examples
		}
	}
	return nil
}

// TestTheCensusCountsEveryNameAndText has one record of each type that contains a name or a text.
func TestTheCensusCountsEveryNameAndText(t *testing.T) {
	const name, text = "x.duckdns.org", "jane@mail-test.com"
	for data, kind := range map[string]string{
		"NS x.duckdns.org.":                                         "dynamic_dns",
		"CNAME x.duckdns.org.":                                      "dynamic_dns",
		"DNAME x.duckdns.org.":                                      "dynamic_dns",
		"PTR x.duckdns.org.":                                        "dynamic_dns",
		"MX 10 x.duckdns.org.":                                      "dynamic_dns",
		"SRV 0 0 5060 x.duckdns.org.":                               "dynamic_dns",
		"SOA x.duckdns.org. hostmaster.test-tld. 1 2 3 4 5":         "dynamic_dns",
		"SOA ns.test-tld. x.duckdns.org. 1 2 3 4 5":                 "dynamic_dns",
		"RP . x.duckdns.org.":                                       "dynamic_dns",
		"MINFO . x.duckdns.org.":                                    "dynamic_dns",
		"AFSDB 1 x.duckdns.org.":                                    "dynamic_dns",
		"PX 1 . x.duckdns.org.":                                     "dynamic_dns",
		"NAPTR 1 1 \"u\" \"E2U+sip\" \"\" x.duckdns.org.":           "dynamic_dns",
		"SVCB 1 x.duckdns.org.":                                     "dynamic_dns",
		"HTTPS 1 x.duckdns.org.":                                    "dynamic_dns",
		"NSEC x.duckdns.org. A":                                     "dynamic_dns",
		"TXT \"jane@mail\" \"-test.com\"":                           "mail_address",
		"SPF \"jane@mail-test.com\"":                                "mail_address",
		"HINFO \"jane@mail-test.com\" \"x\"":                        "mail_address",
		"CAA 0 iodef \"mailto:jane@mail-test.com\"":                 "mail_address",
		"URI 1 1 \"mailto:jane@mail-test.com\"":                     "mail_address",
		"NAPTR 1 1 \"u\" \"E2U+sip\" \"!.*!jane@mail-test.com!\" .": "mail_address",
		"SVCB 1 . key65000=jane@mail-test.com":                      "mail_address",
	} {
		qtype := dns.StringToType[strings.Fields(data)[0]]
		m := response(t, "www.test-tld.", qtype, "www.test-tld. 60 "+data)
		r := counted(t, site(), answered(pack(t, m)))
		want := name
		if kind == "mail_address" {
			want = text
		}
		if diff := cmp.Diff([]string{want}, examplesOf(r, kind)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", data, diff)
		}
	}
}

func TestTheCensusCountsQuestionsOwnersZonesAndMailboxes(t *testing.T) {
	m := response(t, "q.duckdns.org.", dns.TypeA, "ooo.duckdns.org. 60 A 198.51.100.1")
	soa, err := dns.NewRR(`test-tld. 60 SOA ns.test-tld. jane\.roe.test-tld. 1 2 3 4 5`)
	if err != nil {
		t.Fatal(err)
	}
	m.Ns = append(m.Ns, soa)
	in := answered(pack(t, m))
	in.Zone = []byte("\x02zz\x07duckdns\x03org\x00")
	r := counted(t, site(), in)
	for kind, want := range map[string][]string{
		"dynamic_dns":  {"q.duckdns.org", "zz.duckdns.org", "ooo.duckdns.org"},
		"mail_address": {`jane\.roe.test-tld`},
	} {
		if diff := cmp.Diff(want, examplesOf(r, kind)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// TestTheCensusCountsOnlyOutput: it counts neither names that do not leave nor hashes of names.
func TestTheCensusCountsOnlyOutput(t *testing.T) {
	const hash = "0p9mhaveqvm6t7vbl5lop2u3t31rfug7.test-tld."
	local := response(t, "univ-edu.corp.example.", dns.TypeA)
	local.Answer = nil
	hashed := response(t, "test-tld.", dns.TypeA, hash+" 60 NSEC3 1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A",
		hash+" 60 RRSIG NSEC3 8 2 60 20300101000000 20200101000000 1 test-tld. AAAA")
	r := counted(t, site(), answered(pack(t, local)), answered(pack(t, hashed)))
	if c := r.Census; c.Records != 1 || c.Names != 1 || c.Unreadable != 0 {
		t.Errorf("got %d records, %d names, %d unreadable, want 1, 1, 0", c.Records, c.Names, c.Unreadable)
	}
}

func TestTheCensusKnowsTheLocalNames(t *testing.T) {
	r := counted(t, site(), answered(pack(t, response(t, "corp-example.mail.outlook.com.", dns.TypeA))))
	if diff := cmp.Diff([]string{"corp-example.mail.outlook.com"}, examplesOf(r, "own_host")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
