package setup

import "strings"

// A bindToken is a word, a string or a sign of a configuration of BIND.
type bindToken struct {
	text string // without quotation marks
	end  int    // offset after it
}

// bindTokens returns the tokens of a configuration, without comments.
func bindTokens(text string) (all []bindToken) {
	for i := 0; i < len(text); {
		rest := text[i:]
		switch c := text[i]; {
		case strings.ContainsRune(" \t\r\n", rune(c)):
			i++
		case c == '#', strings.HasPrefix(rest, "//"):
			i = after(text, i, "\n")
		case strings.HasPrefix(rest, "/*"):
			i = after(text, i+2, "*/")
		case c == '"':
			end := after(text, i+1, `"`)
			all = append(all, bindToken{strings.TrimSuffix(text[i+1:end], `"`), end})
			i = end
		case strings.ContainsRune("{};", rune(c)):
			i++
			all = append(all, bindToken{string(c), i})
		default:
			n := strings.IndexAny(rest, " \t\r\n\"{};#")
			if n < 0 {
				n = len(rest)
			}
			i += n
			all = append(all, bindToken{rest[:n], i})
		}
	}
	return all
}

// after returns the offset after the next occurrence of mark, or the length of text.
func after(text string, from int, mark string) int {
	if n := strings.Index(text[from:], mark); n >= 0 {
		return from + n + len(mark)
	}
	return len(text)
}
