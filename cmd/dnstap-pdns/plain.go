package main

import (
	"io"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// A plainWriter escapes text for terminals, which peers and files may control. All output for
// people passes it, log lines in JSON included. Each write is one whole text or log line.
type plainWriter struct{ w io.Writer }

func (p plainWriter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.w, conf.EscapeText(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}
