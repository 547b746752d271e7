package present

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// SvcParamKeys (RFC 9460 section 14.3.2).
const (
	svcMandatory     = 0
	svcALPN          = 1
	svcNoDefaultALPN = 2
	svcPort          = 3
	svcIPv4Hint      = 4
	svcECH           = 5
	svcIPv6Hint      = 6
	svcInvalid       = 65535
)

func (p *rdataPrinter) params() bool {
	for p.off < p.end {
		head, ok := p.take(4)
		if !ok {
			return false
		}
		value, ok := p.take(int(binary.BigEndian.Uint16(head[2:])))
		if !ok || !p.param(binary.BigEndian.Uint16(head), value) {
			return false
		}
		p.b = append(p.b, ' ')
	}
	return true
}

func (p *rdataPrinter) param(key uint16, value []byte) bool {
	if key == svcInvalid {
		return false
	}
	p.b = appendSvcParamKey(p.b, key)
	if key == svcNoDefaultALPN {
		return len(value) == 0
	}
	p.b = append(p.b, '=')
	switch key {
	case svcMandatory:
		return p.list(value, 2, func(b, v []byte) []byte { return appendSvcParamKey(b, binary.BigEndian.Uint16(v)) })
	case svcALPN:
		return p.alpn(value)
	case svcPort:
		if len(value) != 2 {
			return false
		}
		p.b = strconv.AppendUint(p.b, uint64(binary.BigEndian.Uint16(value)), 10)
	case svcIPv4Hint:
		return p.list(value, 4, appendAddrBytes)
	case svcECH:
		p.b = appendBase64Words(p.b, value)
	case svcIPv6Hint:
		return p.list(value, 16, appendAddrBytes)
	default:
		p.b = appendQuoted(p.b, value)
	}
	return true
}

// list prints values of one size with commas between them.
func (p *rdataPrinter) list(values []byte, size int, appendOne func(b, v []byte) []byte) bool {
	if len(values)%size != 0 {
		return false
	}
	for i := 0; i < len(values); i += size {
		if i > 0 {
			p.b = append(p.b, ',')
		}
		p.b = appendOne(p.b, values[i:i+size])
	}
	return true
}

// alpn prints protocol identifiers, which are escaped twice: as items of a list,
// and the list as a character-string (RFC 9460 appendix A.1).
func (p *rdataPrinter) alpn(ids []byte) bool {
	if len(ids) == 0 {
		return false
	}
	p.b = append(p.b, '"')
	for first := true; len(ids) > 0; first = false {
		n := 1 + int(ids[0])
		if n > len(ids) {
			return false
		}
		if !first {
			p.b = append(p.b, ',')
		}
		for _, c := range ids[1:n] {
			switch c {
			case '\\':
				p.b = append(p.b, `\\\\`...)
			case ',':
				p.b = append(p.b, `\\,`...)
			default:
				p.b = appendStringByte(p.b, c)
			}
		}
		ids = ids[n:]
	}
	p.b = append(p.b, '"')
	return true
}

func appendAddrBytes(b, v []byte) []byte {
	addr, _ := netip.AddrFromSlice(v)
	return appendAddr(b, addr)
}

func appendSvcParamKey(b []byte, key uint16) []byte {
	switch key {
	case svcMandatory:
		return append(b, "mandatory"...)
	case svcALPN:
		return append(b, "alpn"...)
	case svcNoDefaultALPN:
		return append(b, "no-default-alpn"...)
	case svcPort:
		return append(b, "port"...)
	case svcIPv4Hint:
		return append(b, "ipv4hint"...)
	case svcECH:
		return append(b, "ech"...)
	case svcIPv6Hint:
		return append(b, "ipv6hint"...)
	}
	return strconv.AppendUint(append(b, "key"...), uint64(key), 10)
}
