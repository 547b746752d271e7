package nmsgcheck

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Wire types of fields.
const (
	varintField  = protowire.VarintType
	fixed32Field = protowire.Fixed32Type
	fixed64Field = protowire.Fixed64Type
	bytesField   = protowire.BytesType
)

// message lists the fields that a protobuf message may have.
type message map[protowire.Number]field

type field struct {
	kind     protowire.Type
	repeated bool
}

type value struct {
	number uint64
	bytes  []byte
}

// values contains a message's fields, the values of each in their order.
type values map[protowire.Number][]value

func (v values) has(n protowire.Number) bool { return len(v[n]) > 0 }

func (v values) number(n protowire.Number) uint64 {
	if !v.has(n) {
		return 0
	}
	return v[n][0].number
}

func (v values) bytes(n protowire.Number) []byte {
	if !v.has(n) {
		return nil
	}
	return v[n][0].bytes
}

// parse decodes a message. A field that is not allowed, has another wire type or occurs twice
// without being repeated is an error, and so is a missing required field.
func parse(raw []byte, allowed message, required ...protowire.Number) (values, error) {
	found := make(values)
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		raw = raw[n:]
		spec, ok := allowed[number]
		switch {
		case !ok:
			return nil, fmt.Errorf("field %d is not allowed", number)
		case spec.kind != kind:
			return nil, fmt.Errorf("field %d has wire type %d, not %d", number, kind, spec.kind)
		case found.has(number) && !spec.repeated:
			return nil, fmt.Errorf("field %d occurs twice", number)
		}
		v, n := consume(kind, raw)
		if n < 0 {
			return nil, fmt.Errorf("field %d: %w", number, protowire.ParseError(n))
		}
		found[number] = append(found[number], v)
		raw = raw[n:]
	}
	for _, number := range required {
		if !found.has(number) {
			return nil, fmt.Errorf("field %d is missing", number)
		}
	}
	return found, nil
}

func consume(kind protowire.Type, raw []byte) (v value, n int) {
	switch kind {
	case varintField:
		v.number, n = protowire.ConsumeVarint(raw)
	case fixed32Field:
		var x uint32
		x, n = protowire.ConsumeFixed32(raw)
		v.number = uint64(x)
	case fixed64Field:
		v.number, n = protowire.ConsumeFixed64(raw)
	default:
		v.bytes, n = protowire.ConsumeBytes(raw)
	}
	return v, n
}
