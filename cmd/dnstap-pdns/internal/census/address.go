package census

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// isReverse reports whether a name contains the reverse name of a single address.
func isReverse(labels []string) bool {
	n := len(labels)
	if n < 3 || labels[n-1] != "arpa" {
		return false
	}
	switch before := labels[:n-2]; labels[n-2] {
	case "in-addr":
		return len(before) >= 4 && isAll(before[len(before)-4:], isOctet)
	case "ip6":
		return len(before) >= 32 && isAll(before[len(before)-32:], isNibble)
	}
	return false
}

// spellsAddress reports whether consecutive labels are the octets or nibbles of an address, in
// either order.
func spellsAddress(labels []string) bool {
	for row := range rows(labels, isOctet) {
		if isIPv4(row) {
			return true
		}
	}
	for row := range rows(labels, isNibble) {
		if len(row) >= 32 {
			return true
		}
	}
	return false
}

// rows yields every longest run of consecutive labels that have a property.
func rows(labels []string, has func(string) bool) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for i := 0; i < len(labels); i++ {
			from := i
			for i < len(labels) && has(labels[i]) {
				i++
			}
			if i > from && !yield(labels[from:i]) {
				return
			}
		}
	}
}

func isOctet(s string) bool {
	if len(s) > 3 || !isDigits(s) {
		return false
	}
	_, err := strconv.ParseUint(s, 10, 8)
	return err == nil
}

func isNibble(s string) bool { return len(s) == 1 && isHex(s) }

func isAll(labels []string, has func(string) bool) bool {
	return !slices.ContainsFunc(labels, func(s string) bool { return !has(s) })
}

// isIPv4 reports whether four numbers are an address rather than a version or a date, whose
// numbers are all below 32. It accepts such numbers in 10/8 only, and so misses one in 4,096 of
// the other addresses.
func isIPv4(octets []string) bool {
	if len(octets) != 4 {
		return false
	}
	var v [4]int
	for i, s := range octets {
		v[i], _ = strconv.Atoi(s)
	}
	return v[0] != 0 && v[3] != 0 && (v[0] == 10 || slices.Max(v[:]) >= 32)
}

// parts returns the pieces of a label between hyphens, underscores, colons and dots.
func parts(label string) []string {
	return strings.FieldsFunc(label, func(r rune) bool { return strings.ContainsRune("-_:.", r) })
}

// inLabel reports whether a label contains an address. Eight hexadecimal digits count as one only
// if hinted reports that the name contains one of the hints.
func inLabel(label string, hinted func() bool) bool {
	p := parts(label)
	for i := 0; i+4 <= len(p); i++ {
		octets := slices.Clone(p[i : i+4])
		octets[0] = withoutWord(octets[0])
		alone := (i == 0 || !isDigits(p[i-1])) && (i+4 == len(p) || !isDigits(p[i+4]))
		if alone && isAll(octets, isOctet) && isIPv4(octets) {
			return true
		}
	}
	if hex := eightHex.FindStringSubmatch(label); hex != nil && mixed(hex[1]) && isUnicast(hex[1]) && hinted() {
		return true
	}
	return groupsInLabel(label)
}

// withoutWord cuts off the letters before a number (ip192), but not a version's (v1).
func withoutWord(s string) string {
	if number := strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz"); s != "v"+number {
		return number
	}
	return s
}

var eightHex = regexp.MustCompile(`(?:^|[^0-9a-f])([0-9a-f]{8})(?:[^0-9a-z]|$)`)

// isUnicast reports whether eight hexadecimal digits are an IPv4 address that a host may have.
func isUnicast(hex string) bool {
	first, err := strconv.ParseUint(hex[:2], 16, 8)
	return err == nil && first > 0 && first < 224 && first != 127
}

// hints are words in the names that providers give to their customers' addresses, and in the
// names of services that answer with the address in the name.
var hints = []string{"adsl", "broadband", "cable", "client", "clients", "cust", "customer", "customers", "dhcp", "dial", "dialup",
	"dip", "dsl", "dyn", "dynamic", "fiber", "ftth", "host", "hsi", "ip", "ipv", "mobile", "nat", "nip", "pool", "pools", "ppp", "pppoe",
	"sslip", "static", "subscriber", "user", "users", "vdsl", "wan"}

func (n name) isHinted() bool {
	text := eightHex.ReplaceAllString(n.text, "-")
	return slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return r < 'a' || r > 'z' }),
		func(word string) bool { return slices.Contains(hints, word) })
}

// groupsInLabel reports whether a label contains an IPv6 address with hyphens for colons.
func groupsInLabel(label string) bool {
	var starts []int // offsets of groups
	for i := range label {
		if i == 0 || label[i-1] == '-' || label[i-1] == '_' || label[i-1] == '.' {
			starts = append(starts, i)
		}
	}
	ends := append(slices.Clone(starts[min(1, len(starts)):]), len(label)+1)
	for _, from := range starts {
		for _, end := range ends {
			if to := end - 1; to > from && isGroups(label[from:to]) {
				return true
			}
		}
	}
	return false
}

// isGroups reports whether a text is an IPv6 address in one of the allocated blocks, with hyphens
// for colons.
func isGroups(s string) bool {
	if !strings.Contains(s, "--") && strings.Count(s, "-") != 7 || len(parts(s)) < 3 {
		return false
	}
	a, err := netip.ParseAddr(strings.ReplaceAll(s, "-", ":"))
	return err == nil && isAllocated(a)
}

// allocated are the IPv6 blocks from which registries assign addresses (IANA, IPv6 Global
// Unicast Address Assignments), and those of unique local and link-local addresses. Less than
// 1 % of random addresses are in one of them.
var allocated = []netip.Prefix{
	netip.MustParsePrefix("2001::/16"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2003::/18"),
	netip.MustParsePrefix("2400::/12"), netip.MustParsePrefix("2410::/12"), netip.MustParsePrefix("2600::/12"),
	netip.MustParsePrefix("2610::/23"), netip.MustParsePrefix("2620::/23"), netip.MustParsePrefix("2630::/12"),
	netip.MustParsePrefix("2800::/12"), netip.MustParsePrefix("2a00::/12"), netip.MustParsePrefix("2a10::/12"),
	netip.MustParsePrefix("2c00::/12"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fe80::/10"),
}

func isAllocated(a netip.Addr) bool {
	return slices.ContainsFunc(allocated, func(p netip.Prefix) bool { return p.Contains(a) })
}
