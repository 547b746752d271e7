package dnswire

import "encoding/binary"

// Fields goes through the fields of one record's rdata. It borrows the message. Names are
// only skipped: their pointers are not followed.
type Fields struct {
	Kind       Kind
	Start, End int  // of the current field in the message
	Malformed  bool // the rdata does not fit the layout; then there are no more fields

	msg    []byte
	layout Layout // of the fields that follow
	end    int    // of the rdata
}

// Fields returns the fields of the rdata from start to end in a message. If l is of
// [Presentation], call More before Next, because wdns accepts rdata that ends after any field.
func (l Layout) Fields(msg []byte, start, end int) Fields {
	return Fields{msg: msg, layout: l, Start: start, End: start, end: end}
}

// IsRdata reports whether the octets are rdata of a type outside a message, where names are
// uncompressed. Names are lowercase, unless their letter case is data.
func IsRdata(typ uint16, rdata []byte) bool {
	f := coarseOf(typ, rdata).Fields(rdata, 0, len(rdata))
	for f.Next() {
		if !f.IsName() {
			continue
		}
		if name := rdata[f.Start:f.End]; !IsName(name) || f.Kind == Name && !IsLower(name) {
			return false
		}
	}
	return !f.Malformed
}

// HasOctets reports whether octets of the rdata follow the current field.
func (f *Fields) HasOctets() bool { return f.End < f.end }

// IsName reports whether the current field is a name.
func (f *Fields) IsName() bool { return f.Kind == Name || f.Kind == CasedName }

// Data is the current field's octets, without the length octet of String, Tag, Salt and
// Hash.
func (f *Fields) Data() []byte {
	switch f.Kind {
	case String, Tag, Salt, Hash:
		return f.msg[f.Start+1 : f.End]
	}
	return f.msg[f.Start:f.End]
}

// Next goes to the next field and reports whether there is one. If it does not fit the layout,
// Next sets Malformed and returns false.
func (f *Fields) Next() bool {
	if len(f.layout) == 0 {
		f.Malformed = f.Malformed || f.End != f.end
		return false
	}
	f.Kind, f.Start = Kind(f.layout[0]), f.End
	switch f.Kind {
	case Strings, CasedNames: // repeat until the rdata ends
		if f.End == f.end {
			return false
		}
		if f.Kind == Strings {
			f.Kind = String
		} else {
			f.Kind = CasedName
		}
	default:
		f.layout = f.layout[1:]
	}
	f.End = f.fieldEnd()
	if f.End < 0 || f.End > f.end {
		f.Malformed, f.End, f.layout = true, f.end, ""
		return false
	}
	return true
}

// fieldEnd returns the offset after the field of f.Kind that begins at f.End, or -1 if it is
// malformed. The offset may be beyond the rdata.
func (f *Fields) fieldEnd() int {
	rest := f.msg[f.End:f.end]
	switch f.Kind {
	case Name, CasedName:
		return NameEnd(f.msg, f.End)
	case Hex, Base64, Bitmap, Text, Params, Opaque, Random:
		return f.end
	case String, Tag, Salt, Hash:
		if len(rest) == 0 {
			return -1
		}
		return f.End + 1 + int(rest[0])
	case Int8, Int16, Int32:
		return f.End + int(f.Kind-'0')
	case Type:
		return f.End + 2
	case IPv4:
		return f.End + 4
	case IPv6:
		return f.End + 16
	case EUI48:
		return f.End + 6
	case EUI64:
		return f.End + 8
	case IPv6Tail:
		if len(rest) == 0 || rest[0] > 128 {
			return -1
		}
		return f.End + 1 + (128-int(rest[0])+7)/8
	case HIPHeader:
		if len(rest) < 4 {
			return -1
		}
		return f.End + 4 + int(rest[0]) + int(binary.BigEndian.Uint16(rest[2:]))
	default: // a number of octets
		return f.End + int(f.Kind)
	}
}
