package transform

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// lower lowercases ASCII letters in place (RFC 4343), eight octets at a time, and
// reports whether there were any to change. Length octets are no letters, so it takes
// names in wire form too.
func lower(b []byte) bool {
	changed := uint64(0)
	for len(b) >= 8 {
		v := binary.LittleEndian.Uint64(b)
		const ones = 0x0101010101010101
		low := v & (0x7f * ones)
		isUpper := (low + (0x80-'A')*ones) &^ (low + (0x80-'Z'-1)*ones) &^ v & (0x80 * ones)
		binary.LittleEndian.PutUint64(b, v|isUpper>>2)
		changed |= isUpper
		b = b[8:]
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
			changed = 1
		}
	}
	return changed != 0
}

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// equalFold compares two names, or other octets, without regard to ASCII case.
func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		d := b[i]
		if c == d {
			continue
		}
		if c^d != 0x20 || c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// validName reports whether b is exactly one uncompressed name in wire form.
func validName(b []byte) bool {
	if len(b) > maxName {
		return false
	}
	for off := 0; off < len(b) && b[off] < 64; off += 1 + int(b[off]) {
		if b[off] == 0 {
			return off+1 == len(b)
		}
	}
	return false
}

// longestEntry is in bytes: more than the U-labels of any name take. Time to read them
// grows with the square of their length.
const longestEntry = 1024

// ParseLocalName reads an entry of local_names: a host or zone name with or
// without the final dot, a U-label where one is wanted. It returns the name in
// lower case, in A-labels (RFC 5890), without the final dot.
func ParseLocalName(entry string) (string, error) {
	if len(entry) > longestEntry {
		return "", fmt.Errorf("a local name of %d bytes: longer than any in DNS", len(entry))
	}
	name := strings.TrimSuffix(strings.TrimSpace(entry), ".")
	if strings.HasSuffix(name, ".") {
		return "", fmt.Errorf("local name %q ends in an empty label", entry)
	}
	ascii, err := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false)).ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("local name %q has no form in DNS: %w", entry, err)
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("local name %q is not UTF-8", entry)
	}
	ascii = strings.TrimSuffix(strings.ToLower(ascii), ".") // there are other full stops
	if ascii == "" {
		return "", fmt.Errorf("local name %q is empty: the root would drop everything", entry)
	}
	if ascii[0] == '.' || strings.Contains(ascii, "..") {
		return "", fmt.Errorf("local name %q has an empty label", entry)
	}
	for _, c := range []byte(ascii) {
		if !isLabelChar(c) && c != '.' {
			return "", fmt.Errorf("local name %q: %q cannot stand in a host name", entry, c)
		}
	}
	if _, err := packName(ascii); err != nil {
		return "", fmt.Errorf("local name %q: %w", entry, err)
	}
	return ascii, nil
}

// packName returns a name in presentation form as uncompressed wire form.
func packName(name string) ([]byte, error) {
	buf := make([]byte, maxName+1)
	n, err := dns.PackDomainName(dns.Fqdn(name), buf, 0, nil, false)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// isLabelChar reports whether c can stand in a host name's label; underscores
// are common in service names.
func isLabelChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
