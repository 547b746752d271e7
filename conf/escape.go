package conf

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Escape replaces each unprintable rune in v by \uXXXX, as in JSON, and each byte
// that is not UTF-8 by \xXX, so that v cannot control a terminal or end a line. It
// is for display: backslashes are not escaped.
func Escape(v string) string { return escape(v, "") }

// EscapeText is Escape, except that it keeps tabs and line ends. It does not change
// the value of a JSON text.
func EscapeText(v string) string { return escape(v, "\t\n") }

func escape(v, keep string) string {
	kept := func(r rune) bool { return unicode.IsPrint(r) || strings.ContainsRune(keep, r) }
	if utf8.ValidString(v) && !strings.ContainsFunc(v, func(r rune) bool { return !kept(r) }) {
		return v
	}
	var b strings.Builder
	for len(v) > 0 {
		r, size := utf8.DecodeRuneInString(v)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, v[0])
		case kept(r):
			b.WriteString(v[:size])
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
		v = v[size:]
	}
	return b.String()
}
