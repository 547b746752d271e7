package census

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// A name is a domain name in lower case.
type name struct {
	text   string   // in zone file form, printable ASCII, without the final dot
	labels []string // as octets
}

// parseName reads a name in zone file form (RFC 1035 section 5.1).
func parseName(s string) name {
	var n name
	var text, label strings.Builder
	for i := 0; i < len(s); {
		c, size, escaped := octetAt(s[i:])
		if c == '.' && !escaped {
			n.labels = append(n.labels, label.String())
			label.Reset()
			text.WriteByte('.')
		} else {
			c = lower(c)
			label.WriteByte(c)
			writeOctet(&text, c, escaped)
		}
		i += size
	}
	n.labels = append(n.labels, label.String())
	n.text = text.String()
	if last := len(n.labels) - 1; n.labels[last] == "" {
		n.labels = n.labels[:last]
		n.text = strings.TrimSuffix(n.text, ".")
	}
	return n
}

// octetAt returns the octet with which s begins, the number of characters that spell it, and
// whether a backslash is among them.
func octetAt(s string) (c byte, size int, escaped bool) {
	switch {
	case s[0] != '\\' || len(s) == 1:
		return s[0], 1, false
	case len(s) >= 4 && isDigits(s[1:4]):
		return (s[1]-'0')*100 + (s[2]-'0')*10 + s[3] - '0', 4, true
	}
	return s[1], 2, true
}

func writeOctet(to *strings.Builder, c byte, escaped bool) {
	switch {
	case c < ' ' || c > '~':
		fmt.Fprintf(to, `\%03d`, c)
	case escaped && !isLetter(c) && !isDigit(c) || c == '\\':
		to.WriteString(`\` + string(rune(c)))
	default:
		to.WriteByte(c)
	}
}

// registered returns the end of a name that masking keeps. It is the registered domain, or only
// the public suffix if the labels below that are of a provider's customers, as with dynamic DNS,
// or spell addresses and telephone numbers.
func registered(text string) string {
	if _, err := netip.ParseAddr(text); err == nil {
		return ""
	}
	suffix, icann := publicsuffix.PublicSuffix(text)
	dotted := strings.Contains(suffix, ".")
	if dotted && !icann || suffix == "arpa" || strings.HasSuffix(suffix, ".arpa") {
		return suffix
	}
	if domain, found := registrable(text); found {
		return domain
	}
	if icann {
		return suffix
	}
	return ""
}

// registrable returns the public suffix of a name and one more label, if the name has one.
func registrable(text string) (domain string, found bool) {
	domain, err := publicsuffix.EffectiveTLDPlusOne(text)
	return domain, err == nil
}

// masked returns the name with the labels below the registered domain masked.
func (n name) masked() string {
	keep := registered(n.text)
	return mask(n.text[:len(n.text)-len(keep)]) + keep
}

// mask replaces letters by x and digits by 0.
func mask(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch {
		case isDigit(c):
			b[i] = '0'
		case isLetter(lower(c)):
			b[i] = 'x'
		}
	}
	return string(b)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
func isHex(s string) bool    { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }

// mixed reports whether hexadecimal digits contain both letters and decimal digits. If they do not,
// they may be a number or a word.
func mixed(s string) bool {
	return strings.ContainsAny(s, "0123456789") && strings.ContainsAny(s, "abcdef")
}
