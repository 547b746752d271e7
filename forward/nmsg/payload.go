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
// over 65,507 bytes (IPv4) or 65,527 bytes (IPv6); in dnsdedupe, an RRset that is larger than
// a container; in the others, a DNS message over 65,535 bytes, which is longer than any.
var ErrTooBig = errors.New("the DNS message is too big for the message type")

// AppendPayload appends the record, encoded as one NmsgPayload of type t, to b.
// Payload.Bytes points to the appended bytes. It returns an error if t cannot represent the
// record, and ErrTooBig if the record is too long; then b is unchanged.
func AppendPayload(b []byte, t MessageType, ids IDs, r *transform.Record) ([]byte, Payload, error) {
	if err := t.check(r); err != nil {
		return b, Payload{}, err
	}
	start := len(b)
	sec, nsec := split(r.Time())
	b, data := openPayload(b, VendorBase, types[t].number, sec, nsec)
	b = types[t].append(b, r)
	b, p := closePayload(b, start, data, ids)
	return b, p, nil
}

// openPayload appends the fields of a payload before its message. The caller appends the message
// at the offset data, and calls closePayload.
func openPayload(b []byte, vendor, number uint32, sec int64, nsec uint32) (_ []byte, data int) {
	b = appendNumber(b, payloadVendor, uint64(vendor))
	b = appendNumber(b, payloadType, uint64(number))
	b = appendNumber(b, payloadTimeSec, uint64(sec))
	b = appendFixed32(b, payloadTimeNsec, nsec)
	return openMessage(b, payloadData)
}

// closePayload completes the payload that begins at the offset start.
func closePayload(b []byte, start, data int, ids IDs) ([]byte, Payload) {
	crc := checksum(b[data:])
	b = setLength(b, data)

	b = appendID(b, payloadSource, ids.Source)
	b = appendID(b, payloadOperator, ids.Operator)
	b = appendID(b, payloadGroup, ids.Group)
	return b, Payload{Bytes: b[start:len(b):len(b)], CRC: crc}
}

// AppendMessage appends the record, encoded as a message of type t without a payload around it,
// to b. The Message is what a [Reader] returns for the payload of the same record; its Data are
// the appended bytes. The errors are those of AppendPayload.
func AppendMessage(b []byte, t MessageType, ids IDs, r *transform.Record) ([]byte, Message, error) {
	if err := t.check(r); err != nil {
		return b, Message{}, err
	}
	start := len(b)
	b = types[t].append(b, r)
	m := Message{
		Vendor: VendorBase, Type: types[t].number,
		Source: ids.Source, Operator: ids.Operator, Group: ids.Group,
		Data: b[start:len(b):len(b)],
	}
	m.Sec, m.Nsec = split(r.Time())
	return b, m, nil
}

// check returns an error if t cannot represent the record.
func (t MessageType) check(r *transform.Record) error {
	if !t.Accepts(r) {
		return fmt.Errorf("%v cannot represent a query without a response", t)
	}
	if !t.carries(r) {
		return ErrTooBig
	}
	return nil
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

// setLength writes the length of the message b[data:] into the room that openMessage made.
// It moves the message if the length does not have lengthRoom bytes.
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
