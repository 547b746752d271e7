package dnstext

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/miekg/dns"
)

// AppendRdata appends the rdata of a record of an RRset, fields separated by spaces.
//
// In WDNS form it returns false, with nothing appended, if the rdata is malformed, and appends
// nothing if the class is not IN and the type is defined for class IN only. In Zone form it
// writes such rdata as octets (RFC 3597 section 5) and returns true.
func (m *Message) AppendRdata(b []byte, set *RRset, data Rdata, f Form) ([]byte, bool) {
	fields, onlyIN := layout(set.Type)
	if fields == "" {
		return appendGeneric(b, m.wire[data.start:data.end], f), true
	}
	start, ok := len(b), true
	if !onlyIN || set.Class == dns.ClassINET {
		p := printer{b, m.wire, data.start, data.end, f}
		if ok = p.fields(fields); ok {
			b = p.b
		}
	}
	if f == Zone && len(b) == start {
		return appendGeneric(b, m.wire[data.start:data.end], f), true
	}
	return b, ok
}

// appendGeneric appends rdata as octets (RFC 3597 section 5). wdns writes a space after each.
func appendGeneric(b, data []byte, f Form) []byte {
	b = append(strconv.AppendInt(append(b, `\# `...), int64(len(data)), 10), ' ')
	if f == WDNS {
		return appendSpacedHex(b, data)
	}
	return hex.AppendEncode(b, data)
}

// A printer prints the rdata of one record, with a space after each field.
type printer struct {
	b        []byte
	msg      []byte // the whole message, for compression pointers
	off, end int    // rdata that is not printed yet
	form     Form
}

// fields prints the whole rdata. As in wdns, rdata may end after any field.
func (p *printer) fields(kinds string) bool {
	start := len(p.b)
	for i := 0; i < len(kinds) && p.off < p.end; i++ {
		if !p.field(kinds[i]) {
			return false
		}
	}
	if n := len(p.b); n > start && p.b[n-1] == ' ' {
		p.b = p.b[:n-1]
	}
	return p.off == p.end
}

func (p *printer) field(kind byte) bool {
	switch kind {
	case partName:
		return p.name()
	case partIPv6Tail:
		return p.addressTail()
	case partStrings:
		return p.repeat(func() bool { return p.field(partString) })
	case partBitmap:
		return p.repeat(p.window)
	case partParams:
		return p.repeat(p.param)
	}
	data, ok := p.octets(kind)
	if !ok {
		return false
	}
	switch kind {
	case partInt8, partInt16, partInt32:
		p.b = strconv.AppendUint(p.b, number(data), 10)
	case partType:
		p.b = append(p.b, Type(binary.BigEndian.Uint16(data))...)
	case partIPv4, partIPv6:
		p.b = appendAddrOctets(p.b, data)
	case partEUI48, partEUI64:
		for i := range data {
			p.b = append(hex.AppendEncode(p.b, data[i:i+1]), '-')
		}
		p.b = p.b[:len(p.b)-1]
	case partTag:
		p.tag(data)
	case partString, partText:
		p.b = appendQuoted(p.b, data)
	case partSalt:
		p.b = appendUnless(hex.AppendEncode(p.b, data), data, '-')
	case partHash:
		p.b = appendUnless(base32.HexEncoding.WithPadding(base32.NoPadding).AppendEncode(p.b, data), data, '0')
	case partHex:
		p.b = appendHex(p.b, data)
	case partBase64:
		p.b = base64.StdEncoding.AppendEncode(p.b, data)
	}
	p.b = append(p.b, ' ')
	return true
}

// octets takes the octets of a field whose size its kind or its first octet says.
func (p *printer) octets(kind byte) ([]byte, bool) {
	switch kind {
	case partInt8:
		return p.take(1)
	case partInt16, partType:
		return p.take(2)
	case partInt32, partIPv4:
		return p.take(4)
	case partEUI48:
		return p.take(6)
	case partEUI64:
		return p.take(8)
	case partIPv6:
		return p.take(16)
	case partHex, partBase64, partText:
		return p.take(p.end - p.off)
	}
	return p.counted()
}

func (p *printer) take(n int) ([]byte, bool) {
	if n > p.end-p.off {
		return nil, false
	}
	data := p.msg[p.off : p.off+n]
	p.off += n
	return data, true
}

// counted takes as many octets as the first octet says.
func (p *printer) counted() ([]byte, bool) {
	n, ok := p.take(1)
	if !ok {
		return nil, false
	}
	return p.take(int(n[0]))
}

// repeat prints items up to the end of the rdata.
func (p *printer) repeat(item func() bool) bool {
	for p.off < p.end {
		if !item() {
			return false
		}
	}
	return true
}

func (p *printer) name() bool {
	var room [maxName]byte
	name, end, ok := expandName(room[:0], p.msg, p.off)
	if !ok || end > p.end {
		return false
	}
	p.off = end
	p.b = append(AppendName(p.b, name, p.form), ' ')
	return true
}

// addressTail prints the prefix length and the address suffix of an A6 record (RFC 2874 section
// 3.1).
func (p *printer) addressTail() bool {
	length, ok := p.take(1)
	if !ok || length[0] > 128 {
		return false
	}
	size := (128 - int(length[0]) + 7) / 8
	tail, ok := p.take(size)
	if !ok {
		return false
	}
	p.b = append(strconv.AppendUint(p.b, uint64(length[0]), 10), ' ')
	if size > 0 {
		var addr [16]byte
		copy(addr[16-size:], tail)
		p.b = append(appendAddrOctets(p.b, addr[:]), ' ')
	}
	return true
}

// tag prints the tag of a CAA record. In a zone file it has no quotes (RFC 8659 section 4.1.1).
func (p *printer) tag(tag []byte) {
	if p.form == Zone && isAlphanumeric(tag) {
		p.b = append(p.b, tag...)
		return
	}
	p.b = appendQuoted(p.b, tag)
}

func isAlphanumeric(s []byte) bool {
	for _, c := range s {
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z') {
			return false
		}
	}
	return len(s) > 0
}

// window prints the types in one window of a bitmap (RFC 4034 section 4.1.2).
func (p *printer) window() bool {
	number, ok := p.take(1)
	if !ok {
		return false
	}
	bits, ok := p.counted()
	if !ok || len(bits) < 1 || len(bits) > 32 {
		return false
	}
	for i := range 8 * len(bits) {
		if bits[i/8]&(0x80>>(i%8)) != 0 {
			p.b = append(append(p.b, Type(uint16(number[0])<<8|uint16(i))...), ' ')
		}
	}
	return true
}

func number(data []byte) (v uint64) {
	for _, c := range data {
		v = v<<8 | uint64(c)
	}
	return v
}

// appendHex appends upper case digits.
func appendHex(b, data []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range data {
		b = append(b, digits[c>>4], digits[c&0xf])
	}
	return b
}

// appendUnless appends the character for an empty field, unless there is data.
func appendUnless(b, data []byte, empty byte) []byte {
	if len(data) > 0 {
		return b
	}
	return append(b, empty)
}
