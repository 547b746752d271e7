package present

import (
	"encoding/base64"
	"net/netip"
)

// appendQuoted appends a character-string in quotes.
func appendQuoted(b, s []byte) []byte {
	b = append(b, '"')
	for _, c := range s {
		b = appendStringByte(b, c)
	}
	return append(b, '"')
}

func appendStringByte(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c < ' ' || c > '~':
		return appendDecimalEscape(b, c)
	}
	return append(b, c)
}

// appendBase64Words appends base64 in words of 56 characters, each full one with
// a space behind it.
func appendBase64Words(b, data []byte) []byte {
	const word = 56 / 4 * 3
	for len(data) >= word {
		b = append(base64.StdEncoding.AppendEncode(b, data[:word]), ' ')
		data = data[word:]
	}
	return base64.StdEncoding.AppendEncode(b, data)
}

// appendAddr appends an address as inet_ntop does: netip's form, except that one
// of ::/96 with something in bytes 12 and 13 ends in an IPv4 address.
func appendAddr(b []byte, addr netip.Addr) []byte {
	if addr.Is6() && !addr.Is4In6() {
		a := addr.As16()
		if [12]byte(a[:12]) == ([12]byte{}) && (a[12] != 0 || a[13] != 0) {
			return netip.AddrFrom4([4]byte(a[12:])).AppendTo(append(b, "::"...))
		}
	}
	return addr.AppendTo(b)
}
