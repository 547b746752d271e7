package samples

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// read returns the records of a container in their order.
func read(c container) (all []Sample) {
	r := nmsg.NewReader(bytes.NewReader(c.bytes))
	for {
		m, err := r.Next()
		switch _, damaged := errors.AsType[*nmsg.DamageError](err); {
		case err == nil:
			all = append(all, Sample{c.sink, textOf(m)})
		case damaged:
			all = append(all, Sample{c.sink, "an unreadable part"})
		default: // the end: reading from memory has no other errors
			return all
		}
	}
}

// Bounds of the text of a record.
const (
	maxLines = 20
	maxLine  = 300 // characters
)

// textOf returns a record as dnstap-pdns cat prints it, shortened.
func textOf(m nmsg.Message) string {
	text, err := present.AppendText(nil, m)
	if err != nil {
		return "an unreadable record"
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if more := len(lines) - maxLines; more > 1 {
		lines = append(lines[:maxLines], fmt.Sprintf("  ... and %d lines more", more))
	}
	for i, l := range lines {
		if len(l) > maxLine {
			lines[i] = l[:maxLine] + " ..."
		}
	}
	return strings.Join(lines, "\n")
}
