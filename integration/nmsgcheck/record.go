package nmsgcheck

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Record is a decoded payload of type dnsqr, dnsobs or dnstap.
type Record struct {
	TypeName string // "dnsqr", "dnsobs" or "dnstap"
	Payload  Payload

	Server   netip.Addr
	Name     string // in its original case
	Type     uint16
	Class    uint16
	Rcode    int
	Response *dns.Msg // nil if there is none
	Wire     []byte   // the response's bytes; for a dnsqr, those in its packet
	Zone     string   // dnsobs and dnstap; empty if absent

	*Exchange // dnsqr and dnstap
	*Packets  // dnsqr only
	*Tap      // dnstap only
}

// Exchange contains the fields that a dnsqr or dnstap has in addition to a dnsobs.
type Exchange struct {
	Kind         uint64 // dnsqr: 1 query and response, 2 unanswered, 7 response only; dnstap: 3 query, 4 response
	Resolver     netip.Addr
	ResolverPort uint16
	ServerPort   uint16

	Query        *dns.Msg // nil if there is none
	QueryWire    []byte   // the query's bytes, as Wire
	QueryTime    time.Time
	ResponseTime time.Time
}

// Packets contains the fields that only a dnsqr has.
type Packets struct {
	ID       uint16
	Zeroed   bool
	Checksum uint64   // 1: absent
	Timeout  *float64 // seconds; nil if absent

	QueryPacket, ResponsePacket *Packet
}

// Tap contains the fields that only a dnstap has.
type Tap struct {
	Family   uint64 // 1 IPv4, 2 IPv6
	Protocol uint64 // 1 UDP, 2 TCP
}

// Decode decodes a payload of a type that the sensor writes.
func Decode(p Payload) (Record, error) {
	switch {
	case p.Vendor == 1 && p.Type == 9:
		return decodeDNSQR(p)
	case p.Vendor == 1 && p.Type == 13:
		return decodeDnstap(p)
	case p.Vendor == 1 && p.Type == 14:
		return decodeDNSObs(p)
	}
	return Record{}, fmt.Errorf("a payload of vendor %d, type %d", p.Vendor, p.Type)
}

// unpack decodes a message with miekg/dns, and returns an error if records are missing or bytes
// follow the last one.
func unpack(wire []byte) (*dns.Msg, error) {
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		return nil, fmt.Errorf("DNS message: %w", err)
	}
	for i, n := range []int{len(m.Question), len(m.Answer), len(m.Ns), len(m.Extra)} {
		if announced := binary.BigEndian.Uint16(wire[4+2*i:]); int(announced) != n {
			return nil, fmt.Errorf("DNS message: section %d has %d records, the header counts %d", i, n, announced)
		}
	}
	if new(dns.Msg).Unpack(wire[:len(wire)-1]) == nil {
		return nil, fmt.Errorf("DNS message: bytes after the last record: %x", wire)
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
