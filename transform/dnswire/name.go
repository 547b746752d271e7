package dnswire

import "encoding/binary"

// Lower lowercases ASCII letters in place (RFC 4343), eight octets at a time, and reports
// whether any was in upper case. Length octets are not letters, so b may be a name in wire
// form.
func Lower(b []byte) (changed bool) {
	if len(b) < 8 {
		return lowerShort(b)
	}
	for ; len(b) > 8; b = b[min(8, len(b)-8):] { // the last eight octets may overlap the ones before
		changed = lowerWord(b) || changed
	}
	return lowerWord(b) || changed
}

// lowerWord is Lower for the first eight octets.
func lowerWord(b []byte) bool {
	v := binary.LittleEndian.Uint64(b)
	upper := uppers(v)
	if upper == 0 {
		return false
	}
	binary.LittleEndian.PutUint64(b, v|upper>>2)
	return true
}

// lowerShort is Lower for fewer than eight octets.
func lowerShort(b []byte) (changed bool) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
			changed = true
		}
	}
	return changed
}

// uppers returns a word with the highest bit of each octet that is an ASCII letter in upper case.
func uppers(v uint64) uint64 {
	const ones = 0x0101010101010101
	low := v & (0x7f * ones)
	return (low + (0x80-'A')*ones) &^ (low + (0x80-'Z'-1)*ones) &^ v & (0x80 * ones)
}

// IsLower reports whether no octet of b is an ASCII letter in upper case: Lower would change
// nothing.
func IsLower(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if uppers(binary.LittleEndian.Uint64(b)) != 0 {
			return false
		}
	}
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// EqualFold compares two uncompressed names, or other octets, without regard to ASCII case
// (RFC 4343).
func EqualFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		d := b[i]
		if c == d {
			continue
		}
		if c^d != 0x20 || c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// IsName reports whether b is exactly one uncompressed name in wire form.
func IsName(b []byte) bool {
	if len(b) > MaxName {
		return false
	}
	for off := 0; off < len(b) && b[off] < 64; off += 1 + int(b[off]) {
		if b[off] == 0 {
			return off+1 == len(b)
		}
	}
	return false
}

// IsBelow reports whether a name is equal to or below a zone, by whole labels. Both are
// uncompressed and in lowercase.
func IsBelow(name, zone []byte) bool {
	for off := 0; len(name)-off >= len(zone); off += 1 + int(name[off]) {
		if len(name)-off == len(zone) {
			return string(name[off:]) == string(zone)
		}
	}
	return false
}

// SameName compares the name at off, which must be well formed, with an uncompressed name.
// Letter case counts.
func SameName(msg []byte, off int, name []byte) bool {
	for {
		n := int(msg[off])
		if n >= 0xc0 {
			off = (n&0x3f)<<8 | int(msg[off+1])
			continue
		}
		if n != int(name[0]) || string(msg[off:off+1+n]) != string(name[:1+n]) {
			return false
		}
		if n == 0 {
			return true
		}
		off += 1 + n
		name = name[1+n:]
	}
}

// NameEnd returns the offset after the name at off, or -1 if that is malformed. A pointer
// ends a name (RFC 1035 section 4.1.4); its second octet may be beyond msg, and what it
// points to is not checked.
func NameEnd(msg []byte, off int) int {
	for off < len(msg) {
		c := int(msg[off])
		switch {
		case c == 0:
			return off + 1
		case c < 64:
			off += 1 + c
		case c >= 0xc0:
			return off + 2
		default:
			return -1
		}
	}
	return -1
}

// RecordEnd returns the type of the resource record at off and the offset after it, which
// may be beyond msg; or -1 if the owner or a fixed field is incomplete.
func RecordEnd(msg []byte, off int) (typ uint16, end int) {
	off = NameEnd(msg, off)
	if off < 0 || off+FixedLen > len(msg) {
		return 0, -1
	}
	return binary.BigEndian.Uint16(msg[off:]), off + FixedLen + int(binary.BigEndian.Uint16(msg[off+8:]))
}

// ExpandName appends the name at off to b in uncompressed wire form, and returns the offset
// after it in msg. ok is false, and b is returned as it was, if the name is malformed: it is
// incomplete or too long, or a pointer does not point backwards. A pointer may point to any
// earlier octet.
func ExpandName(b, msg []byte, off int) (expanded []byte, end int, ok bool) {
	start, end := len(b), -1
	for off < len(msg) {
		c := int(msg[off])
		switch {
		case c == 0:
			if end < 0 {
				end = off + 1
			}
			return append(b, 0), end, true
		case c < 64:
			next := off + 1 + c
			// A label may be read more than once: only the length ends a loop of pointers.
			if next > len(msg) || len(b)-start+1+c >= MaxName {
				return b[:start], 0, false
			}
			b = append(b, msg[off:next]...)
			off = next
		case c >= 0xc0 && off+1 < len(msg):
			to := (c&0x3f)<<8 | int(msg[off+1])
			if to >= off {
				return b[:start], 0, false
			}
			if end < 0 {
				end = off + 2
			}
			off = to
		default:
			return b[:start], 0, false
		}
	}
	return b[:start], 0, false
}
