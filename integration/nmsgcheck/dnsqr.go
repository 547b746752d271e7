package nmsgcheck

import (
	"fmt"
	"math"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/encoding/protowire"
)

func decodeDNSQR(p Payload) (r Record, err error) {
	f, err := parse(p.Message, message{
		1: {kind: varintField}, 2: {kind: bytesField}, 3: {kind: bytesField}, 4: {kind: varintField},
		5: {kind: varintField}, 6: {kind: varintField}, 7: {kind: varintField}, 8: {kind: bytesField},
		9: {kind: varintField}, 10: {kind: varintField}, 11: {kind: varintField},
		12: {kind: bytesField, repeated: true}, 13: {kind: varintField, repeated: true}, 14: {kind: fixed32Field, repeated: true},
		15: {kind: bytesField, repeated: true}, 16: {kind: varintField, repeated: true}, 17: {kind: fixed32Field, repeated: true},
		20: {kind: fixed64Field}, 21: {kind: varintField}, 22: {kind: varintField},
	}, 1, 2, 3, 4, 5, 6, 7)
	if err != nil {
		return r, fmt.Errorf("dnsqr: %w", err)
	}
	if proto := f.number(4); proto != 17 {
		return r, fmt.Errorf("dnsqr: protocol %d", proto)
	}
	r = Record{
		TypeName: "dnsqr", Payload: p,
		Type: uint16(f.number(9)), Class: uint16(f.number(10)), Rcode: int(f.number(11)),
		Exchange: &Exchange{
			Kind: f.number(1), ResolverPort: uint16(f.number(5)), ServerPort: uint16(f.number(6)),
		},
		Packets: &Packets{ID: uint16(f.number(7)), Zeroed: f.number(22) == 1, Checksum: f.number(21)},
	}
	if f.has(20) {
		seconds := math.Float64frombits(f.number(20))
		r.Timeout = &seconds
	}
	if r.Server, err = address(f.bytes(3)); err != nil {
		return r, err
	}
	if r.Resolver, err = address(f.bytes(2)); err != nil {
		return r, err
	}
	if r.Name, err = name(f.bytes(8)); err != nil {
		return r, err
	}
	if r.Query, r.QueryPacket, r.QueryTime, err = decodePacket(f, 12); err != nil {
		return r, fmt.Errorf("dnsqr query of %s: %w", r.Name, err)
	}
	if r.Response, r.ResponsePacket, r.ResponseTime, err = decodePacket(f, 15); err != nil {
		return r, fmt.Errorf("dnsqr response of %s: %w", r.Name, err)
	}
	if r.QueryPacket != nil {
		r.QueryWire = r.QueryPacket.Payload
	}
	if r.ResponsePacket != nil {
		r.Wire = r.ResponsePacket.Payload
	}
	return r, nil
}

// decodePacket decodes the packet and the time of a dnsqr's query (fields from 12) or response
// (fields from 15). There is at most one packet, with one time.
func decodePacket(f values, first protowire.Number) (m *dns.Msg, packet *Packet, at time.Time, err error) {
	packets, sec, nsec := f[first], f[first+1], f[first+2]
	if len(packets) != len(sec) || len(sec) != len(nsec) {
		return nil, nil, at, fmt.Errorf("%d packets, %d seconds, %d nanoseconds", len(packets), len(sec), len(nsec))
	}
	switch len(packets) {
	case 0:
		return nil, nil, at, nil
	case 1:
	default:
		return nil, nil, at, fmt.Errorf("%d packets", len(packets))
	}
	at = time.Unix(int64(sec[0].number), int64(int32(nsec[0].number))).UTC()
	if packet, err = parsePacket(packets[0].bytes); err != nil {
		return nil, nil, at, err
	}
	m, err = unpack(packet.Payload)
	return m, packet, at, err
}
