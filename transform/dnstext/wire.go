package dnstext

const maxName = 255

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
