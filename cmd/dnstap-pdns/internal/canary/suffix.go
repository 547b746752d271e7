package canary

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// suffixStart returns the offset in a name at which its public suffix begins. Only suffixes in
// the list's ICANN section count; a name without one has its last label as suffix.
func suffixStart(name string) int {
	suffix, icann := publicsuffix.PublicSuffix(name)
	for !icann {
		_, shorter, more := strings.Cut(suffix, ".")
		if !more {
			break
		}
		suffix, icann = publicsuffix.PublicSuffix(shorter)
	}
	return len(name) - len(suffix)
}
