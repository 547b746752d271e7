package canary

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// A Canary is one thing to look for.
type Canary struct {
	Text string     // as it was given
	Addr netip.Addr // valid if Text is an address; IPv4-mapped addresses are unmapped

	patterns []pattern
}

// minText is the length of the shortest text that is not found everywhere by chance.
const minText = 3 // bytes

// Parse reads a canary: an address, a name of several labels, or any other text.
func Parse(text string) (Canary, error) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(text); err == nil {
		if a.IsUnspecified() {
			return Canary{}, fmt.Errorf("%v replaces every address that scrubbing removes, so it is found in each record: give another address", a)
		}
		return OfAddr(a), nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return Canary{}, fmt.Errorf("%v is a network, which has too many forms; give addresses in it that are in use", p)
	}
	if err := checkText(text); err != nil {
		return Canary{}, err
	}
	c := OfText(text)
	if len(c.patterns) == 0 {
		return Canary{}, errors.New("one or two bytes are found everywhere; give more")
	}
	return c, nil
}

// checkText returns an error if a text contains an address or names. It would be searched for
// as a text only, in fewer forms than the operator expects.
func checkText(text string) error {
	parts := strings.FieldsFunc(text, isSeparator)
	names := 0
	for i, part := range parts {
		parts[i] = strings.TrimSuffix(part, ".")
		if holdsAddr(parts[i]) {
			return errors.New("it contains an address, but would be searched for as a text only: give the address alone, without zeros in front")
		}
		if isName(parts[i]) {
			names++
		}
	}
	switch {
	case names > 1 && names == len(parts):
		return errors.New("it is several names: give each with --canary")
	case names == 1 && len(parts) == 1 && strings.TrimSuffix(text, ".") != parts[0]:
		return errors.New("it contains a name, but would be searched for as a text only: give the name alone")
	case strings.HasPrefix(text, "*.") || strings.HasPrefix(text, "."):
		return errors.New("give the name alone: names below it are found too")
	}
	return nil
}

// isSeparator reports whether r separates or encloses names, and is never part of a name.
func isSeparator(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`"'|/#<>(),;[]`, r) }

// holdsAddr reports whether a text contains an address that is not part of a name, or one
// before or after a colon.
func holdsAddr(text string) bool {
	for run := range strings.FieldsFuncSeq(text, isNoAddrCharacter) {
		for _, word := range append(strings.Split(run, ":"), run) {
			if _, err := netip.ParseAddr(word); err == nil || looksLikeAddr(word) {
				return true
			}
		}
	}
	return false
}

// isNoAddrCharacter reports whether no address contains r.
func isNoAddrCharacter(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF:.", r) }

// looksLikeAddr reports whether a text is four numbers with dots, of any size.
func looksLikeAddr(text string) bool {
	return strings.Count(text, ".") == 3 && strings.Trim(text, "0123456789.") == "" &&
		!strings.Contains(text, "..") && strings.Trim(text, ".") == text
}

// OfAddr returns the canary of an address.
func OfAddr(a netip.Addr) Canary {
	a = a.Unmap().WithZone("")
	c := Canary{Text: a.String(), Addr: a}
	if a.Is4() {
		c.patterns = patterns4(a.As4())
	} else {
		c.patterns = patterns6(a)
	}
	return c
}

// OfText returns the canary of a name or another text. A text of less than three bytes is not
// [Canary.Searchable].
func OfText(text string) Canary {
	c := Canary{Text: text}
	for _, spelled := range spellings(strings.TrimSuffix(text, ".")) {
		if len(spelled) < minText {
			continue
		}
		if isName(spelled) {
			c.add("wire labels", labels(strings.Split(spelled, ".")))
		}
		c.add("text", spelled)
		c.patterns = append(c.patterns, pattern{name: "hexadecimal text", bytes: fmt.Sprintf("%x", spelled), fold: true})
		if user, host, ok := strings.Cut(spelled, "@"); ok && user != "" && isName(host) {
			c.add("mailbox as wire labels", labels(append([]string{user}, strings.Split(host, ".")...)))
		}
	}
	return c
}

// add adds a pattern, forwards and backwards.
func (c *Canary) add(name, b string) {
	c.patterns = append(c.patterns, pattern{name: name, bytes: lower(b), fold: true})
	if backwards := reversed(b); backwards != b {
		c.patterns = append(c.patterns, pattern{name: name + ", backwards", bytes: lower(backwards), fold: true})
	}
}

// spellings returns the text in lower case, and its A-labels, U-labels and cases beyond ASCII
// if they differ.
func spellings(text string) []string {
	all := []string{lower(text)}
	add := func(s string, err error) {
		if err == nil && s != all[0] {
			all = append(all, s)
		}
	}
	if !isName(text) && strings.ContainsAny(text, " .") {
		return all
	}
	folded := strings.ToLower(text) // beyond ASCII
	add(folded, nil)
	add(lower(strings.ToUpper(text)), nil)
	if uLabels, err := idna.Punycode.ToUnicode(all[0]); err == nil {
		add(uLabels, nil)
		add(lower(strings.ToUpper(uLabels)), nil)
	}
	add(idna.Lookup.ToASCII(text))
	add(idna.Punycode.ToASCII(folded)) // also if host names must not contain its characters
	return all
}

// isName reports whether a text is a name of several labels.
func isName(text string) bool {
	_, ok := dns.IsDomainName(text)
	return ok && strings.Contains(text, ".") && !strings.HasPrefix(text, ".") && !strings.ContainsAny(text, ` \`)
}

// labels returns labels in wire form, without the root label.
func labels(parts []string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte(byte(len(p)))
		b.WriteString(p)
	}
	return b.String()
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// lower lowers ASCII letters only: octets need not be UTF-8.
func lower(s string) string { return string(appendLower(nil, []byte(s))) }

func appendLower(to, b []byte) []byte {
	n := len(to)
	to = append(to, b...)
	for i, c := range to[n:] {
		if 'A' <= c && c <= 'Z' {
			to[n+i] = c | 0x20
		}
	}
	return to
}

// Searchable reports whether the canary is long enough to be searched for.
func (c *Canary) Searchable() bool { return len(c.patterns) > 0 }
