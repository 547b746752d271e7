package explain

import (
	"bytes"
	"errors"
	"net/netip"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// An NMSG container is magic, flags, version, length and an Nmsg message (nmsg.proto). This file
// has its own parser, so that every octet is searched either as part of a record or as part of
// the rest.
const (
	nmsgMagic  = "NMSG"
	nmsgHeader = len(nmsgMagic) + 2 + 4

	nmsgPayloads protowire.Number = 1
	payloadData  protowire.Number = 5 // of an NmsgPayload
)

var (
	errContainer = errors.New("a sink sent octets that are not an uncompressed NMSG container; these were not searched")
	errPacket    = errors.New("its packets are not DNS and were searched as octets only")
)

// splitContainer calls record for each payload of a container, and returns rest with the other
// octets appended.
func splitContainer(container, rest []byte, record func([]byte)) ([]byte, error) {
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

// dataOf returns the message in an NmsgPayload.
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

// textOf returns the i-th record of a container as text.
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

// longestText is how many octets of a record's text are shown.
const longestText = 2000

// recordOf returns the contents of a record of this message type.
func recordOf(data []byte, messageType string) (canary.Record, error) {
	switch messageType {
	case nmsg.DNSQR.String():
		q, err := nmsg.DecodeDNSQR(data)
		if err != nil {
			return canary.Record{}, err
		}
		query, asked := q.Query()
		response, answered := q.Response()
		if asked != (len(q.QueryPacket) > 0) || answered != (len(q.ResponsePacket) > 0) {
			err = errPacket
		}
		r := canary.Record{Name: q.QName, Messages: [][]byte{query, response}, Addresses: []netip.Addr{q.QueryIP}}
		for _, packet := range q.QueryPacket {
			r.Addresses = append(r.Addresses, packetAddr(packet, true))
		}
		for _, packet := range q.ResponsePacket {
			r.Addresses = append(r.Addresses, packetAddr(packet, false))
		}
		return r, err
	case nmsg.DNSObs.String():
		o, err := nmsg.DecodeDNSObs(data)
		return canary.Record{Name: o.QName, Zone: o.QueryZone, Messages: [][]byte{o.Response}}, err
	default:
		var d dnstap.Dnstap
		err := proto.Unmarshal(data, &d)
		m := d.GetMessage()
		resolver, _ := netip.AddrFromSlice(m.GetQueryAddress())
		return canary.Record{Zone: m.GetQueryZone(), Messages: [][]byte{m.GetQueryMessage(), m.GetResponseMessage()}, Addresses: []netip.Addr{resolver}}, err
	}
}

// packetAddr returns the source or the destination of an IP packet; invalid if the packet is cut
// off.
func packetAddr(packet []byte, source bool) netip.Addr {
	from, size := 12, 4
	if len(packet) > 0 && packet[0]>>4 == 6 {
		from, size = 8, 16
	}
	if !source {
		from += size
	}
	if len(packet) < from+size {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(packet[from : from+size])
	return a
}
