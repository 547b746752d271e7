package nmsgjson

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// dnsqr is a base:dnsqr message.
type dnsqr struct {
	Type             any         `json:"type"`
	QueryIP          text        `json:"query_ip"`
	ResponseIP       text        `json:"response_ip"`
	Proto            string      `json:"proto"`
	QueryPort        uint16      `json:"query_port"`
	ResponsePort     uint16      `json:"response_port"`
	ID               uint16      `json:"id"`
	QName            text        `json:"qname,omitzero"`
	QClass           string      `json:"qclass,omitempty"`
	QType            string      `json:"qtype,omitempty"`
	RCode            string      `json:"rcode,omitempty"`
	QueryPacket      [][]byte    `json:"query_packet"`
	QueryTimeSec     []uint64    `json:"query_time_sec"`
	QueryTimeNsec    []uint64    `json:"query_time_nsec"`
	ResponsePacket   [][]byte    `json:"response_packet"`
	ResponseTimeSec  []uint64    `json:"response_time_sec"`
	ResponseTimeNsec []uint64    `json:"response_time_nsec"`
	Timeout          any         `json:"timeout,omitempty"`
	Delay            json.Number `json:"delay,omitempty"`
	UDPChecksum      any         `json:"udp_checksum,omitempty"`
	Zeroed           *bool       `json:"resolver_address_zeroed,omitempty"`
	Query            []byte      `json:"query,omitzero"`
	QueryJSON        any         `json:"query_json,omitempty"`
	Response         []byte      `json:"response,omitzero"`
	ResponseJSON     any         `json:"response_json,omitempty"`
	DNS              []byte      `json:"dns,omitzero"` // the response once more
	TCP              []byte      `json:"tcp,omitzero"`
	ICMP             []byte      `json:"icmp,omitzero"`
}

func (e *Encoder) dnsqr(data []byte) (*dnsqr, error) {
	q, err := nmsg.DecodeDNSQR(data)
	if err != nil {
		return nil, err
	}
	d := &e.qr
	*d = dnsqr{
		Type:             enum(q.Type.String()),
		QueryIP:          e.address(q.QueryIP),
		ResponseIP:       e.address(q.ResponseIP),
		Proto:            q.Protocol(),
		QueryPort:        uint16(q.QueryPort),
		ResponsePort:     uint16(q.ResponsePort),
		ID:               uint16(q.ID),
		QName:            e.name(q.QName),
		QueryPacket:      list(q.QueryPacket),
		QueryTimeSec:     unsigned(&e.memory, q.QueryTimeSec),
		QueryTimeNsec:    unsigned(&e.memory, q.QueryTimeNsec),
		ResponsePacket:   list(q.ResponsePacket),
		ResponseTimeSec:  unsigned(&e.memory, q.ResponseTimeSec),
		ResponseTimeNsec: unsigned(&e.memory, q.ResponseTimeNsec),
		Timeout:          timeout(q.Timeout),
		Zeroed:           q.ResolverAddressZeroed,
		TCP:              q.TCP,
		ICMP:             q.ICMP,
	}
	if q.QClass != nil {
		d.QClass = class(uint16(*q.QClass))
	}
	if q.QType != nil {
		d.QType = dnstext.Type(uint16(*q.QType))
	}
	if q.RCode != nil {
		d.RCode = dnstext.Rcode(uint16(*q.RCode))
	}
	if delay, ok := q.Delay(); ok {
		d.Delay = decimal(delay)
	}
	if q.UDPChecksum != nil {
		d.UDPChecksum = enum(q.UDPChecksum.String())
	}
	if msg, ok := q.Query(); ok && len(q.QueryPacket) == 1 {
		d.Query, d.QueryJSON = msg, e.message(msg)
	}
	if msg, ok := q.Response(); ok && len(q.ResponsePacket) == 1 {
		d.Response, d.ResponseJSON, d.DNS = msg, e.message(msg), msg
	}
	return d, nil
}

// unsigned returns numbers as nmsgtool prints them: a negative one as the unsigned number of the
// same 64 bits.
func unsigned[T int32 | int64](m *memory, all []T) []uint64 {
	first := len(m.numbers)
	for _, n := range all {
		m.numbers = append(m.numbers, uint64(n))
	}
	return list(m.numbers[first:])
}

// decimal returns a number with up to 18 decimals, without zeros at the end except after the point.
func decimal(f float64) json.Number {
	b := strconv.AppendFloat(nil, f, 'f', 18, 64)
	for b[len(b)-1] == '0' && b[len(b)-2] != '.' {
		b = b[:len(b)-1]
	}
	return json.Number(b)
}

// timeout returns a number of seconds. For JSON, nil is an absent member, and a nil pointer is
// null: the number is not finite.
func timeout(f *float64) any {
	switch {
	case f == nil:
		return nil
	case math.IsNaN(*f), math.IsInf(*f, 0):
		return (*json.Number)(nil)
	}
	return decimal(*f)
}
