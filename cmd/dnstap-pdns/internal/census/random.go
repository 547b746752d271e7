package census

import "strings"

// pairs are the 200 most frequent pairs of letters: under each letter those that follow it.
// They were counted in half of the labels of the public suffix list (version of 2023-02-09,
// A-labels excluded) and in 2,000 words of SCOWL's American English list; 88 % of all pairs
// there are among them, and 30 % of all possible pairs.
var pairs = map[byte]string{
	'a': "bcdgiklmnprstuvwy", 'b': "aeiloru", 'c': "aehiklortu", 'd': "aeiors", 'e': "abcdegilmnprstx", 'f': "aeioru",
	'g': "aeioru", 'h': "aeio", 'i': "abcdegklmnoprstvz", 'k': "aeiou", 'l': "aeilosuy", 'm': "abeiopu", 'n': "acdegiost",
	'o': "bcdgklmnoprstuvwy", 'p': "aehilopr", 'q': "u", 'r': "acdegimnostuvy", 's': "acehikopstu", 't': "aehiorstuy",
	'u': "acdeiklmnrst", 'v': "aei", 'w': "aei", 'y': "ao", 'z': "ae",
}

const (
	shortestRandom = 16
	fewestPairs    = 8
)

// looksRandom reports whether at least half of a label's pairs of neighbours are rare: letters
// that words seldom have in this order, or a letter and a digit. Two digits, as in numbers and
// dates, do not count, nor do hyphens and what is next to them.
//
// Of generated labels of 16 characters it finds 99 % (letters and digits), 98 % (base32),
// 92 % (letters) and 72 % (hexadecimal digits). Of the other half of the labels of 16 or more
// characters, and of as long words, it takes none for random (0 of 75 and of 129), of labels
// that are three words in a row 0.07 %. Among 8,152 host names in Go modules and Debian's
// documentation it takes 17 for random: 8 are (NSEC3 hashes, a CDN's), 9 are no names but
// octets of protobuf. TestRandomLabelsAreFound repeats the first, and
// TestCapturesHoldNoRandomLabels examines captures.
func looksRandom(label string) bool {
	if len(label) < shortestRandom || strings.HasPrefix(label, "xn--") { // A-labels (RFC 5890) are words
		return false
	}
	all, rare := 0, 0
	for i := range len(label) - 1 {
		a, b := label[i], label[i+1]
		letters := isLetter(a) && isLetter(b)
		if !letters && !(isLetter(a) && isDigit(b)) && !(isDigit(a) && isLetter(b)) || strings.Contains(label[:i+1], label[i:i+2]) {
			continue
		}
		all++
		if !letters || strings.IndexByte(pairs[a], b) < 0 {
			rare++
		}
	}
	return all >= fewestPairs && 2*rare >= all
}
