package transform

import (
	"net/netip"
	"testing"
)

func TestPublicAddresses(t *testing.T) {
	for addr, want := range map[string]bool{
		"192.0.2.53":          true, // documentation addresses are not special here
		"8.8.8.8":             true,
		"100.63.255.255":      true,
		"100.64.0.0":          false,
		"100.127.255.255":     false,
		"100.128.0.0":         true,
		"10.0.0.53":           false,
		"172.31.0.1":          false,
		"192.168.1.1":         false,
		"127.0.0.1":           false,
		"169.254.1.1":         false,
		"224.0.0.1":           false,
		"255.255.255.255":     false,
		"0.0.0.0":             false,
		"2001:db8::53":        true,
		"::ffff:192.0.2.53":   true,
		"::ffff:10.0.0.1":     false,
		"::ffff:100.64.0.1":   false,
		"fd00::1":             false,
		"fe80::1":             false,
		"ff02::1":             false,
		"::1":                 false,
		"::":                  false,
		"2001:db8:53::53%eth": true,
	} {
		if got := IsPublic(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
	if IsPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestPolicyNamesAPublicResolver(t *testing.T) {
	for _, row := range []struct {
		resolvers []string
		want      bool
	}{
		{nil, false},
		{[]string{"10.0.0.53/32", "fd00::53/128"}, false},
		{[]string{"10.0.0.53/32", "192.0.2.53/32"}, true},
		{[]string{"2001:db8::53/128"}, true},
		{[]string{"192.0.2.0/24"}, true},
		{[]string{"192.0.0.0/16"}, false}, // it only selects packets
		{[]string{"2001:db8:53::/48"}, true},
		{[]string{"2001:db8::/32"}, false},
		{[]string{"10.1.2.0/24", "fd00:1:2::/48", "100.64.0.0/24"}, false},
	} {
		p := testPolicy(t, func(c *Config) {
			c.Resolvers = nil
			for _, r := range row.resolvers {
				c.Resolvers = append(c.Resolvers, netip.MustParsePrefix(r))
			}
		})
		if got := p.NamesPublicResolver(); got != row.want {
			t.Errorf("%v: got %v, want %v", row.resolvers, got, row.want)
		}
	}
}
