package census

import (
	"testing"
)

func TestDynamicSuffixesArePrivatePublicSuffixes(t *testing.T) {
	all := dynamicSuffixes()
	for suffix := range all {
		if n := "a." + suffix; registered(n) != suffix {
			t.Errorf("%s: publicsuffix has %s", n, registered(n))
		}
	}
	for _, want := range []string{"duckdns.org", "dyndns.org", "no-ip.org", "ddns.net", "myfritz.net", "synology.me", "dynv6.net"} {
		if !all[want] {
			t.Errorf("%s is missing", want)
		}
	}
	if len(all) < 400 {
		t.Errorf("only %d", len(all))
	}
}
