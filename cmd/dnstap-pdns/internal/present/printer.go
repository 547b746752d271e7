package present

import (
	"fmt"
	"io"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// Format is a way to show messages.
type Format uint8

const (
	JSON Format = iota // as [AppendJSON]
	Text               // as [AppendText]
)

// Printer prints messages one by one and reuses its buffers. It serves one
// goroutine.
type Printer struct {
	Format Format

	buf  []byte
	json writer
	text textWriter
}

// Print writes the message to w in one call of Write. Where the message is not
// what its type says, nothing is written, and the error is a [*MessageError];
// the next message may be printed all the same. Any other error is w's.
func (p *Printer) Print(w io.Writer, m nmsg.Message) error {
	b, err := p.append(m)
	if err != nil {
		return &MessageError{Vendor: m.Vendor, Type: m.Type, Err: err}
	}
	p.buf = b[:0]
	_, err = w.Write(b)
	return err
}

func (p *Printer) append(m nmsg.Message) ([]byte, error) {
	if p.Format == Text {
		return p.text.lines(p.buf, m)
	}
	return p.json.line(p.buf, m)
}

// MessageError says that a payload is not what its message type says.
type MessageError struct {
	Vendor, Type uint32
	Err          error
}

// Error names the type as nmsgtool does.
func (e *MessageError) Error() string {
	vendor, name := names(e.Vendor, e.Type)
	return fmt.Sprintf("unreadable %s:%s message: %v", vendor, name, e.Err)
}

// Unwrap returns what is wrong with the payload.
func (e *MessageError) Unwrap() error { return e.Err }
