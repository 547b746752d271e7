package main

import (
	"io"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// A plainWriter is where everything for people goes, log lines in JSON included:
// what peers and files put into it is escaped here, so that nobody else has to.
// Each write is whole, as a log line's is.
type plainWriter struct{ w io.Writer }

func (p plainWriter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.w, conf.EscapeText(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}
