package present

import "strings"

const maxName = 255 // RFC 1035 section 2.3.4, octets in wire form with the root

// form is a presentation form: that of wdns, or one that reads back as a zone
// file, where the two differ.
type form uint8

const (
	wdnsForm form = iota
	zoneForm
)

// special reports whether a character gets a backslash in a name.
func (f form) special(c byte) bool {
	if f == zoneForm {
		return strings.IndexByte(`.\"();@$`, c) >= 0
	}
	return c == '.' || c == '\\'
}

// expandName appends the name at msg[off:] to b in uncompressed wire form, and
// returns the offset behind it in msg. A pointer may lead back only, into
// whatever stands there.
func expandName(b, msg []byte, off int) (expanded []byte, end int, ok bool) {
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
			// A label may be seen more than once, so the length is what ends a loop.
			if next > len(msg) || len(b)-start+1+c >= maxName {
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

// appendName appends the presentation form of a name in uncompressed wire form.
// Of what is no such name it shows as much as there is: payloads carry names
// that nobody checked.
func appendName(b, name []byte, f form) []byte {
	if len(name) == 0 || name[0] == 0 {
		return append(b, '.')
	}
	for len(name) > 0 && name[0] != 0 {
		end := min(1+int(name[0]), len(name))
		for _, c := range name[1:end] {
			b = appendLabelByte(b, c, f)
		}
		b = append(b, '.')
		name = name[end:]
	}
	return b
}

func appendLabelByte(b []byte, c byte, f form) []byte {
	switch {
	case c <= ' ' || c > '~':
		return appendDecimalEscape(b, c)
	case f.special(c):
		return append(b, '\\', c)
	}
	return append(b, c)
}

// appendDecimalEscape appends \DDD (RFC 1035 section 5.1).
func appendDecimalEscape(b []byte, c byte) []byte {
	return append(b, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
}

// equalFold compares two names in wire form without regard to ASCII case.
func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		d := b[i]
		if c != d && (c^d != 0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
