package present

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"

	"github.com/miekg/dns"
)

// rdataPrinter prints the data of one record, a part at a time, each with a
// space behind it.
type rdataPrinter struct {
	b        []byte
	msg      []byte // the whole message, for pointers
	off, end int    // what is left of the data
	form     form
}

// appendRdata appends a record's data in presentation form. It reports false,
// with nothing appended, where the data is not what its type wants. Data that
// has another meaning in another class than IN shows as nothing, which is what
// wdns prints.
func appendRdata(b, msg []byte, set *rrset, data span, f form) ([]byte, bool) {
	parts, onlyIN := layout(set.typ)
	if parts == "" {
		return appendGeneric(b, data.of(msg)), true
	}
	if onlyIN && set.class != dns.ClassINET {
		return b, true
	}
	start := len(b)
	p := rdataPrinter{b, msg, data.start, data.end, f}
	for i := 0; i < len(parts) && p.off < p.end; i++ {
		if !p.part(parts[i]) {
			return b[:start], false
		}
	}
	if p.off != p.end {
		return b[:start], false
	}
	if n := len(p.b); n > start && p.b[n-1] == ' ' {
		p.b = p.b[:n-1]
	}
	return p.b, true
}

// appendGeneric appends data as RFC 3597 section 5 has it.
func appendGeneric(b, data []byte) []byte {
	b = strconv.AppendInt(append(b, `\# `...), int64(len(data)), 10)
	return hex.AppendEncode(append(b, ' '), data)
}

func (p *rdataPrinter) part(kind byte) bool {
	switch kind {
	case partName:
		return p.name()
	case partInt8:
		return p.number(1)
	case partInt16:
		return p.number(2)
	case partInt32:
		return p.number(4)
	case partIPv4:
		return p.address(4)
	case partIPv6:
		return p.address(16)
	case partIPv6Tail:
		return p.addressTail()
	case partEUI48:
		return p.eui(6)
	case partEUI64:
		return p.eui(8)
	case partString:
		return p.characterString()
	case partTag:
		return p.tag()
	case partStrings:
		for p.off < p.end {
			if !p.characterString() {
				return false
			}
		}
		return true
	case partType:
		return p.typ()
	case partSalt:
		return p.salt()
	case partHash:
		return p.hash()
	case partBitmap:
		return p.bitmap()
	case partParams:
		return p.params()
	}
	p.rest(kind)
	return true
}

// rest prints all that is left, which is never wrong.
func (p *rdataPrinter) rest(kind byte) {
	data, _ := p.take(p.end - p.off)
	switch kind {
	case partHex:
		for _, c := range data {
			const digits = "0123456789ABCDEF"
			p.b = append(p.b, digits[c>>4], digits[c&0xf])
		}
	case partBase64:
		p.b = appendBase64Words(p.b, data)
	case partText:
		p.b = append(appendQuoted(p.b, data), ' ')
	}
}

func (p *rdataPrinter) take(n int) ([]byte, bool) {
	if n > p.end-p.off {
		return nil, false
	}
	data := p.msg[p.off : p.off+n]
	p.off += n
	return data, true
}

func (p *rdataPrinter) name() bool {
	var room [maxName]byte
	name, end, ok := expandName(room[:0], p.msg, p.off)
	if !ok || end > p.end {
		return false
	}
	p.off = end
	p.b = append(appendName(p.b, name, p.form), ' ')
	return true
}

func (p *rdataPrinter) number(size int) bool {
	data, ok := p.take(size)
	if !ok {
		return false
	}
	var v uint64
	for _, c := range data {
		v = v<<8 | uint64(c)
	}
	p.b = append(strconv.AppendUint(p.b, v, 10), ' ')
	return true
}

func (p *rdataPrinter) address(size int) bool {
	data, ok := p.take(size)
	if !ok {
		return false
	}
	addr, _ := netip.AddrFromSlice(data)
	p.b = append(appendAddr(p.b, addr), ' ')
	return true
}

func (p *rdataPrinter) addressTail() bool {
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
		p.b = append(appendAddr(p.b, netip.AddrFrom16(addr)), ' ')
	}
	return true
}

func (p *rdataPrinter) eui(size int) bool {
	data, ok := p.take(size)
	for i, c := range data {
		if i > 0 {
			p.b = append(p.b, '-')
		}
		p.b = hex.AppendEncode(p.b, []byte{c})
	}
	return ok
}

// counted takes what a length octet counts.
func (p *rdataPrinter) counted() ([]byte, bool) {
	n, ok := p.take(1)
	if !ok {
		return nil, false
	}
	return p.take(int(n[0]))
}

func (p *rdataPrinter) characterString() bool {
	s, ok := p.counted()
	if ok {
		p.b = append(appendQuoted(p.b, s), ' ')
	}
	return ok
}

func (p *rdataPrinter) tag() bool {
	if n := int(p.msg[p.off]); p.form == zoneForm && 0 < n && n < p.end-p.off && isAlphanumeric(p.msg[p.off+1:p.off+1+n]) {
		tag, _ := p.counted()
		p.b = append(append(p.b, tag...), ' ')
		return true
	}
	return p.characterString()
}

func isAlphanumeric(s []byte) bool {
	for _, c := range s {
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z') {
			return false
		}
	}
	return true
}

func (p *rdataPrinter) salt() bool {
	salt, ok := p.counted()
	if !ok {
		return false
	}
	if len(salt) == 0 {
		p.b = append(p.b, '-')
	}
	p.b = append(hex.AppendEncode(p.b, salt), ' ')
	return true
}

func (p *rdataPrinter) hash() bool {
	hash, ok := p.counted()
	if !ok {
		return false
	}
	if len(hash) == 0 {
		p.b = append(p.b, '0')
	}
	p.b = append(base32.HexEncoding.WithPadding(base32.NoPadding).AppendEncode(p.b, hash), ' ')
	return true
}

func (p *rdataPrinter) typ() bool {
	data, ok := p.take(2)
	if ok {
		p.b = append(appendType(p.b, binary.BigEndian.Uint16(data)), ' ')
	}
	return ok
}

func (p *rdataPrinter) bitmap() bool {
	for p.off < p.end {
		window, ok := p.take(1)
		if !ok {
			return false
		}
		bits, ok := p.counted()
		if !ok || len(bits) < 1 || len(bits) > 32 {
			return false
		}
		for i := range 8 * len(bits) {
			if bits[i/8]&(0x80>>(i%8)) != 0 {
				p.b = append(appendType(p.b, uint16(window[0])<<8|uint16(i)), ' ')
			}
		}
	}
	return true
}
