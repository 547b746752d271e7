package nmsgjson

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// A line is the object that nmsgtool prints for a payload. The members of this and every other
// struct are in the order of nmsgtool. A member of type any is absent if it is nil, and null if
// it is a nil pointer.
type line struct {
	Time     text   `json:"time"`
	Vendor   string `json:"vname"`
	Type     string `json:"mname"`
	Source   string `json:"source,omitempty"`
	Operator uint32 `json:"operator,omitempty"`
	Group    uint32 `json:"group,omitempty"`
	Message  any    `json:"message,omitempty"`
	*opaque
}

// opaque is a message of an unknown type.
type opaque struct {
	Vendor  uint32 `json:"vid"`
	Type    uint32 `json:"msgtype"`
	Payload []byte `json:"payload"`
}

// text is a JSON string in printable ASCII, in the memory of an Encoder. It is absent if it is nil
// and its tag has omitzero.
type text []byte

// MarshalText implements encoding.TextMarshaler. The receiver is a pointer, because json would
// copy a slice to memory that it allocates.
func (t *text) MarshalText() ([]byte, error) { return *t, nil }

// An Encoder encodes messages and reuses its memory. The zero value is ready. It is used by one
// goroutine at a time.
type Encoder struct {
	json *json.Encoder
	out  buffer
	dns  dnstext.Message

	line line
	memory
}

// memory is the memory that a line refers to. Slices of it and pointers into it stay valid when an
// append allocates a larger array, because they keep the old one.
type memory struct {
	qr        dnsqr
	messages  []message
	opts      []opt
	questions []question
	rrsets    []rrset
	numbers   []uint64
	names     []string
	texts     []text
	text      []byte
}

// reset makes the memory free for the next line.
func (m *memory) reset() {
	m.messages, m.opts, m.questions, m.rrsets = m.messages[:0], m.opts[:0], m.questions[:0], m.rrsets[:0]
	m.numbers, m.names, m.texts, m.text = m.numbers[:0], m.names[:0], m.texts[:0], m.text[:0]
}

// buffer is an io.Writer for json.Encoder.
type buffer []byte

// Write appends b.
func (o *buffer) Write(b []byte) (int, error) {
	*o = append(*o, b...)
	return len(b), nil
}

// Append appends the line of a message to b, including the line end. If m.Data is not a message of
// type m.Type, it returns b and an error.
func (e *Encoder) Append(b []byte, m nmsg.Message) ([]byte, error) {
	if e.json == nil {
		e.json = json.NewEncoder(&e.out)
		e.json.SetEscapeHTML(false)
	}
	e.reset()
	e.line = line{Operator: m.Operator, Group: m.Group}
	e.line.Time = e.textOf(AppendTime(e.text, m.Sec, m.Nsec))
	e.line.Vendor, e.line.Type = names(&m)
	if m.Source != 0 {
		e.line.Source = fmt.Sprintf("%08x", m.Source)
	}
	if err := e.setMessage(&m); err != nil {
		return b, err
	}
	e.out = b
	if err := e.json.Encode(&e.line); err != nil {
		return b, fmt.Errorf("encode JSON: %w", err)
	}
	return e.out, nil
}

// setMessage sets the members that depend on the message type.
func (e *Encoder) setMessage(m *nmsg.Message) (err error) {
	switch [2]uint32{m.Vendor, m.Type} {
	case [2]uint32{nmsg.VendorBase, nmsg.NumberDNSQR}:
		e.line.Message, err = e.dnsqr(m.Data)
	case [2]uint32{nmsg.VendorBase, nmsg.NumberDNSObs}:
		e.line.Message, err = e.dnsobs(m.Data)
	case [2]uint32{nmsg.VendorBase, nmsg.NumberDNSTap}:
		e.line.Message, err = e.dnstap(m.Data)
	case [2]uint32{nmsg.VendorSIE, nmsg.NumberDNSDedupe}:
		e.line.Message, err = e.dnsdedupe(m.Data)
	default:
		e.line.opaque = &opaque{m.Vendor, m.Type, list(m.Data)}
	}
	return err
}

// names returns the names of the vendor and the message type.
func names(m *nmsg.Message) (vendor, typ string) {
	const unknown = "(unknown)"
	if vendor, typ, ok := m.Name(); ok {
		return vendor, typ
	}
	switch m.Vendor {
	case nmsg.VendorSIE:
		return "SIE", unknown
	case nmsg.VendorBase:
		return "base", unknown
	}
	return unknown, unknown
}

// AppendTime appends the time of a payload in UTC, with nine decimals. A year has four digits,
// even if the payload is malformed.
func AppendTime(b []byte, sec int64, nsec uint32) []byte {
	const years = 10_000
	t := time.Unix(sec, int64(nsec%1e9)).UTC()
	if y := t.Year(); y < 0 || y >= years {
		t = t.AddDate(max(y%years, -y%years)-y, 0, 0)
	}
	return t.AppendFormat(b, "2006-01-02 15:04:05.000000000")
}

// textOf sets e.text to appended, which is e.text with more bytes, and returns these bytes.
func (e *Encoder) textOf(appended []byte) text {
	t := appended[len(e.text):]
	e.text = appended
	return t
}

func (e *Encoder) address(a netip.Addr) text { return e.textOf(dnstext.AppendAddr(e.text, a)) }

// name returns a name in presentation form: nil if it is absent, and empty, as in nmsgtool, if it
// has an impossible length.
func (e *Encoder) name(wire []byte) text {
	const maxName = 255 // RFC 1035 section 2.3.4
	switch {
	case wire == nil:
		return nil
	case len(wire) == 0 || len(wire) > maxName:
		return text{}
	}
	return e.textOf(dnstext.AppendName(e.text, wire, dnstext.WDNS))
}

// class returns the mnemonic of a class that is a field of the NMSG message, or <UNKNOWN>, as
// nmsgtool does. For a class in a DNS message, use dnstext.Class.
func class(c uint16) string {
	if s := dnstext.ClassMnemonic(c); s != "" {
		return s
	}
	return "<UNKNOWN>"
}

// enum returns the name of an enum's value for JSON: a string, or a number if name is a number,
// as for unknown values.
func enum(name string) any {
	if c := name[0]; c == '-' || '0' <= c && c <= '9' {
		return json.Number(name)
	}
	return name
}

// list returns all, or an empty list for nil, which would be null in JSON.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}
