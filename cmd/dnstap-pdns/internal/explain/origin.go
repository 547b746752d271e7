package explain

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/shortage"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
)

// Origin is the part of a report that only the command knows.
type Origin struct {
	Version       string
	Command       []string // program and arguments
	Configuration string
	Inputs        []Input
	Problems      []string // in reading the inputs

	Packets *packet.Stats    // nil: none
	Causes  []shortage.Cause // of few records
}

var (
	plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=,@%+-]+$`)
	printable = regexp.MustCompile(`^[ -~]*$`)
)

// commandLine quotes words for a shell. Words that are not printable ASCII need bash.
func commandLine(words []string) string {
	var all []string
	for _, w := range words {
		switch {
		case plainWord.MatchString(w):
		case printable.MatchString(w):
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		default:
			w = "$'" + escaped(w) + "'"
		}
		all = append(all, w)
	}
	return strings.Join(all, " ")
}

func escaped(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
