package nmsg

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Field numbers of NmsgPayload (nmsg.proto). Those up to TimeNsec are required.
const (
	payloadVendor   protowire.Number = 1
	payloadType     protowire.Number = 2
	payloadTimeSec  protowire.Number = 3
	payloadTimeNsec protowire.Number = 4
	payloadData     protowire.Number = 5
	payloadSource   protowire.Number = 7
	payloadOperator protowire.Number = 8
	payloadGroup    protowire.Number = 9
)

// ErrTooBig states that a record is too long for a message type: in dnsqr, a DNS message
// over 65,507 bytes (IPv4) or 65,527 bytes (IPv6); in the others, one over 65,535 bytes,
// which is longer than any DNS message.
var ErrTooBig = errors.New("the DNS message is too big for the message type")

// AppendPayload appends the record, encoded as one NmsgPayload of type t, to b.
// Payload.Bytes points to the appended bytes. It returns an error if t cannot represent the
// record, and ErrTooBig if the record is too long; then b is unchanged.
func AppendPayload(b []byte, t MessageType, ids IDs, r *transform.Record) ([]byte, Payload, error) {
	if !t.Takes(r) {
		return b, Payload{}, fmt.Errorf("%v cannot represent a query without a response", t)
	}
	if !t.carries(r) {
		return b, Payload{}, ErrTooBig
	}
	start := len(b)
	sec, nsec := split(r.Time())
	b = appendNumber(b, payloadVendor, VendorBase)
	b = appendNumber(b, payloadType, uint64(types[t].number))
	b = appendNumber(b, payloadTimeSec, uint64(sec))
	b = appendFixed32(b, payloadTimeNsec, nsec)
	b, data := openMessage(b, payloadData)
	b = types[t].append(b, r)
	crc := checksum(b[data:])
	b = setLength(b, data)

	b = appendID(b, payloadSource, ids.Source)
	b = appendID(b, payloadOperator, ids.Operator)
	b = appendID(b, payloadGroup, ids.Group)
	return b, Payload{Bytes: b[start:len(b):len(b)], CRC: crc}, nil
}

// lengthRoom is the size in bytes of the length of a message of 128 to 16,383 bytes, like
// nearly all messages.
const lengthRoom = 2

// openMessage appends the tag of a field that contains a message, and room for its length.
// The caller appends the message at the offset data, and calls setLength.
func openMessage(b []byte, num protowire.Number) (_ []byte, data int) {
	b = appendTag(b, num, protowire.BytesType)
	b = append(b, make([]byte, lengthRoom)...)
	return b, len(b)
}

// setLength writes the length of the message from data to the end of b into the bytes
// before it. It moves the message if the length does not have lengthRoom bytes.
func setLength(b []byte, data int) []byte {
	size := len(b) - data
	room := data - lengthRoom
	if n := protowire.SizeVarint(uint64(size)); n != lengthRoom {
		b = append(b, 0, 0)[:data+size+n-lengthRoom]
		copy(b[room+n:], b[data:data+size])
	}
	appendVarint(b[:room], uint64(size))
	return b
}

func appendID(b []byte, num protowire.Number, id uint32) []byte {
	if id == 0 {
		return b
	}
	return appendNumber(b, num, uint64(id))
}
