package transform

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
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
	buf := make([]byte, dnswire.MaxName+1)
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
