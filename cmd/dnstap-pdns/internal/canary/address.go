package canary

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// patterns4 returns the patterns of an IPv4 address. Its octets also match inside an IPv6
// address that embeds it.
func patterns4(a [4]byte) []pattern {
	f := octetPatterns("IPv4", a[:])
	for _, around := range aroundZero(a) {
		f = append(f, pattern{name: "IPv4 octets around a zero (RFC 6052)", bytes: around})
	}
	numbers, padded := make([]string, 4), make([]string, 4)
	for i, v := range a {
		numbers[i], padded[i] = strconv.Itoa(int(v)), fmt.Sprintf("%03d", v)
	}
	f = append(f, numberPatterns(numbers, padded, "")...)
	slices.Reverse(numbers)
	slices.Reverse(padded)
	f = append(f, numberPatterns(numbers, padded, ", reversed")...)
	return append(f, rowPatterns("nibbles, reversed", nibbles(a[:]))...)
}

// numberPatterns returns the spellings of four numbers in texts and host names.
func numberPatterns(numbers, padded []string, order string) []pattern {
	f := rowPatterns("dotted numbers"+order, numbers)
	for _, text := range []pattern{
		{name: "numbers with dashes", bytes: strings.Join(numbers, "-")},
		{name: "numbers with underscores", bytes: strings.Join(numbers, "_")},
		{name: "numbers of three digits", bytes: strings.Join(padded, "")},
		{name: "dotted numbers of three digits", bytes: strings.Join(padded, ".")},
		{name: "numbers of three digits with dashes", bytes: strings.Join(padded, "-")},
	} {
		f = append(f, pattern{name: text.name + order, bytes: text.bytes, fold: true, digits: true})
	}
	return f
}

// patterns6 returns the patterns of an IPv6 address. Set.searchColons and Set.searchGroups find
// the other spellings of its text.
func patterns6(addr netip.Addr) []pattern {
	a := addr.As16()
	f := octetPatterns("IPv6", a[:])
	f = append(f, rowPatterns("nibbles, reversed", nibbles(a[:]))...)
	var groups []string
	for i := 0; i < len(a); i += 2 {
		groups = append(groups, strconv.FormatUint(uint64(a[i])<<8|uint64(a[i+1]), 16))
	}
	for _, spelled := range []string{addr.String(), addr.StringExpanded(), strings.Join(groups, ":")} {
		if len(spelled) <= len("2001::1") {
			continue // shorter ones are parts of other words
		}
		for _, by := range []struct{ what, is string }{{"dashes", "-"}, {"underscores", "_"}, {"dots", "."}} {
			f = append(f, pattern{name: "groups with " + by.what, bytes: strings.ReplaceAll(spelled, ":", by.is), fold: true, digits: true})
		}
	}
	return f
}

func octetPatterns(family string, b []byte) []pattern {
	f := []pattern{{name: family + " octets", bytes: string(b)}}
	if backwards := reversed(string(b)); backwards != string(b) {
		f = append(f, pattern{name: family + " octets, reversed", bytes: backwards})
	}
	return append(f, pattern{name: family + " octets as hexadecimal text", bytes: fmt.Sprintf("%x", b), fold: true})
}

// rowPatterns returns consecutive numbers, as labels and as text with dots.
func rowPatterns(name string, parts []string) []pattern {
	return []pattern{
		{name: name + " as wire labels", bytes: labels(parts), fold: true},
		{name: name + " as text", bytes: strings.Join(parts, "."), fold: true, digits: true},
	}
}

// nibbles returns the hexadecimal digits of b, the last one first (RFC 3596 section 2.5).
func nibbles(b []byte) []string {
	digits := strings.Split(fmt.Sprintf("%x", b), "")
	slices.Reverse(digits)
	return digits
}

// aroundZero returns an IPv4 address as IPv6 addresses embed it after a prefix of 40, 48 or 56
// bits: the ninth octet of the IPv6 address is zero and divides the IPv4 address (RFC 6052
// section 2.2).
func aroundZero(a [4]byte) [3]string {
	var all [3]string
	for i := range all {
		all[i] = string(a[:3-i]) + "\x00" + string(a[3-i:])
	}
	return all
}
