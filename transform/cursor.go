package transform

import "encoding/binary"

// A cursor goes through the fields of one record's rdata. Names are only measured
// where they lie; walker.name judges them.
type cursor struct {
	msg   []byte
	steps layout
	at    int // behind the current field
	end   int
	bad   bool // the rdata does not fit its type

	step  byte // of the current field: n, N, s, x, z, p, h, a, A or a digit
	start int
}

func newCursor(msg []byte, r rr) cursor {
	return cursor{
		msg:   msg,
		steps: layoutOf(r.typ, msg[r.rdata:r.end]),
		at:    int(r.rdata),
		end:   int(r.end),
	}
}

func (c *cursor) isName() bool { return c.step == 'n' || c.step == 'N' }

// data is the current field's octets; of a character-string without its length.
func (c *cursor) data() []byte {
	if c.step == 's' {
		return c.msg[c.start+1 : c.at]
	}
	return c.msg[c.start:c.at]
}

// next goes to the next field and reports whether there is one.
func (c *cursor) next() bool {
	if len(c.steps) == 0 {
		c.bad = c.bad || c.at != c.end
		return false
	}
	c.step, c.start = c.steps[0], c.at
	switch c.step {
	case 'S', 'M': // repeats until the rdata ends
		if c.at == c.end {
			return false
		}
		if c.step == 'S' {
			c.step = 's'
		} else {
			c.step = 'N'
		}
	default:
		c.steps = c.steps[1:]
	}
	c.at = c.fieldEnd()
	if c.at < 0 || c.at > c.end {
		c.bad, c.at, c.steps = true, c.end, ""
		return false
	}
	return true
}

func (c *cursor) fieldEnd() int {
	rest := c.msg[c.at:c.end]
	switch c.step {
	case 'n', 'N':
		return nameEnd(c.msg, c.at)
	case 's':
		if len(rest) == 0 {
			return -1
		}
		return c.at + 1 + int(rest[0])
	case 'x', 'z', 'p':
		return c.end
	case 'a':
		return c.at + 4
	case 'A':
		return c.at + 16
	case 'h':
		if len(rest) < 4 {
			return -1
		}
		return c.at + 4 + int(rest[0]) + int(binary.BigEndian.Uint16(rest[2:]))
	default:
		return c.at + int(c.step-'0')
	}
}

// nameEnd returns the offset behind the name at off where it lies, or -1.
func nameEnd(msg []byte, off int) int {
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
