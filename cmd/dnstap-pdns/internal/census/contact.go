package census

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
)

var (
	mailForm = regexp.MustCompile(`(?i)[a-z0-9][a-z0-9._%+-]*@(?:[a-z0-9_-]+\.)+[a-z]{2,}`)

	// E.164 with the spaces, dots, hyphens and brackets of E.123. No character of base64 may
	// precede or follow the number, because base64 often contains +.
	phoneForm = regexp.MustCompile(`(?:^|[^0-9A-Za-z+/=])(\+[1-9](?:[ .()-]{0,2}[0-9]){7,14})(?:$|[^0-9A-Za-z+/=])`)

	tokenForm = regexp.MustCompile(`(?i)eyj[a-z0-9_-]{8,}(?:\.[a-z0-9_-]*){2,4}`)
)

// roles are words in the local parts of mail addresses that belong to no person: those of RFC
// 2142, and those in SOA records and in texts for reports. Longer ones may be part of a word.
var roles = []string{"abuse", "admin", "contact", "devops", "dmarc", "dns", "domain", "email", "host", "hosting", "hostmaster", "info",
	"it", "mail", "marketing", "master", "net", "network", "nic", "nobody", "noc", "nstld", "null", "office", "operat", "ops", "postmaster",
	"privacy", "registr", "report", "root", "rua", "ruf", "sales", "security", "server", "service", "sre", "support", "sysop", "system",
	"tech", "tld", "tls", "webmaster", "zone"}

const longRole = 5

// isRole reports whether the local part of a mail address is that of a role, not of a person.
func isRole(local string) bool {
	words := strings.FieldsFunc(strings.ToLower(local), func(r rune) bool { return r < 'a' || r > 'z' })
	return slices.ContainsFunc(words, func(word string) bool {
		return slices.ContainsFunc(roles, func(role string) bool {
			return word == role || len(role) >= longRole && strings.Contains(word, role)
		})
	})
}

// mails returns the mail addresses of persons in a text.
func mails(text string) []string {
	return slices.DeleteFunc(mailForm.FindAllString(text, -1), func(m string) bool {
		local, _, _ := strings.Cut(m, "@")
		return isRole(local)
	})
}

func phones(text string) []string {
	var all []string
	if !strings.Contains(text, "+") { // faster than the expression
		return nil
	}
	for _, m := range phoneForm.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// isMailLabel reports whether a label contains the mail address of a person, or its beginning:
// the domain may continue in the next label.
func isMailLabel(label string) bool {
	local, domain, found := strings.Cut(label, "@")
	return found && local != "" && domain != "" && !isRole(local)
}

// spellsPhone reports whether consecutive labels are the digits of a telephone number, one digit
// each (RFC 6116). Labels with other nibbles among them are part of an address.
func spellsPhone(labels []string) bool {
	for row := range rows(labels, isNibble) {
		if 7 <= len(row) && len(row) <= 15 && isAll(row, isDigits) {
			return true
		}
	}
	return false
}

// members are the header parameters that a JSON web token may begin with (RFC 7515 section
// 4.1, RFC 7516 section 4.1).
var members = []string{"alg", "cty", "enc", "jku", "jwk", "kid", "typ", "x5t", "zip"}

// tokenStart is the base64 of {" and of the first bits of the next letter.
const tokenStart = "eyJ"

// beginsToken reports whether a text begins with the encoded header of a token. It ignores case,
// because scrubbing changes names to lower case.
func beginsToken(text string) bool {
	if len(text) < len(tokenStart) || !strings.EqualFold(text[:len(tokenStart)], tokenStart) {
		return false
	}
	return slices.ContainsFunc(members, func(member string) bool {
		head := base64.RawURLEncoding.EncodeToString([]byte(`{"` + member + `"`))
		return len(text) >= len(head) && strings.EqualFold(text[:len(head)], head)
	})
}

// tokens returns the JSON web tokens in a text.
func tokens(text string) []string {
	return slices.DeleteFunc(tokenForm.FindAllString(text, -1), func(t string) bool { return !beginsToken(t) })
}
