package nmsg

import (
	"errors"
	"fmt"
	"net/netip"

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

// ErrTooBig says that a message type cannot carry a record: in dnsqr, a message
// over 65,507 bytes (IPv4) or 65,527 bytes (IPv6).
var ErrTooBig = errors.New("the DNS message is too big for the message type")

// Takes reports whether the type has a form for the record. dnsobs has none for
// a query that nobody answered: its rcode is required.
func (t MessageType) Takes(r *transform.Record) bool {
	if t == DNSObs {
		return r.Answered
	}
	return r.Answered || r.Asked
}

// AppendPayload appends the record, encoded as one NmsgPayload of type t, to b.
// Payload.Bytes aliases what was appended. On an error, ErrTooBig or that t does
// not take the record, b is returned as it was.
func AppendPayload(b []byte, t MessageType, ids IDs, r *transform.Record) ([]byte, Payload, error) {
	if !t.Takes(r) {
		return b, Payload{}, fmt.Errorf("%v has no form for this record", t)
	}
	start := len(b)
	sec, nsec := split(r.Time())
	b = appendNumber(b, payloadVendor, VendorBase)
	b = appendNumber(b, payloadType, t.number())
	b = appendNumber(b, payloadTimeSec, uint64(sec))
	b = appendFixed32(b, payloadTimeNsec, nsec)
	b = appendSize(b, payloadData, 0)
	b = append(b, make([]byte, lengthRoom-1)...)
	data := len(b)
	b, err := t.appendData(b, r)
	if err != nil {
		return b[:start], Payload{}, err
	}
	crc := checksum(b[data:])
	b = setLength(b, data)

	b = appendID(b, payloadSource, ids.Source)
	b = appendID(b, payloadOperator, ids.Operator)
	b = appendID(b, payloadGroup, ids.Group)
	return b, Payload{Bytes: b[start:len(b):len(b)], CRC: crc}, nil
}

func (t MessageType) number() uint64 {
	if t == DNSObs {
		return NumberDNSObs
	}
	return NumberDNSQR
}

func (t MessageType) appendData(b []byte, r *transform.Record) ([]byte, error) {
	if t == DNSObs {
		return appendDNSObs(b, r), nil
	}
	return appendDNSQR(b, r)
}

// lengthRoom is what the length before a message takes where that is 128 to
// 16,383 bytes long, as nearly all are.
const lengthRoom = 2

// setLength fills in the length of the message that runs from data to b's end,
// in the lengthRoom bytes before it. A message of a rarer size is moved.
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

// split cuts a time into whole seconds, rounded down, and the nanoseconds since;
// one that is not known is the epoch.
func split(t transform.Time) (sec int64, nsec uint32) {
	if t == transform.NoTime {
		return 0, 0
	}
	const second = 1_000_000_000
	sec = int64(t) / second
	rest := int64(t) % second
	if rest < 0 {
		sec, rest = sec-1, rest+second
	}
	return sec, uint32(rest)
}

func appendID(b []byte, num protowire.Number, id uint32) []byte {
	if id == 0 {
		return b
	}
	return appendNumber(b, num, uint64(id))
}

func appendAddrField(b []byte, num protowire.Number, a netip.Addr) []byte {
	return appendAddr(appendSize(b, num, addrLen(a)), a)
}
