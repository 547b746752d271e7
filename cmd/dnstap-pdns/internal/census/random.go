package census

import "strings"

// pairs are the 200 most frequent pairs of letters: for each letter, the letters that follow it.
// They were counted in half of the labels of the public suffix list (version of 2023-02-09,
// without A-labels) and in 2,000 words of SCOWL's American English list. They are 88 % of the
// pairs that occur there, and 30 % of the possible pairs.
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

// looksRandom reports whether a label of 16 or more characters looks random: at least half of the
// different pairs of adjacent characters in it are rare. Two letters are a rare pair if the table
// pairs does not have them, a letter and a digit always. Other pairs (digits, as in numbers and
// dates, or with a hyphen) do not count.
//
// Of generated labels of 16 characters it finds 99 % (letters and digits), 98 % (base32),
// 92 % (letters) and 72 % (hexadecimal digits). Of labels of 16 or more characters that people
// chose it takes for random: none of those in the other half of the public suffix list (0 of 75),
// no single word (0 of 129), and 0.07 % of those that consist of three words. Of 8,152 host names
// in Go modules and Debian's documentation it takes 17 for random: 8 are random (NSEC3 hashes,
// names of a CDN), 9 are not names but octets of protobuf. TestRandomLabelsAreFound repeats the
// first measurement, and TestCapturesContainNoRandomLabels examines captures.
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
