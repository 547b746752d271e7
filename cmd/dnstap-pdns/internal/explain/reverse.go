package explain

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// reverseName returns the network that a name below in-addr.arpa or ip6.arpa stands for,
// as far as its labels are numbers, and whether more labels follow.
func reverseName(name string) (p netip.Prefix, more, ok bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		return reverse(rest, 4, 10, 8)
	}
	if rest, ok := strings.CutSuffix(name, ".ip6.arpa"); ok {
		return reverse(rest, 32, 16, 4)
	}
	return netip.Prefix{}, false, false
}

// reverse reads up to n numbers of some bits each, the last label first.
func reverse(name string, n, base, bits int) (p netip.Prefix, more, ok bool) {
	labels := strings.Split(name, ".")
	slices.Reverse(labels)
	octets := make([]byte, n*bits/8)
	read := 0
	for read < min(n, len(labels)) {
		v, err := strconv.ParseUint(labels[read], base, bits)
		if err != nil {
			break
		}
		octets[read*bits/8] |= byte(v << (8 - bits - read*bits%8))
		read++
	}
	a, ok := netip.AddrFromSlice(octets)
	return netip.PrefixFrom(a, read*bits), read < len(labels), ok
}
