package present

import (
	"fmt"
	"io"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgjson"
)

// Format is a way to show messages.
type Format uint8

const (
	JSON Format = iota // as [nmsgjson.Encoder]
	Text               // as [AppendText]
)

// Printer prints messages one by one and reuses its memory. It is used by one goroutine at a time.
type Printer struct {
	Format Format

	buf  []byte
	json nmsgjson.Encoder
	text textWriter
}

// Print writes the message to w in one call of Write. If the message is not of its payload's
// message type, nothing is written and the error is a [*MessageError]; the next message can be
// printed. Every other error is from w.
func (p *Printer) Print(w io.Writer, m nmsg.Message) error {
	appendFormat := p.json.Append
	if p.Format == Text {
		appendFormat = p.text.append
	}
	b, err := appendFormat(p.buf[:0], m)
	if err != nil {
		vendor, name, _ := m.Name()
		return &MessageError{vendor + ":" + name, err}
	}
	p.buf = b
	_, err = w.Write(b)
	return err
}

// MessageError reports that a payload is not of its message type.
type MessageError struct {
	Type string // in the form of nmsgtool, such as base:dnsqr
	Err  error
}

// Error returns the type and the reason.
func (e *MessageError) Error() string { return fmt.Sprintf("unreadable %s message: %v", e.Type, e.Err) }

// Unwrap returns the reason.
func (e *MessageError) Unwrap() error { return e.Err }
