package nmsg

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one protobuf field in wire form. bytes points into the message.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	value uint64 // varint, fixed32, fixed64
	bytes []byte // length-delimited
}

// nextField returns the first field of a message, which is not empty, and the rest of the
// message. For a group it returns only number and type: no NMSG message has groups.
func nextField(b []byte) (f field, rest []byte, err error) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return field{}, nil, wireError(n)
	}
	if num > protowire.MaxValidNumber { // protowire accepts these, protobuf does not
		return field{}, nil, fmt.Errorf("protobuf: invalid field number %d", num)
	}
	f.num, f.typ = num, typ
	b = b[n:]
	switch typ {
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(b)
		f.value = uint64(v)
	case protowire.Fixed64Type:
		f.value, n = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	default:
		n = protowire.ConsumeFieldValue(num, typ, b)
	}
	if n < 0 {
		return field{}, nil, fmt.Errorf("field %d: %w", num, wireError(n))
	}
	return f, b[n:], nil
}

func wireError(n int) error { return fmt.Errorf("protobuf: %w", protowire.ParseError(n)) }

// is reports whether the field has that number and wire type. As in protobuf, a known number
// with another wire type is an unknown field.
func (f *field) is(num protowire.Number, typ protowire.Type) bool {
	return f.num == num && f.typ == typ
}

var errRequired = errors.New("a required field is missing")

// required is a bit set of the fields 1 to 31 that were seen in a message.
type required uint32

func (r *required) saw(num protowire.Number) {
	if num < 32 {
		*r |= 1 << num
	}
}

// missing returns an error unless every field from 1 to last was seen.
func (r required) missing(last protowire.Number) error {
	for num := protowire.Number(1); num <= last; num++ {
		if r&(1<<num) == 0 {
			return fmt.Errorf("%w: field %d", errRequired, num)
		}
	}
	return nil
}

// The append functions below are short: appendNumber is inlined where it writes a field of two bytes,
// as nearly all are. A number below 16 makes a tag of one byte, a value below 128 a varint of one
// byte.

func appendVarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return protowire.AppendVarint(b, v)
}

// appendTag appends the tag of a field: one byte, or two for a number from 16 to 2047.
func appendTag(b []byte, num protowire.Number, typ protowire.Type) []byte {
	if num < 16 {
		return append(b, byte(num)<<3|byte(typ))
	}
	return append(b, byte(num)<<3|byte(typ)|0x80, byte(num>>4))
}

func appendNumber(b []byte, num protowire.Number, v uint64) []byte {
	if num < 16 && v < 0x80 {
		return append(b, byte(num<<3), byte(v)) // VarintType is 0
	}
	return appendAnyNumber(b, num, v)
}

func appendAnyNumber(b []byte, num protowire.Number, v uint64) []byte {
	b = appendTag(b, num, protowire.VarintType)
	if 1<<28 <= v && v < 1<<35 { // five bytes, as times from 1978 on and most CRCs have
		return append(b, byte(v)|0x80, byte(v>>7)|0x80, byte(v>>14)|0x80, byte(v>>21)|0x80, byte(v>>28))
	}
	return protowire.AppendVarint(b, v)
}

// appendSize appends the tag and length of a field; the caller appends that many bytes.
func appendSize(b []byte, num protowire.Number, size int) []byte {
	return appendVarint(appendTag(b, num, protowire.BytesType), uint64(size))
}

func appendFixed32(b []byte, num protowire.Number, v uint32) []byte {
	return binary.LittleEndian.AppendUint32(appendTag(b, num, protowire.Fixed32Type), v)
}

// appendString appends a field, unless it is empty.
func appendString(b []byte, num protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	return append(appendSize(b, num, len(v)), v...)
}

// appendBytes appends a field, unless it is empty.
func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return append(appendSize(b, num, len(v)), v...)
}
