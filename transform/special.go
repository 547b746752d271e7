package transform

import "net/netip"

// specialNames are the names that are never asked of the public Internet, or
// should not be; see DESIGN.md. Those below arpa are reverse zones of their own.
var specialNames = [...]string{
	"local", "localhost", "test", "invalid", "onion", "alt", "internal",
	"home.arpa", "resolver.arpa", "service.arpa", "ipv4only.arpa",
	"corp", "home", "lan", "mail", "localdomain",
}

// specialNetworks have reverse zones that say nothing about the Internet (RFC
// 6303 and RFC 6890; documentation prefixes are not among them).
var specialNetworks = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("::/128"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
}

func endsInARPA(name []byte) bool {
	return len(name) > 6 && string(name[len(name)-6:]) == "\x04arpa\x00"
}

// isSpecialReverse reports whether a name in lowercase wire form is the reverse name of
// an address that has no meaning on the Internet.
func isSpecialReverse(name []byte) bool {
	if !endsInARPA(name) {
		return false
	}
	var l labels
	l.split(name)
	var hosts [maxLabels]byte
	r, _, ok := l.reverseAt(name, l.n-1, hosts[:])
	if !ok {
		return false
	}
	for _, network := range specialNetworks {
		if network.Bits() <= r.prefix.Bits() && network.Contains(r.prefix.Addr()) {
			return true
		}
	}
	return false
}
