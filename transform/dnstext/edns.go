package dnstext

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"

	"github.com/miekg/dns"
)

// EDNS is the OPT record of a message (RFC 6891 section 6.1).
type EDNS struct {
	Present bool
	UDPSize uint16
	Version uint8
	DO      bool   // RFC 3225 section 3
	Options []byte // for [AppendOption]
}

// AppendOption appends the first EDNS option in the form of dig, and returns the options after
// it. For an incomplete or malformed option it appends the error text of wdns, and returns no
// more options.
func AppendOption(b, options []byte) (printed, rest []byte) {
	const cutOff = " ### PARSE ERROR ###"
	if len(options) < 2 {
		return append(b, cutOff...), nil
	}
	code := binary.BigEndian.Uint16(options)
	switch code {
	case dns.EDNS0SUBNET:
		b = append(b, "CLIENT-SUBNET:"...)
	case dns.EDNS0EDE:
		b = append(b, "EDE:"...)
	default:
		b = append(strconv.AppendUint(append(b, "OPT="...), uint64(code), 10), ':')
	}
	if len(options) < 4 {
		return append(b, cutOff...), nil
	}
	end := 4 + int(binary.BigEndian.Uint16(options[2:]))
	if len(options) < end {
		return append(b, cutOff...), nil
	}
	b, ok := appendOptionData(append(b, ' '), code, options[4:end])
	if !ok {
		return append(b, " ### PARSE ERROR #12 ###"...), nil // wdns_res_parse_error
	}
	return b, options[end:]
}

// appendOptionData appends the data of an option. Like the functions that it calls, it returns
// false if the data is malformed.
func appendOptionData(b []byte, code uint16, data []byte) ([]byte, bool) {
	switch code {
	case dns.EDNS0SUBNET:
		return appendClientSubnet(b, data)
	case dns.EDNS0EDE:
		return appendExtendedError(b, data)
	}
	b = appendPrintable(append(appendSpacedHex(b, data), `("`...), data)
	return append(b, `")`...), true
}

// appendSpacedHex appends two digits and a space for each octet.
func appendSpacedHex(b, data []byte) []byte {
	for i := range data {
		b = append(hex.AppendEncode(b, data[i:i+1]), ' ')
	}
	return b
}

// appendClientSubnet appends address, source and scope prefix length (RFC 7871 section 6).
func appendClientSubnet(b, data []byte) ([]byte, bool) {
	if len(data) < 4 {
		return b, false
	}
	var addr [16]byte
	size := 4
	switch binary.BigEndian.Uint16(data) {
	case 1:
	case 2:
		size = 16
	default:
		return b, false
	}
	if copy(addr[:size], data[4:]) < len(data)-4 {
		return b, false
	}
	b = append(appendAddrOctets(b, addr[:size]), '/')
	b = append(strconv.AppendUint(b, uint64(data[2]), 10), '/')
	return strconv.AppendUint(b, uint64(data[3]), 10), true
}

func appendAddrOctets(b, octets []byte) []byte {
	addr, _ := netip.AddrFromSlice(octets)
	return AppendAddr(b, addr)
}

// appendExtendedError appends the code, its purpose and the text (RFC 8914 section 2).
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

// extendedErrorPurpose returns the purpose that RFC 8914 section 5.2 registers for a code, or "".
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

// appendPrintable appends text with a dot for each octet that is not printable ASCII.
func appendPrintable(b, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c > '~' {
			c = '.'
		}
		b = append(b, c)
	}
	return b
}
