package nmsgjson

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	dnstappb "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// dnstap is a base:dnstap message.
type dnstap struct {
	Identity []byte `json:"identity,omitzero"`
	Version  []byte `json:"version,omitzero"`
	Extra    []byte `json:"extra,omitzero"`
	Type     any    `json:"type"`
	*dnstapMessage
	*dnstapHeader
}

type dnstapMessage struct {
	MessageType      any     `json:"message_type"`
	SocketFamily     any     `json:"socket_family,omitempty"`
	SocketProtocol   any     `json:"socket_protocol,omitempty"`
	QueryAddress     any     `json:"query_address,omitempty"`
	QueryPort        *uint32 `json:"query_port,omitempty"`
	QueryTimeSec     *uint64 `json:"query_time_sec,omitempty"`
	QueryTimeNsec    *uint32 `json:"query_time_nsec,omitempty"`
	QueryMessage     []byte  `json:"query_message,omitzero"`
	QueryJSON        any     `json:"query_json,omitempty"`
	ResponseAddress  any     `json:"response_address,omitempty"`
	ResponsePort     *uint32 `json:"response_port,omitempty"`
	ResponseTimeSec  *uint64 `json:"response_time_sec,omitempty"`
	ResponseTimeNsec *uint32 `json:"response_time_nsec,omitempty"`
	QueryZone        text    `json:"query_zone,omitzero"`
	ResponseMessage  []byte  `json:"response_message,omitzero"`
	ResponseJSON     any     `json:"response_json,omitempty"`
}

// dnstapHeader is what nmsgtool reads from the DNS message without parsing all of it.
type dnstapHeader struct {
	ID     uint16 `json:"id"`
	QName  text   `json:"qname,omitzero"`
	QClass string `json:"qclass,omitempty"`
	QType  string `json:"qtype,omitempty"`
	RCode  string `json:"rcode"`
}

func (e *Encoder) dnstap(data []byte) (*dnstap, error) {
	var in dnstappb.Dnstap
	if err := proto.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("dnstap: %w", err)
	}
	d := &dnstap{Identity: in.Identity, Version: in.Version, Extra: in.Extra, Type: enum(in.GetType().String())}
	if m := in.Message; m != nil {
		d.dnstapMessage = e.dnstapMessage(m)
		msg := m.QueryMessage
		if msg == nil {
			msg = m.ResponseMessage
		}
		d.dnstapHeader = e.dnstapHeader(msg)
	}
	return d, nil
}

func (e *Encoder) dnstapMessage(m *dnstappb.Message) *dnstapMessage {
	d := &dnstapMessage{
		MessageType:      enum(m.GetType().String()),
		QueryAddress:     e.addressOf(m.QueryAddress),
		QueryPort:        m.QueryPort,
		QueryTimeSec:     m.QueryTimeSec,
		QueryTimeNsec:    m.QueryTimeNsec,
		QueryMessage:     m.QueryMessage,
		ResponseAddress:  e.addressOf(m.ResponseAddress),
		ResponsePort:     m.ResponsePort,
		ResponseTimeSec:  m.ResponseTimeSec,
		ResponseTimeNsec: m.ResponseTimeNsec,
		QueryZone:        e.name(m.QueryZone),
		ResponseMessage:  m.ResponseMessage,
	}
	if m.SocketFamily != nil {
		d.SocketFamily = enum(m.GetSocketFamily().String())
	}
	if m.SocketProtocol != nil {
		d.SocketProtocol = enum(m.GetSocketProtocol().String())
	}
	if m.QueryMessage != nil {
		d.QueryJSON = e.message(m.QueryMessage)
	}
	if m.ResponseMessage != nil {
		d.ResponseJSON = e.message(m.ResponseMessage)
	}
	return d
}

// addressOf returns the address in octets. For JSON, nil is an absent member, and a nil pointer is
// null: there are neither 4 nor 16 octets.
func (e *Encoder) addressOf(octets []byte) any {
	if octets == nil {
		return nil
	}
	a, ok := netip.AddrFromSlice(octets)
	if !ok {
		return (*text)(nil)
	}
	t := e.address(a)
	return &t
}

func (e *Encoder) dnstapHeader(msg []byte) *dnstapHeader {
	const headerLen = 12
	if len(msg) < headerLen {
		return nil
	}
	h := &dnstapHeader{ID: binary.BigEndian.Uint16(msg), RCode: dnstext.Rcode(binary.BigEndian.Uint16(msg[2:]) & 0xf)}
	if body := msg[headerLen:]; binary.BigEndian.Uint16(msg[4:]) == 1 && len(body) > 0 {
		n := nameLen(body)
		h.QName = e.name(body[:n])
		if rest := body[n:]; len(rest) >= 2 {
			h.QType = dnstext.Type(binary.BigEndian.Uint16(rest))
			if len(rest) >= 4 {
				h.QClass = class(binary.BigEndian.Uint16(rest[2:]))
			}
		}
	}
	return h
}

// nameLen returns the length of the name at the start of b, including a compression pointer, as
// wdns_skip_name does. Unlike dnswire.NameEnd it accepts every length of a label, and a name that
// does not end takes all of b.
func nameLen(b []byte) int {
	off := 0
	for off < len(b) && b[off] != 0 {
		if b[off] >= 0xc0 {
			off++
			break
		}
		off += 1 + int(b[off])
	}
	return min(off+1, len(b))
}
