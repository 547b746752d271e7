package stream

import (
	"encoding/binary"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

const classIN = 1

// plausible reports whether a message with its length (RFC 1035 section 4.2.2) may begin
// at b in an unsynchronised stream. It needs the whole question. If the message is
// complete, it must be valid, and the octets after it may begin another.
func plausible(b []byte, response bool) bool {
	if len(b) < 2 {
		return false
	}
	length := int(binary.BigEndian.Uint16(b))
	body := b[2:min(len(b), 2+length)]
	if !hasQuestion(body, length, response) {
		return false
	}
	if len(body) < length {
		return true
	}
	return isComplete(body) && mayBegin(b[2+length:], response)
}

// mayBegin reports whether rest, the octets after a message, is empty or may begin the
// next message with its length. From 1 to 4 octets do not show whether that is a query or a
// response: mayBegin returns false, because the message before them may be text in another.
// It returns true for an empty rest, because only the sender makes a segment end there.
func mayBegin(rest []byte, response bool) bool {
	if len(rest) == 0 {
		return true
	}
	if len(rest) < 5 || int(binary.BigEndian.Uint16(rest)) < dnswire.HeaderLen {
		return false
	}
	body := rest[2:]
	return rightDirection(body, response) && (len(body) < dnswire.HeaderLen || validHeader(body, response))
}

// rightDirection reports whether the flags of a header have the QR bit of the direction
// and the opcode QUERY.
func rightDirection(b []byte, response bool) bool {
	const opcode = 0x78
	return b[2]&0x80 != 0 == response && b[2]&opcode == 0
}

// validHeader reports whether b begins with a header that has the direction's QR bit, the
// opcode QUERY and one question.
func validHeader(b []byte, response bool) bool {
	return len(b) >= dnswire.HeaderLen && rightDirection(b, response) && binary.BigEndian.Uint16(b[4:]) == 1
}

// hasQuestion reports whether b begins with a header and a whole question. b is what was
// captured of a message of length octets.
func hasQuestion(b []byte, length int, response bool) bool {
	if length < dnswire.HeaderLen || !validHeader(b, response) {
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

// isComplete reports whether the sections of a message fill it exactly. The message must
// satisfy hasQuestion.
func isComplete(b []byte) bool {
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
