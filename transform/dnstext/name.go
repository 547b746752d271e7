package dnstext

import (
	"net/netip"
	"strings"
)

// Form is a presentation form.
type Form uint8

const (
	WDNS Form = iota // as wdns prints
	Zone             // as a zone file reads
	COF              // as wdns prints, but names have no final dot
)

// special reports whether c gets a backslash in a name.
func (f Form) special(c byte) bool {
	if f == Zone {
		return strings.IndexByte(`.\"();@$`, c) >= 0
	}
	return c == '.' || c == '\\'
}

// AppendName appends a name that is in uncompressed wire form. Payloads may contain a malformed
// name: a label that is cut off is shown as far as it goes, and ends the name.
func AppendName(b, name []byte, f Form) []byte {
	if len(name) == 0 || name[0] == 0 {
		return append(b, '.')
	}
	for len(name) > 0 && name[0] != 0 {
		end := min(1+int(name[0]), len(name))
		for _, c := range name[1:end] {
			switch {
			case 'a' <= c && c <= 'z': // most are
				b = append(b, c)
			case c <= ' ' || c > '~':
				b = appendDecimal(b, c)
			case f.special(c):
				b = append(b, '\\', c)
			default:
				b = append(b, c)
			}
		}
		b = append(b, '.')
		name = name[end:]
	}
	if f == COF {
		b = b[:len(b)-1]
	}
	return b
}

// appendDecimal appends \DDD (RFC 1035 section 5.1).
func appendDecimal(b []byte, c byte) []byte {
	return append(b, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
}

func appendQuoted(b, s []byte) []byte {
	b = append(b, '"')
	for _, c := range s {
		b = appendQuotedByte(b, c)
	}
	return append(b, '"')
}

func appendQuotedByte(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c < ' ' || c > '~':
		return appendDecimal(b, c)
	}
	return append(b, c)
}

// AppendAddr appends an address as inet_ntop does. The result is that of netip, except that an
// address in ::/96 but not in ::/112 ends in an IPv4 address.
func AppendAddr(b []byte, addr netip.Addr) []byte {
	if addr.Is6() && !addr.Is4In6() {
		a := addr.As16()
		if [12]byte(a[:12]) == ([12]byte{}) && (a[12] != 0 || a[13] != 0) {
			return netip.AddrFrom4([4]byte(a[12:])).AppendTo(append(b, "::"...))
		}
	}
	return addr.AppendTo(b)
}
