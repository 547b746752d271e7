package dnstext

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// AppendRdata appends the rdata of a record of an RRset, fields separated by spaces.
//
// In WDNS form it returns false, with nothing appended, if the rdata is malformed, and appends
// nothing if the class is not IN and the type is defined for class IN only. In the other forms it
// writes such rdata as octets (RFC 3597 section 5) and returns true.
func (m *Message) AppendRdata(b []byte, set *RRset, data Rdata, f Form) ([]byte, bool) {
	start := len(b)
	b, ok := appendKnown(b, set.Type, set.Class, m.wire, data, f)
	if f != WDNS && len(b) == start {
		return appendGeneric(b, m.wire[data.start:data.end], f), true
	}
	return b, ok
}

// AppendRdata appends rdata outside of a message, in which names are uncompressed. In every form
// it writes as octets (RFC 3597 section 5) what wdns does not write.
func AppendRdata(b []byte, typ, class uint16, data []byte, f Form) []byte {
	start := len(b)
	b, _ = appendKnown(b, typ, class, data, Rdata{0, len(data)}, f)
	if len(b) == start {
		b = appendGeneric(b, data, f)
	}
	return b
}

// appendKnown appends rdata as wdns does: nothing if the class is not IN and the type
// is defined for class IN only. It returns false, with nothing appended, if the rdata is
// malformed.
func appendKnown(b []byte, typ, class uint16, msg []byte, data Rdata, f Form) ([]byte, bool) {
	layout, onlyIN := dnswire.Presentation(typ)
	switch {
	case layout == "":
		return appendGeneric(b, msg[data.start:data.end], f), true
	case onlyIN && class != dns.ClassINET:
		return b, true
	}
	return appendFields(b, msg, layout.Fields(msg, data.start, data.end), f)
}

// appendGeneric appends rdata as octets (RFC 3597 section 5). wdns writes a space after each.
func appendGeneric(b, data []byte, f Form) []byte {
	b = append(strconv.AppendInt(append(b, `\# `...), int64(len(data)), 10), ' ')
	if f == WDNS {
		return appendSpacedHex(b, data)
	}
	return hex.AppendEncode(b, data)
}

// appendFields appends the fields of rdata in a message. As in wdns, rdata may end after any
// field. It appends nothing and returns false if the rdata is malformed.
func appendFields(b, msg []byte, fields dnswire.Fields, f Form) ([]byte, bool) {
	start := len(b)
	for fields.HasOctets() && fields.Next() {
		before, ok := len(b), true
		if fields.IsName() {
			b, ok = appendExpanded(b, msg, fields.Start, f)
		} else {
			b, ok = appendField(b, fields.Kind, fields.Data(), f)
		}
		if !ok {
			return b[:start], false
		}
		if len(b) > before { // an empty bitmap appends nothing
			b = append(b, ' ')
		}
	}
	if fields.Malformed {
		return b[:start], false
	}
	if len(b) > start {
		b = b[:len(b)-1] // the last space
	}
	return b, true
}

// appendExpanded appends the name at an offset of a message, or returns false if it is
// malformed.
func appendExpanded(b, msg []byte, off int, f Form) ([]byte, bool) {
	var room [dnswire.MaxName]byte
	name, _, ok := dnswire.ExpandName(room[:0], msg, off)
	if !ok {
		return b, false
	}
	return AppendName(b, name, f), true
}

// appendField appends a field that is not a name. Like the functions that it calls, it returns
// false if the data is malformed.
func appendField(b []byte, kind dnswire.Kind, data []byte, f Form) ([]byte, bool) {
	switch kind {
	case dnswire.Int8, dnswire.Int16, dnswire.Int32:
		return strconv.AppendUint(b, number(data), 10), true
	case dnswire.Type:
		return append(b, Type(binary.BigEndian.Uint16(data))...), true
	case dnswire.IPv4, dnswire.IPv6:
		return appendAddrOctets(b, data), true
	case dnswire.IPv6Tail:
		return appendAddrTail(b, data), true
	case dnswire.EUI48, dnswire.EUI64:
		return appendEUI(b, data), true
	case dnswire.String, dnswire.Text:
		return appendQuoted(b, data), true
	case dnswire.Tag:
		return appendTag(b, data, f), true
	case dnswire.Salt:
		if len(data) == 0 {
			return append(b, '-'), true
		}
		return hex.AppendEncode(b, data), true
	case dnswire.Hash:
		if len(data) == 0 {
			return append(b, '0'), true
		}
		return base32.HexEncoding.WithPadding(base32.NoPadding).AppendEncode(b, data), true
	case dnswire.Hex:
		return appendHex(b, data), true
	case dnswire.Base64:
		return base64.StdEncoding.AppendEncode(b, data), true
	case dnswire.Bitmap:
		return appendBitmap(b, data)
	case dnswire.Params:
		return appendSvcParams(b, data)
	}
	return b, false
}

func number(data []byte) (v uint64) {
	for _, c := range data {
		v = v<<8 | uint64(c)
	}
	return v
}

// appendAddrTail appends the prefix length and the address suffix of an A6 record (RFC 2874
// section 3.1). With a prefix length of 128 there is no suffix.
func appendAddrTail(b, data []byte) []byte {
	b = strconv.AppendUint(b, uint64(data[0]), 10)
	tail := data[1:]
	if len(tail) == 0 {
		return b
	}
	var addr [16]byte
	copy(addr[len(addr)-len(tail):], tail)
	return appendAddrOctets(append(b, ' '), addr[:])
}

func appendEUI(b, data []byte) []byte {
	for i := range data {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, data[i:i+1])
	}
	return b
}

// appendTag appends the tag of a CAA record, in Zone form without quotes if it is valid (RFC
// 8659 section 4.1.1).
func appendTag(b, tag []byte, f Form) []byte {
	if f == Zone && isAlphanumeric(tag) {
		return append(b, tag...)
	}
	return appendQuoted(b, tag)
}

func isAlphanumeric(s []byte) bool {
	for _, c := range s {
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z') {
			return false
		}
	}
	return len(s) > 0
}

// appendHex appends upper case digits.
func appendHex(b, data []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range data {
		b = append(b, digits[c>>4], digits[c&0xf])
	}
	return b
}

// appendBitmap appends the types in the windows of a bitmap (RFC 4034 section 4.1.2).
func appendBitmap(b, windows []byte) ([]byte, bool) {
	const longest = 32 // octets of a window
	start := len(b)
	for len(windows) > 0 {
		if len(windows) < 3 || windows[1] < 1 || windows[1] > longest || len(windows) < 2+int(windows[1]) {
			return b, false
		}
		bits := windows[2 : 2+windows[1]]
		for i := range 8 * len(bits) {
			if bits[i/8]&(0x80>>(i%8)) == 0 {
				continue
			}
			if len(b) > start {
				b = append(b, ' ')
			}
			b = append(b, Type(uint16(windows[0])<<8|uint16(i))...)
		}
		windows = windows[2+len(bits):]
	}
	return b, true
}
