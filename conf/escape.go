package conf

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Escape writes everything in v that does not print as JSON does, \uXXXX, and what
// is no UTF-8 as \xXX, so that no terminal obeys it and no line ends in it. It is
// for people: a backslash stays what it is.
func Escape(v string) string { return escape(v, "") }

// EscapeText is Escape but for tabs and line ends, which stay. What is JSON before
// is the same JSON after it.
func EscapeText(v string) string { return escape(v, "\t\n") }

func escape(v, keep string) string {
	stays := func(r rune) bool { return unicode.IsPrint(r) || strings.ContainsRune(keep, r) }
	if utf8.ValidString(v) && !strings.ContainsFunc(v, func(r rune) bool { return !stays(r) }) {
		return v
	}
	var b strings.Builder
	for len(v) > 0 {
		r, size := utf8.DecodeRuneInString(v)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, v[0])
		case stays(r):
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
