package explain

import (
	"encoding/binary"
	"errors"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// An NMSG container: magic, flags, version, length, and an Nmsg message (nmsg.proto). Its
// fields are taken apart here once more, so that every octet is either of a record or
// beside all of them.
const (
	nmsgMagic  = "NMSG"
	nmsgHeader = len(nmsgMagic) + 2 + 4

	nmsgPayloads protowire.Number = 1

	payloadVendor   protowire.Number = 1
	payloadType     protowire.Number = 2
	payloadSec      protowire.Number = 3
	payloadNsec     protowire.Number = 4
	payloadData     protowire.Number = 5
	payloadSource   protowire.Number = 7
	payloadOperator protowire.Number = 8
	payloadGroup    protowire.Number = 9
)

var errContainer = errors.New("what a sink sent is no plain NMSG container, and was not searched")

// takeApart calls record for each payload of a container, and returns rest with what
// stands beside them appended.
func takeApart(container, rest []byte, record func([]byte)) ([]byte, error) {
	if len(container) < nmsgHeader || string(container[:len(nmsgMagic)]) != nmsgMagic || container[4] != 0 {
		return rest, errContainer
	}
	rest = append(rest, container[:nmsgHeader]...)
	whole := eachField(container[nmsgHeader:], func(n protowire.Number, value []byte) {
		if n == nmsgPayloads {
			record(value)
			return
		}
		rest = append(rest, value...)
	})
	if !whole {
		return rest, errContainer
	}
	return rest, nil
}

// readPayload reads an NmsgPayload.
func readPayload(payload []byte) (nmsg.Message, error) {
	var m nmsg.Message
	whole := eachField(payload, func(n protowire.Number, value []byte) {
		varint, _ := protowire.ConsumeVarint(value)
		fixed := uint32(0)
		if len(value) == 4 {
			fixed = binary.LittleEndian.Uint32(value)
		}
		switch n {
		case payloadVendor:
			m.Vendor = uint32(varint)
		case payloadType:
			m.Type = uint32(varint)
		case payloadSec:
			m.Sec = int64(varint)
		case payloadNsec:
			m.Nsec = fixed
		case payloadData:
			m.Data = value
		case payloadSource:
			m.Source = uint32(varint)
		case payloadOperator:
			m.Operator = uint32(varint)
		case payloadGroup:
			m.Group = uint32(varint)
		}
	})
	if !whole {
		return m, errContainer
	}
	return m, nil
}

// messagesOf returns the DNS messages that a record of this type holds.
func messagesOf(data []byte, messageType string) ([][]byte, error) {
	switch messageType {
	case nmsg.DNSQR.String():
		q, err := nmsg.DecodeDNSQR(data)
		if err != nil {
			return nil, err
		}
		query, _ := q.Query()
		response, _ := q.Response()
		return [][]byte{query, response}, nil
	case nmsg.DNSObs.String():
		o, err := nmsg.DecodeDNSObs(data)
		return [][]byte{o.Response}, err
	default:
		var d dnstap.Dnstap
		err := proto.Unmarshal(data, &d)
		return [][]byte{d.GetMessage().GetQueryMessage(), d.GetMessage().GetResponseMessage()}, err
	}
}
