package collector

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// The functions of this file read protobuf's wire format at an offset. They return the value and
// the offset after it. The first ones read any valid value, and return a negative offset if there
// is none.

func varintAt(b []byte, i int) (v uint64, end int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	v, n := protowire.ConsumeVarint(b[i:])
	if n < 0 {
		return 0, -1
	}
	return v, i + n
}

func bytesAt(b []byte, i int) (s span, end int) {
	size, i := varintAt(b, i)
	if i < 0 || size > uint64(len(b)-i) {
		return span{}, -1
	}
	end = i + int(size)
	return span{uint32(i), uint32(end)}, end
}

func fixed32At(b []byte, i int) (v uint32, end int) {
	if len(b)-i < 4 {
		return 0, -1
	}
	return binary.LittleEndian.Uint32(b[i:]), i + 4
}

// skipField skips the value of an unknown field. An end-group tag without its start is invalid.
// Package explain parses skipped fields too (uncopied.go), to search records for their values.
func skipField(tag uint64, b []byte, i int) (end int) {
	num, typ := tag>>3, protowire.Type(tag&7)
	if num < uint64(protowire.MinValidNumber) || num > uint64(protowire.MaxValidNumber) {
		return -1
	}
	n := protowire.ConsumeFieldValue(protowire.Number(num), typ, b[i:])
	if n < 0 {
		return -1
	}
	return i + n
}

// The following functions read a field with a tag of one octet, and return i if the field at i is
// another one, is invalid, or has an unusual length. All but expectVarint are inlined, and
// therefore call nothing.

// expectSmall reads a varint of one octet.
func expectSmall(b []byte, i int, tag uint64) (v byte, end int) {
	if i+1 < len(b) && uint64(b[i]) == tag && b[i+1] < 0x80 {
		return b[i+1], i + 2
	}
	return 0, i
}

func expectVarint(b []byte, i int, tag uint64) (v uint64, end int) {
	if i < len(b) && uint64(b[i]) == tag {
		if v, n := protowire.ConsumeVarint(b[i+1:]); n > 0 {
			return v, i + 1 + n
		}
	}
	return 0, i
}

func expectFixed32(b []byte, i int, tag uint64) (v uint32, end int) {
	if i+4 < len(b) && uint64(b[i]) == tag {
		return binary.LittleEndian.Uint32(b[i+1:]), i + 5
	}
	return 0, i
}

// expectBytes reads a byte string whose length has one or two octets.
func expectBytes(b []byte, i int, tag uint64) (s span, end int) {
	if i+2 < len(b) && uint64(b[i]) == tag {
		begin, size := i+2, int(b[i+1])
		if size >= 0x80 {
			begin, size = i+3, size&0x7f|int(b[i+2])<<7
		}
		if end = begin + size; end <= len(b) && size < 1<<14 {
			return span{uint32(begin), uint32(end)}, end
		}
	}
	return s, i
}
