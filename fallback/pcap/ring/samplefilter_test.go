package ring

import "testing"

func TestSampleFilterPassesQueriesAndTunnelsOfAnyHost(t *testing.T) {
	program, err := sampleFilter()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		packet []byte
		passes bool
	}{
		"query":             {ipv4(far4, srv4, 17, 0, 0, ports(4000, 53)), true},
		"with options":      {ipv4(far4, srv4, 17, 0, 10, ports(4000, 53)), true},
		"response":          {ipv4(srv4, far4, 17, 0, 0, ports(53, 4000)), false},
		"over TCP":          {ipv4(far4, srv4, 6, 0, 0, ports(4000, 53)), false},
		"fragment":          {ipv4(far4, srv4, 17, 0x2000, 0, ports(4000, 53)), false},
		"another port":      {ipv4(far4, srv4, 17, 0, 0, ports(4000, 443)), false},
		"GRE":               {ipv4(far4, srv4, 47, 0, 0, ports(0, 0x800)), true},
		"IP in IP":          {ipv4(far4, srv4, 4, 0, 0, ports(0, 0)), true},
		"IPv6 in IP":        {ipv4(far4, srv4, 41, 0, 0, ports(0, 0)), true},
		"VXLAN":             {ipv4(far4, srv4, 17, 0, 0, ports(4000, 4789)), true},
		"Linux's VXLAN":     {ipv4(far4, srv4, 17, 0, 0, ports(4000, 8472)), true},
		"Geneve":            {ipv4(far4, srv4, 17, 0, 0, ports(4000, 6081)), true},
		"IPv6 query":        {ipv6(far6, srv6, 17, ports(4000, 53)), true},
		"IPv6 response":     {ipv6(srv6, far6, 17, ports(53, 4000)), false},
		"IPv6 GRE":          {ipv6(far6, srv6, 47, ports(0, 0x800)), true},
		"IPv6 ICMP":         {ipv6(far6, srv6, 58, ports(53, 53)), false},
		"cut in the ports":  {ipv4(far4, srv4, 17, 0, 0, []byte{0, 53, 0}), false},
		"cut in the header": {ipv4(far4, srv4, 17, 0, 0, nil)[:8], false},
	} {
		for how, in := range presentations(c.packet) {
			if got := execute(t, program, in.metadata, in.data) > 0; got != c.passes {
				t.Errorf("%s%s: passes %t, want %t", name, how, got, c.passes)
			}
		}
	}
}
