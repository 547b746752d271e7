package nmsgcheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// RRset is a decoded payload of type SIE:dnsdedupe.
type RRset struct {
	Payload Payload

	Kind      uint64 // 0 insertion, 1 expiration
	Name      string
	Type      uint16
	Class     uint16
	TTL       uint32
	Bailiwick string
	RRs       []dns.RR // in the order of the payload
	Count     uint64

	First, Last int64 // seconds
}

// DecodeRRset decodes a payload of type SIE:dnsdedupe. It requires what readers of the type
// require: all fields of an observation, lowercase names, and rdata in order.
func DecodeRRset(p Payload) (s RRset, err error) {
	if p.Vendor != 2 || p.Type != 1 {
		return s, fmt.Errorf("a payload of vendor %d, type %d", p.Vendor, p.Type)
	}
	f, err := parse(p.Message, message{
		1: {kind: bytesField}, 2: {kind: varintField}, 3: {kind: varintField}, 4: {kind: varintField}, 5: {kind: bytesField, repeated: true},
		10: {kind: varintField}, 11: {kind: varintField}, 12: {kind: varintField}, 13: {kind: varintField}, 16: {kind: bytesField},
	}, 1, 2, 3, 4, 5, 10, 11, 12, 13, 16)
	if err != nil {
		return s, fmt.Errorf("dnsdedupe: %w", err)
	}
	s = RRset{
		Payload: p, Kind: f.number(13), Type: uint16(f.number(2)), Class: uint16(f.number(3)), TTL: uint32(f.number(4)),
		Count: f.number(10), First: int64(f.number(11)), Last: int64(f.number(12)),
	}
	if s.Name, err = name(f.bytes(1)); err != nil {
		return s, err
	}
	if s.Bailiwick, err = name(f.bytes(16)); err != nil {
		return s, err
	}
	var rdata [][]byte
	for _, v := range f[5] {
		rr, err := s.record(f.bytes(1), v.bytes)
		if err != nil {
			return s, fmt.Errorf("dnsdedupe: %s: %w", s.Name, err)
		}
		s.RRs = append(s.RRs, rr)
		rdata = append(rdata, v.bytes)
	}
	if !slices.IsSortedFunc(rdata, shorterFirst) {
		err = errors.Join(err, errors.New("the rdata is not sorted"))
	}
	if s.Name != dns.CanonicalName(s.Name) || s.Bailiwick != dns.CanonicalName(s.Bailiwick) {
		err = errors.Join(err, errors.New("a name has upper-case letters"))
	}
	if !dns.IsSubDomain(s.Bailiwick, s.Name) || s.First > s.Last || s.Kind > 1 {
		err = errors.Join(err, fmt.Errorf("bailiwick %s, times %d and %d, type %d", s.Bailiwick, s.First, s.Last, s.Kind))
	}
	if err != nil {
		return s, fmt.Errorf("dnsdedupe: %s: %w", s.Name, err)
	}
	return s, nil
}

// shorterFirst is the order of rdata in databases of RRsets.
func shorterFirst(a, b []byte) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}

// record returns the resource record with that rdata.
func (s *RRset) record(owner, rdata []byte) (dns.RR, error) {
	wire := binary.BigEndian.AppendUint16(slices.Clone(owner), s.Type)
	wire = binary.BigEndian.AppendUint16(wire, s.Class)
	wire = binary.BigEndian.AppendUint32(wire, s.TTL)
	wire = binary.BigEndian.AppendUint16(wire, uint16(len(rdata)))
	rr, n, err := dns.UnpackRR(append(wire, rdata...), 0)
	if err == nil && n != len(wire)+len(rdata) {
		err = fmt.Errorf("%d bytes after the rdata", len(wire)+len(rdata)-n)
	}
	return rr, err
}
