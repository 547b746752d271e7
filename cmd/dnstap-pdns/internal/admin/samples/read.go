package samples

import (
	"bytes"
	"errors"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// read returns a container's records in their order.
func read(c container) (all []Sample) {
	r := nmsg.NewReader(bytes.NewReader(c.bytes))
	for {
		m, err := r.Next()
		switch _, damaged := errors.AsType[*nmsg.DamageError](err); {
		case err == nil:
			all = append(all, Sample{c.sink, line(m)})
		case damaged:
			all = append(all, Sample{c.sink, "a part that cannot be read"})
		default: // the end: nothing else goes wrong in memory
			return all
		}
	}
}

// line is a record as dnstap-pdns cat prints it, without the lines that its response
// takes.
func line(m nmsg.Message) string {
	text, err := present.AppendText(nil, m)
	if err != nil {
		return "a record that cannot be read"
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return first
}
