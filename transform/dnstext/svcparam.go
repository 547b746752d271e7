package dnstext

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

// SvcParamKeys (RFC 9460 section 14.3.2).
const (
	svcMandatory = iota
	svcALPN
	svcNoDefaultALPN
	svcPort
	svcIPv4Hint
	svcECH
	svcIPv6Hint
	svcInvalid = 65535
)

var svcParamKeys = [...]string{"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"}

func appendSvcParamKey(b []byte, key uint16) []byte {
	if s := at(svcParamKeys[:], key); s != "" {
		return append(b, s...)
	}
	return strconv.AppendUint(append(b, "key"...), uint64(key), 10)
}

// param prints one SvcParam (RFC 9460 section 2.2).
func (p *printer) param() bool {
	head, ok := p.take(4)
	if !ok {
		return false
	}
	key := binary.BigEndian.Uint16(head)
	value, ok := p.take(int(binary.BigEndian.Uint16(head[2:])))
	if !ok || key == svcInvalid || key == svcNoDefaultALPN && len(value) > 0 {
		return false
	}
	p.b = appendSvcParamKey(p.b, key)
	if key != svcNoDefaultALPN {
		p.b, ok = appendSvcParamValue(append(p.b, '='), key, value)
	}
	p.b = append(p.b, ' ')
	return ok
}

func appendSvcParamValue(b []byte, key uint16, value []byte) ([]byte, bool) {
	switch key {
	case svcMandatory:
		return appendList(b, value, 2, func(b, v []byte) []byte { return appendSvcParamKey(b, binary.BigEndian.Uint16(v)) })
	case svcALPN:
		return appendALPN(b, value)
	case svcPort:
		return strconv.AppendUint(b, number(value), 10), len(value) == 2
	case svcIPv4Hint:
		return appendList(b, value, 4, appendAddrOctets)
	case svcECH:
		return base64.StdEncoding.AppendEncode(b, value), true
	case svcIPv6Hint:
		return appendList(b, value, 16, appendAddrOctets)
	}
	return appendQuoted(b, value), true
}

// appendList appends values of one size, separated by commas.
func appendList(b, values []byte, size int, appendOne func(b, v []byte) []byte) ([]byte, bool) {
	if len(values)%size != 0 {
		return b, false
	}
	for i := 0; i < len(values); i += size {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOne(b, values[i:i+size])
	}
	return b, true
}

// appendALPN appends protocol identifiers. They are escaped twice: as items of a list, and the
// list as a character-string (RFC 9460 appendix A.1).
func appendALPN(b, ids []byte) ([]byte, bool) {
	if len(ids) == 0 {
		return b, false
	}
	b = append(b, '"')
	for first := true; len(ids) > 0; first = false {
		end := 1 + int(ids[0])
		if end > len(ids) {
			return b, false
		}
		if !first {
			b = append(b, ',')
		}
		for _, c := range ids[1:end] {
			switch c {
			case '\\':
				b = append(b, `\\\\`...)
			case ',':
				b = append(b, `\\,`...)
			default:
				b = appendQuotedByte(b, c)
			}
		}
		ids = ids[end:]
	}
	return append(b, '"'), true
}
