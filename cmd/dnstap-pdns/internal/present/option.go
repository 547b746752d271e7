package present

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"

	"github.com/miekg/dns"
)

// nextOption appends the first EDNS option in the form of dig, and returns the
// options behind it. An option that is cut off ends the list with wdns's words
// for that.
func nextOption(b, options []byte) (printed, rest []byte) {
	const cutOff = " ### PARSE ERROR ###"
	if len(options) < 2 {
		return append(b, cutOff...), nil
	}
	code := binary.BigEndian.Uint16(options)
	b = appendOptionCode(b, code)
	if len(options) < 4 {
		return append(b, cutOff...), nil
	}
	length := int(binary.BigEndian.Uint16(options[2:]))
	if len(options) < 4+length {
		return append(b, cutOff...), nil
	}
	b, ok := appendOptionData(append(b, ' '), code, options[4:4+length])
	if !ok {
		return append(b, " ### PARSE ERROR #12 ###"...), nil // wdns_res_parse_error
	}
	return b, options[4+length:]
}

func appendOptionCode(b []byte, code uint16) []byte {
	switch code {
	case dns.EDNS0SUBNET:
		return append(b, "CLIENT-SUBNET:"...)
	case dns.EDNS0EDE:
		return append(b, "EDE:"...)
	}
	b = strconv.AppendUint(append(b, "OPT="...), uint64(code), 10)
	return append(b, ':')
}

func appendOptionData(b []byte, code uint16, data []byte) ([]byte, bool) {
	switch code {
	case dns.EDNS0SUBNET:
		return appendClientSubnet(b, data)
	case dns.EDNS0EDE:
		return appendExtendedError(b, data)
	}
	for i := range data {
		b = append(hex.AppendEncode(b, data[i:i+1]), ' ')
	}
	b = appendPrintable(append(b, `("`...), data)
	return append(b, `")`...), true
}

// appendClientSubnet appends address, source and scope prefix length (RFC 7871
// section 6).
func appendClientSubnet(b, data []byte) ([]byte, bool) {
	if len(data) < 4 {
		return b, false
	}
	family, source, scope := binary.BigEndian.Uint16(data), data[2], data[3]
	var whole [16]byte
	size := 4
	switch {
	case family == 2:
		size = 16
	case family != 1:
		return b, false
	}
	if copy(whole[:size], data[4:]) < len(data)-4 {
		return b, false
	}
	addr, _ := netip.AddrFromSlice(whole[:size])
	b = append(appendAddr(b, addr), '/')
	b = append(strconv.AppendUint(b, uint64(source), 10), '/')
	return strconv.AppendUint(b, uint64(scope), 10), true
}

// appendExtendedError appends the code, its purpose and the text (RFC 8914
// section 2).
func appendExtendedError(b, data []byte) ([]byte, bool) {
	if len(data) < 2 {
		return b, false
	}
	code := binary.BigEndian.Uint16(data)
	b = strconv.AppendUint(b, uint64(code), 10)
	if s := extendedErrorPurpose(code); s != "" {
		b = append(append(append(b, " ("...), s...), ')')
	}
	b = appendPrintable(append(b, ": ("...), data[2:])
	return append(b, ')'), true
}

// extendedErrorPurpose returns the purpose that RFC 8914 section 5.2 registers
// for a code, or "".
func extendedErrorPurpose(code uint16) string {
	switch code {
	case dns.ExtendedErrorCodeOther:
		return "Other Error"
	case dns.ExtendedErrorCodeStaleNXDOMAINAnswer:
		return "Stale NXDomain Answer"
	}
	if code > dns.ExtendedErrorCodeInvalidData {
		return ""
	}
	return dns.ExtendedErrorCodeToString[code]
}

// appendPrintable appends text with a dot for each byte that is not printable.
func appendPrintable(b, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c > '~' {
			c = '.'
		}
		b = append(b, c)
	}
	return b
}
