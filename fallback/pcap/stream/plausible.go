package stream

import (
	"encoding/binary"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

const classIN = 1

// plausible says whether b may be the beginning of a message with its length
// (RFC 1035 section 4.2.2) in a stream out of step. It wants to see the question,
// and of a message that is there whole, that it is one, and that what follows it in
// b may be the next.
func plausible(b []byte, response bool) bool {
	if len(b) < 2 {
		return false
	}
	length := int(binary.BigEndian.Uint16(b))
	body := b[2:min(len(b), 2+length)]
	if !opens(body, length, response) {
		return false
	}
	if len(body) < length {
		return true
	}
	return whole(body) && followed(b[2+length:], response)
}

// followed says whether rest, behind a message, is nothing, or may be the next with
// its length. So few octets that they do not even tell query from answer will not
// do: text in a message may itself be a message, but only whoever cuts the segments
// can make one of them end there.
func followed(rest []byte, response bool) bool {
	if len(rest) == 0 {
		return true
	}
	if len(rest) < 5 || int(binary.BigEndian.Uint16(rest)) < dnswire.HeaderLen {
		return false
	}
	body := rest[2:]
	return directed(body, response) && (len(body) < dnswire.HeaderLen || heads(body, response))
}

// directed says whether the third octet of a header tells of a query or an answer, as
// the direction says, and of the opcode QUERY.
func directed(b []byte, response bool) bool {
	const opcode = 0x78
	return b[2]&0x80 != 0 == response && b[2]&opcode == 0
}

// heads judges a DNS header: one question, in the right direction.
func heads(b []byte, response bool) bool {
	return len(b) >= dnswire.HeaderLen && directed(b, response) && binary.BigEndian.Uint16(b[4:]) == 1
}

// opens says whether b, as much as there is of a message of that length, begins with
// a header and a whole question.
func opens(b []byte, length int, response bool) bool {
	if length < dnswire.HeaderLen || !heads(b, response) {
		return false
	}
	i := dnswire.HeaderLen
	for {
		if i >= len(b) || b[i] > 63 || i+1+int(b[i])-dnswire.HeaderLen > dnswire.MaxName {
			return false
		}
		label := int(b[i])
		i += 1 + label
		if label == 0 {
			break
		}
	}
	return len(b) >= i+4 && binary.BigEndian.Uint16(b[i+2:]) == classIN
}

// whole reports whether the sections of a message that opens fill it exactly.
func whole(b []byte) bool {
	records := 0
	for i := 6; i < dnswire.HeaderLen; i += 2 {
		records += int(binary.BigEndian.Uint16(b[i:]))
	}
	end := dnswire.NameEnd(b, dnswire.HeaderLen) + 4
	for ; records > 0 && end >= 0; records-- {
		_, end = dnswire.RecordEnd(b, end)
	}
	return end == len(b)
}
