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

// appendSvcParams appends SvcParams (RFC 9460 section 2.2).
func appendSvcParams(b, params []byte) ([]byte, bool) {
	for start := len(b); len(params) > 0; {
		if len(params) < 4 {
			return b, false
		}
		key, end := binary.BigEndian.Uint16(params), 4+int(binary.BigEndian.Uint16(params[2:]))
		if len(params) < end {
			return b, false
		}
		if len(b) > start {
			b = append(b, ' ')
		}
		var ok bool
		if b, ok = appendSvcParam(b, key, params[4:end]); !ok {
			return b, false
		}
		params = params[end:]
	}
	return b, true
}

func appendSvcParam(b []byte, key uint16, value []byte) ([]byte, bool) {
	b = appendSvcParamKey(b, key)
	switch key {
	case svcNoDefaultALPN:
		return b, len(value) == 0
	case svcInvalid:
		return b, false
	}
	return appendSvcParamValue(append(b, '='), key, value)
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

// appendList appends values of one size, separated by commas. It returns false if the length of
// values is not a multiple of size.
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

// appendALPN appends the protocol identifiers as a list in quotes. Commas and backslashes in
// them are escaped for the list, and then again for the quotes (RFC 9460 appendix A.1).
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
