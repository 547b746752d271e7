package explain

import (
	"bytes"
	"errors"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// An NMSG container: magic, flags, version, length, and an Nmsg message (nmsg.proto). It
// is taken apart here once more, so that every octet is either of a record or beside all
// of them.
const (
	nmsgMagic  = "NMSG"
	nmsgHeader = len(nmsgMagic) + 2 + 4

	nmsgPayloads protowire.Number = 1
	payloadData  protowire.Number = 5 // of an NmsgPayload
)

var (
	errContainer = errors.New("what a sink sent is no plain NMSG container, and was not searched")
	errPacket    = errors.New("its packets are none of DNS, and were searched as they stand only")
)

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

// dataOf returns the message that an NmsgPayload holds.
func dataOf(payload []byte) (data []byte, err error) {
	if !eachField(payload, func(n protowire.Number, value []byte) {
		if n == payloadData {
			data = value
		}
	}) {
		return nil, errContainer
	}
	return data, nil
}

// textOf is the i-th record of a container, for people.
func textOf(container []byte, i int) string {
	var m nmsg.Message
	var err error
	for r := nmsg.NewReader(bytes.NewReader(container)); i >= 0 && err == nil; i-- {
		m, err = r.Next()
	}
	var text bytes.Buffer
	p := present.Printer{Format: present.Text}
	if err == nil {
		err = p.Print(&text, m)
	}
	if err != nil {
		return asASCII(err.Error()) + "\n"
	}
	if text.Len() > longestText {
		text.Truncate(longestText)
		text.WriteString("...\n")
	}
	return text.String()
}

// longestText is how much of a record's text is shown.
const longestText = 2000

// messagesOf returns the DNS messages that a record of this type holds.
func messagesOf(data []byte, messageType string) ([][]byte, error) {
	switch messageType {
	case nmsg.DNSQR.String():
		q, err := nmsg.DecodeDNSQR(data)
		if err != nil {
			return nil, err
		}
		query, asked := q.Query()
		response, answered := q.Response()
		if asked != (len(q.QueryPacket) > 0) || answered != (len(q.ResponsePacket) > 0) {
			err = errPacket
		}
		return [][]byte{query, response}, err
	case nmsg.DNSObs.String():
		o, err := nmsg.DecodeDNSObs(data)
		return [][]byte{o.Response}, err
	default:
		var d dnstap.Dnstap
		err := proto.Unmarshal(data, &d)
		return [][]byte{d.GetMessage().GetQueryMessage(), d.GetMessage().GetResponseMessage()}, err
	}
}
