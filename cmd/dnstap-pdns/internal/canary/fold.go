package canary

import (
	"unicode"
	"unicode/utf8"
)

// folded is a text after case folding.
type folded struct {
	text string
	word []bool // word[i]: octet i belongs to a letter, digit, hyphen or underscore
}

// fold folds each rune by simple Unicode case folding. Octets that are not UTF-8 are
// unchanged.
func fold(b []byte) folded {
	t := folded{word: make([]bool, 0, len(b))}
	text := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			text = append(text, b[0])
		} else {
			text = utf8.AppendRune(text, foldRune(r))
		}
		for word := isWord(r); len(t.word) < len(text); {
			t.word = append(t.word, word)
		}
		b = b[size:]
	}
	t.text = string(text)
	return t
}

// foldRune returns the rune that represents all runes that differ from r in case only: the
// lowercase ASCII letter, or else the smallest.
func foldRune(r rune) rune {
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	if 'A' <= least && least <= 'Z' { // the smallest of an orbit with an ASCII letter
		return least | 0x20
	}
	return least
}

// isWord reports whether a label may contain r: a letter, digit, hyphen or underscore. It is false
// for utf8.RuneError.
func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_'
}

// bounded reports whether no word continues before from or after to.
func (t *folded) bounded(from, to int) bool {
	return (from == 0 || !t.word[from-1]) && (to == len(t.word) || !t.word[to])
}

// isName reports whether octet i belongs to a dot, or to a letter, digit, hyphen or
// underscore.
func (t *folded) isName(i int) bool { return t.word[i] || t.text[i] == '.' }
