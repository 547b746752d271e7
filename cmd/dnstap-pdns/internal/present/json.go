package present

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
)

// writer writes JSON as nmsgtool lays it out: no spaces, members in the order of
// the calls.
type writer struct {
	b       []byte
	comma   bool   // a value precedes in the open object or array
	text    []byte // presentation form before it is escaped
	message message
}

func (w *writer) open(bracket byte) {
	w.b = append(w.b, bracket)
	w.comma = false
}

func (w *writer) close(bracket byte) {
	w.b = append(w.b, bracket)
	w.comma = true
}

// next begins an array's next value.
func (w *writer) next() {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
}

// key begins an object's next member. Keys are ours and need no escapes.
func (w *writer) key(name string) {
	w.next()
	w.b = append(append(append(w.b, '"'), name...), '"', ':')
}

func (w *writer) uint(v uint64) { w.b = strconv.AppendUint(w.b, v, 10) }

// int writes a negative number as nmsgtool does, as the unsigned one of the same
// 64 bits.
func (w *writer) int(v int64) { w.uint(uint64(v)) }

func (w *writer) null() { w.b = append(w.b, "null"...) }

func (w *writer) bool(v bool) { w.b = strconv.AppendBool(w.b, v) }

// float writes 18 decimals and cuts the zeros at the end, but for the first.
func (w *writer) float(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		w.null()
		return
	}
	w.b = strconv.AppendFloat(w.b, v, 'f', 18, 64)
	end := len(w.b)
	for w.b[end-1] == '0' && w.b[end-2] != '.' {
		end--
	}
	w.b = w.b[:end]
}

func (w *writer) base64(v []byte) {
	w.b = append(base64.StdEncoding.AppendEncode(append(w.b, '"'), v), '"')
}

func (w *writer) addr(a netip.Addr) {
	w.b = append(appendAddr(append(w.b, '"'), a), '"')
}

// addrBytes writes an address of 4 or 16 bytes.
func (w *writer) addrBytes(v []byte) {
	if a, ok := netip.AddrFromSlice(v); ok {
		w.addr(a)
		return
	}
	w.null()
}

// enum writes the name of an enum's value, or the number of one that has none.
func (w *writer) enum(name string) {
	if _, err := strconv.ParseInt(name, 10, 64); err == nil {
		w.b = append(w.b, name...)
		return
	}
	w.string(name)
}

func (w *writer) string(s string) { w.b = appendString(w.b, s) }

func (w *writer) name(wire []byte) {
	w.text = w.text[:0]
	// nmsgtool shows nothing for what cannot be a name.
	if len(wire) > 0 && len(wire) <= maxName {
		w.text = appendName(w.text, wire, wdnsForm)
	}
	w.b = appendString(w.b, w.text)
}

func (w *writer) typ(t uint16) {
	w.b = append(appendType(append(w.b, '"'), t), '"')
}

func (w *writer) rcode(rcode uint16) {
	w.b = append(appendRcode(append(w.b, '"'), rcode), '"')
}

// payloadClass writes a class as nmsgtool does outside DNS messages.
func (w *writer) payloadClass(c uint16) {
	if s := className(c); s != "" {
		w.string(s)
		return
	}
	w.string("<UNKNOWN>")
}

// appendString appends a JSON string. Bytes beyond ASCII do not occur: all text
// is presentation form or a name of ours.
func appendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = hex.AppendEncode(append(b, `\u00`...), []byte{c})
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
