package canary

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// forms4 are those of an IPv4 address. Its octets also stand in IPv6 addresses that have
// it inside.
func forms4(a [4]byte) []form {
	numbers := make([]string, 4)
	for i, v := range a {
		numbers[i] = strconv.Itoa(int(v))
	}
	f := octetForms("IPv4", a[:])
	f = append(f, rowForms("dotted numbers", numbers)...)
	f = append(f, form{name: "numbers with dashes", bytes: strings.Join(numbers, "-"), fold: true, digits: true})
	slices.Reverse(numbers)
	f = append(f, rowForms("dotted numbers, reversed", numbers)...)
	f = append(f, form{name: "numbers with dashes, reversed", bytes: strings.Join(numbers, "-"), fold: true, digits: true})
	return append(f, rowForms("nibbles, reversed", nibbles(a[:]))...)
}

// forms6 are those of an IPv6 address. How its text may be spelled is for
// Text.spelled.
func forms6(addr netip.Addr) []form {
	a := addr.As16()
	f := octetForms("IPv6", a[:])
	f = append(f, rowForms("nibbles, reversed", nibbles(a[:]))...)
	for _, spelled := range []string{addr.String(), addr.StringExpanded()} {
		if len(spelled) > len("2001::1") { // shorter ones are parts of other words
			f = append(f, form{name: "groups with dashes", bytes: strings.ReplaceAll(spelled, ":", "-"), fold: true, digits: true})
		}
	}
	return f
}

func octetForms(family string, b []byte) []form {
	f := []form{{name: family + " octets", bytes: string(b)}}
	if backwards := reversed(string(b)); backwards != string(b) {
		f = append(f, form{name: family + " octets, reversed", bytes: backwards})
	}
	return append(f, form{name: family + " octets as hexadecimal text", bytes: fmt.Sprintf("%x", b), fold: true})
}

// rowForms are numbers in a row, as labels and as text with dots.
func rowForms(name string, parts []string) []form {
	return []form{
		{name: name + " as wire labels", bytes: labels(parts), fold: true},
		{name: name + " as text", bytes: strings.Join(parts, "."), fold: true, digits: true},
	}
}

// nibbles are hexadecimal digits, the last one first (RFC 3596 section 2.5).
func nibbles(b []byte) []string {
	digits := strings.Split(fmt.Sprintf("%x", b), "")
	slices.Reverse(digits)
	return digits
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// inner is the IPv4 address inside an IPv6 address that is IPv4-mapped, NAT64's
// (RFC 6052) or 6to4's (RFC 3056); else a itself.
func inner(a netip.Addr) netip.Addr {
	b := a.As16()
	switch {
	case a.Is4(), a.Is4In6():
		return a.Unmap()
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}
