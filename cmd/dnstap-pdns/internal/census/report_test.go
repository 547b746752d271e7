package census

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"gotest.tools/v3/golden"
)

// everything returns a census with names of every kind, some of them twice, at different times.
func everything() *Census {
	c := New(local)
	at := int64(0)
	count := func(name string) {
		c.Record(at)
		at += int64(time.Second)
		c.QueryName(name)
		c.Name(name)
	}
	for i := range 40 {
		count(fmt.Sprintf("x%d.lookups.vendor-test.com.", i))
		count("www.popular-test.com")
	}
	for range 2 {
		for i := range 35 {
			count(fmt.Sprintf("host%d.popular-test.com", i))
		}
		at += int64(time.Hour)
	}
	for _, name := range []string{
		"ip-198-51-100-23.cdn-test.com", "ip-198-51-100-24.cdn-test.com", "198.51.100.23.track-test.com", "dyn-198-51-100-7.isp-test.net",
		"198.18.0.99.more-test.com", "23.100.51.198.in-addr.arpa", "00-1b-a9-3c-4d-5e.test.com", "6f1c2b3a-1d2e-4f50-8a9b-0c1d2e3f4a5b.test.com",
		"d41d8cd98f00b204e9800998ecf8427e.avatar-test.com", "k3jq8zx0v5w9m1fh.app-test.co.uk", "eyjhbgcioijiuzi1niisinr5cci6ikpxvcj9.test.com",
		"5.5.5.1.2.3.4.5.8.4.e164.arpa", "univ-edu.mail.protection.outlook.com", "johns-house.duckdns.org",
	} {
		count(name)
	}
	c.Record(at)
	c.Mailbox(`jane\.roe.corp-test.com.`)
	c.Text("call +49 30 1234567 or write to John.Doe@corp-test.com")
	c.Text("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqb2huIn0.c2lnbmF0dXJl")
	c.Text("v=spf1 -all")
	return c
}

func TestReportsAsText(t *testing.T) {
	golden.Assert(t, everything().Report(false).Text(), "masked.txt")
	golden.Assert(t, everything().Report(true).Text(), "examples.txt")
	golden.Assert(t, New(nil).Report(false).Text(), "nothing.txt")
}

func TestMaskedReportsShowNothingAboveTheRegisteredDomain(t *testing.T) {
	text := everything().Report(false).Text()
	secret := regexp.MustCompile(`198|1b|d41d|6f1c|k3jq|eyj|5\.5\.5|univ-edu|johns|jane|John|1234567|lookups`)
	if got := secret.FindAllString(text, -1); got != nil {
		t.Errorf("found %q in\n%s", got, text)
	}
}
