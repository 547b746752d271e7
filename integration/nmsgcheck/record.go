package nmsgcheck

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/encoding/protowire"
)

// Record is a payload of type dnsqr or dnsobs, decoded as far as it goes.
type Record struct {
	Message string // "dnsqr" or "dnsobs"
	Payload Payload

	Server   netip.Addr
	Name     string // as it stands: case is not touched
	Type     uint16
	Class    uint16
	Rcode    int
	Response *dns.Msg // nil where there is none
	Zone     string   // dnsobs only; empty where not told

	*Exchange // dnsqr only
}

// Exchange is what a dnsqr says beyond its response.
type Exchange struct {
	Kind         uint64 // 1 query and response, 2 unanswered, 7 response only
	Resolver     netip.Addr
	ResolverPort uint16
	ServerPort   uint16
	ID           uint16
	Zeroed       bool
	Checksum     uint64 // 1: absent

	Query        *dns.Msg // nil where there is none
	QueryTime    time.Time
	ResponseTime time.Time

	QueryPacket, ResponsePacket *Packet
}

// Decode decodes a payload of a type that the sensor writes.
func Decode(p Payload) (Record, error) {
	switch {
	case p.Vendor == 1 && p.Type == 9:
		return decodeDNSQR(p)
	case p.Vendor == 1 && p.Type == 14:
		return decodeDNSObs(p)
	}
	return Record{}, fmt.Errorf("a payload of vendor %d, type %d", p.Vendor, p.Type)
}

func decodeDNSObs(p Payload) (r Record, err error) {
	f, err := parse(p.Message, message{
		1: {kind: varintField}, 2: {kind: bytesField}, 3: {kind: bytesField}, 4: {kind: varintField},
		5: {kind: varintField}, 6: {kind: varintField}, 7: {kind: bytesField}, 8: {kind: bytesField},
	}, 1, 2, 3, 4, 5, 6)
	if err != nil {
		return r, fmt.Errorf("dnsobs: %w", err)
	}
	r = Record{
		Message: "dnsobs", Payload: p,
		Type: uint16(f.number(4)), Class: uint16(f.number(5)), Rcode: int(f.number(6)),
	}
	if r.Server, err = address(f.bytes(2)); err != nil {
		return r, err
	}
	if r.Name, err = name(f.bytes(3)); err != nil {
		return r, err
	}
	if f.has(8) {
		if r.Zone, err = name(f.bytes(8)); err != nil {
			return r, err
		}
	}
	if f.has(7) {
		r.Response, err = unpack(f.bytes(7))
	}
	if seconds := time.Unix(int64(f.number(1)), 0).UTC(); err == nil && !seconds.Equal(p.Time.Truncate(time.Second)) {
		err = fmt.Errorf("dnsobs says %s, its payload %s", seconds, p.Time)
	}
	return r, err
}

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
		Message: "dnsqr", Payload: p,
		Type: uint16(f.number(9)), Class: uint16(f.number(10)), Rcode: int(f.number(11)),
		Exchange: &Exchange{
			Kind: f.number(1), ID: uint16(f.number(7)), Zeroed: f.number(22) == 1, Checksum: f.number(21),
			ResolverPort: uint16(f.number(5)), ServerPort: uint16(f.number(6)),
		},
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
	if r.Query, r.QueryPacket, r.QueryTime, err = half(f, 12); err != nil {
		return r, fmt.Errorf("dnsqr query of %s: %w", r.Name, err)
	}
	if r.Response, r.ResponsePacket, r.ResponseTime, err = half(f, 15); err != nil {
		return r, fmt.Errorf("dnsqr response of %s: %w", r.Name, err)
	}
	return r, nil
}

// half decodes the packet and time of a dnsqr's query (fields from 12) or
// response (from 15): one packet at most, with as many times.
func half(f values, first protowire.Number) (m *dns.Msg, packet *Packet, at time.Time, err error) {
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

func unpack(wire []byte) (*dns.Msg, error) {
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		return nil, fmt.Errorf("DNS message: %w", err)
	}
	return m, nil
}

func name(wire []byte) (string, error) {
	text, n, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		return "", fmt.Errorf("name %x: %w", wire, err)
	}
	if n != len(wire) {
		return "", fmt.Errorf("name %x: %d bytes left", wire, len(wire)-n)
	}
	return text, nil
}

func address(b []byte) (netip.Addr, error) {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return a, fmt.Errorf("an address of %d bytes", len(b))
	}
	return a, nil
}
