package nmsgcheck

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Record is a payload of type dnsqr, dnsobs or dnstap, decoded as far as it goes.
type Record struct {
	Message string // "dnsqr", "dnsobs" or "dnstap"
	Payload Payload

	Server   netip.Addr
	Name     string // as it stands: case is not touched
	Type     uint16
	Class    uint16
	Rcode    int
	Response *dns.Msg // nil where there is none
	Wire     []byte   // the response's bytes; of a dnsqr, those of its packet
	Zone     string   // dnsobs and dnstap; empty where not told

	*Exchange // dnsqr and dnstap
	*Packets  // dnsqr only
	*Tap      // dnstap only
}

// Exchange is what a dnsqr or dnstap says beyond a dnsobs.
type Exchange struct {
	Kind         uint64 // dnsqr: 1 query and response, 2 unanswered, 7 response only; dnstap: 3 query, 4 response
	Resolver     netip.Addr
	ResolverPort uint16
	ServerPort   uint16

	Query        *dns.Msg // nil where there is none
	QueryWire    []byte   // as Wire
	QueryTime    time.Time
	ResponseTime time.Time
}

// Packets is what only a dnsqr says.
type Packets struct {
	ID       uint16
	Zeroed   bool
	Checksum uint64   // 1: absent
	Timeout  *float64 // seconds; nil where not told

	QueryPacket, ResponsePacket *Packet
}

// Tap is what only a dnstap says.
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

// unpack takes a message as miekg/dns does, but none that announces records that
// it lacks, and none with bytes behind its last one.
func unpack(wire []byte) (*dns.Msg, error) {
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		return nil, fmt.Errorf("DNS message: %w", err)
	}
	for i, n := range []int{len(m.Question), len(m.Answer), len(m.Ns), len(m.Extra)} {
		if announced := binary.BigEndian.Uint16(wire[4+2*i:]); int(announced) != n {
			return nil, fmt.Errorf("DNS message: section %d has %d records, %d are announced", i, n, announced)
		}
	}
	if new(dns.Msg).Unpack(wire[:len(wire)-1]) == nil {
		return nil, fmt.Errorf("DNS message: bytes behind the last record: %x", wire)
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
