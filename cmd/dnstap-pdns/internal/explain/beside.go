package explain

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
)

// Fields of dnstap.proto. Other fields than message and type are never copied.
const (
	dnstapIdentity protowire.Number = 1
	dnstapVersion  protowire.Number = 2
	dnstapExtra    protowire.Number = 3
	dnstapMessage  protowire.Number = 14
	dnstapType     protowire.Number = 15

	lastOfMessage protowire.Number = 14 // the fields 1 to 14 are read
	messagePolicy protowire.Number = 15
	messageHTTP   protowire.Number = 16
)

// Bounds of what is remembered of those fields.
const (
	maxValues     = 16 // of one field
	maxFields     = 16
	longestBeside = 255 // octets of a value
)

// besides is what frames hold in addition to their messages, by field.
type besides map[string]*field

type field struct {
	values []*beside
	last   *beside
	more   bool // values than are remembered
}

// A beside is one value of one field.
type beside struct {
	value  []byte
	frames uint64
}

// Frame takes a dnstap frame before the lane takes its message, and notes the fields that
// are not read. A damaged frame is read up to the damage.
func (e *Explainer) Frame(frame []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	eachField(frame, func(n protowire.Number, value []byte) {
		switch n {
		case dnstapType:
		case dnstapMessage:
			eachField(value, func(n protowire.Number, value []byte) {
				if n > lastOfMessage {
					e.note(messageField(n), value)
				}
			})
		default:
			e.note(dnstapField(n), value)
		}
	})
}

func (e *Explainer) note(name string, value []byte) {
	f := e.beside[name]
	if f == nil {
		if len(e.beside) == maxFields {
			return
		}
		f = &field{}
		e.beside[name] = f
	}
	value = value[:min(len(value), longestBeside)]
	if f.last != nil && bytes.Equal(f.last.value, value) {
		f.last.frames++
		return
	}
	if i := slices.IndexFunc(f.values, func(b *beside) bool { return bytes.Equal(b.value, value) }); i >= 0 {
		f.last = f.values[i]
		f.last.frames++
		return
	}
	if len(f.values) == maxValues {
		f.more = true
		return
	}
	f.last = &beside{bytes.Clone(value), 1}
	f.values = append(f.values, f.last)
	e.leaving.watch(canary.OfText(string(value)), never, asASCII(string(value)))
}

func dnstapField(n protowire.Number) string {
	switch n {
	case dnstapIdentity:
		return "identity"
	case dnstapVersion:
		return "version"
	case dnstapExtra:
		return "extra"
	}
	return fmt.Sprintf("field %d", n)
}

func messageField(n protowire.Number) string {
	switch n {
	case messagePolicy:
		return "message.policy"
	case messageHTTP:
		return "message.http_protocol"
	}
	return fmt.Sprintf("message.field %d", n)
}

// eachField calls f for each field of a protobuf message; value is the contents of a field
// of octets, and the encoding of another field.
func eachField(b []byte, f func(n protowire.Number, value []byte)) bool {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return false
		}
		b = b[size:]
		var value []byte
		if typ == protowire.BytesType {
			value, size = protowire.ConsumeBytes(b)
		} else {
			size = protowire.ConsumeFieldValue(n, typ, b)
			value = b[:max(size, 0)]
		}
		if size < 0 {
			return false
		}
		f(n, value)
		b = b[size:]
	}
	return true
}
