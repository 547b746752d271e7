package census

import (
	"encoding/hex"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	uuidForm    = regexp.MustCompile(`(?:^|[^0-9a-f])[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}(?:$|[^0-9a-f])`)
	longHexForm = regexp.MustCompile(`(?:^|[^0-9a-z])([0-9a-f]{32,})(?:$|[^0-9a-z])`)

	// A word before the digits must end in a letter other than a to f: sep0011...
	macForm   = regexp.MustCompile(`^(?:[a-z]*[g-z])?([0-9a-f]{12})$`)
	eui64Form = regexp.MustCompile(`^(?:[a-z]*[g-z])?([0-9a-f]{6}fffe[0-9a-f]{6})$`)
)

// isIPv6Hex reports whether hexadecimal digits are 32, and a global IPv6 address in one of the
// allocated blocks.
func isIPv6Hex(digits string) bool {
	octets, err := hex.DecodeString(digits)
	if err != nil || len(octets) != 16 {
		return false
	}
	a := netip.AddrFrom16([16]byte(octets))
	return a.As16()[0] < 0xfd && isAllocated(a)
}

// macInLabel reports whether a label contains a MAC address: in six pieces, or in one piece as 12
// digits or as the EUI-64 that is made of it. The 12 digits must be an address that a vendor may
// assign (RFC 9542 section 2.1), which excludes three of four random numbers.
func macInLabel(label string) bool {
	p := parts(label)
	for i := 0; i+6 <= len(p); i++ {
		alone := (i == 0 || !isHexOctet(p[i-1])) && (i+6 == len(p) || !isHexOctet(p[i+6]))
		if alone && isMAC(p[i:i+6]) {
			return true
		}
	}
	return slices.ContainsFunc(p, func(s string) bool {
		if m := macForm.FindStringSubmatch(s); m != nil {
			return mixed(m[1]) && firstOctet(m[1])&3 == 0
		}
		m := eui64Form.FindStringSubmatch(s)
		return m != nil && mixed(m[1])
	})
}

// spellsMAC reports whether six consecutive labels, and not more, are a MAC address.
func spellsMAC(labels []string) bool {
	for row := range rows(labels, isHexOctet) {
		if len(row) == 6 && isMAC(row) {
			return true
		}
	}
	return false
}

func isHexOctet(s string) bool { return len(s) == 2 && isHex(s) }

// isMAC reports whether six octets are a device's address rather than a date and time.
func isMAC(octets []string) bool {
	return isAll(octets, isHexOctet) && mixed(strings.Join(octets, "")) && firstOctet(octets[0])&1 == 0
}

func firstOctet(digits string) uint64 {
	v, _ := strconv.ParseUint(digits[:2], 16, 8)
	return v
}
