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
	f := octetForms("IPv4", a[:])
	for _, around := range aroundZero(a) {
		f = append(f, form{name: "IPv4 octets around a zero (RFC 6052)", bytes: around})
	}
	numbers, padded := make([]string, 4), make([]string, 4)
	for i, v := range a {
		numbers[i], padded[i] = strconv.Itoa(int(v)), fmt.Sprintf("%03d", v)
	}
	f = append(f, numberForms(numbers, padded, "")...)
	slices.Reverse(numbers)
	slices.Reverse(padded)
	f = append(f, numberForms(numbers, padded, ", reversed")...)
	return append(f, rowForms("nibbles, reversed", nibbles(a[:]))...)
}

// numberForms are four numbers as people and names of hosts have them.
func numberForms(numbers, padded []string, order string) []form {
	f := rowForms("dotted numbers"+order, numbers)
	for _, text := range []form{
		{name: "numbers with dashes", bytes: strings.Join(numbers, "-")},
		{name: "numbers with underscores", bytes: strings.Join(numbers, "_")},
		{name: "numbers of three digits", bytes: strings.Join(padded, "")},
		{name: "dotted numbers of three digits", bytes: strings.Join(padded, ".")},
		{name: "numbers of three digits with dashes", bytes: strings.Join(padded, "-")},
	} {
		f = append(f, form{name: text.name + order, bytes: text.bytes, fold: true, digits: true})
	}
	return f
}

// forms6 are those of an IPv6 address. How its text may be spelled is for Set.spelled
// and Set.grouped.
func forms6(addr netip.Addr) []form {
	a := addr.As16()
	f := octetForms("IPv6", a[:])
	f = append(f, rowForms("nibbles, reversed", nibbles(a[:]))...)
	var groups []string
	for i := 0; i < len(a); i += 2 {
		groups = append(groups, strconv.FormatUint(uint64(a[i])<<8|uint64(a[i+1]), 16))
	}
	for _, spelled := range []string{addr.String(), addr.StringExpanded(), strings.Join(groups, ":")} {
		if len(spelled) <= len("2001::1") {
			continue // shorter ones are parts of other words
		}
		for _, by := range []struct{ what, is string }{{"dashes", "-"}, {"underscores", "_"}, {"dots", "."}} {
			f = append(f, form{name: "groups with " + by.what, bytes: strings.ReplaceAll(spelled, ":", by.is), fold: true, digits: true})
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

// aroundZero is an IPv4 address as it stands in IPv6 addresses with a prefix of 40, 48 or
// 56 bits: the ninth octet of those is zero, and not the IPv4 address's (RFC 6052 section
// 2.2).
func aroundZero(a [4]byte) [3]string {
	var all [3]string
	for i := range all {
		all[i] = string(a[:3-i]) + "\x00" + string(a[3-i:])
	}
	return all
}
