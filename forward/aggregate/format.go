package aggregate

import (
	"encoding/binary"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// Format is the format in which records, and RRsets of other sensors, reach the transport of this
// package: one in each unit. Both begin with
//
//	flags 1 | source 4
//
// where source is the NMSG source id, or 0. A record has what [rrset.Verifier] reads of it:
//
//	server 16 | time 8 | length of zone 1 | zone | response
//
// An IPv4 server is mapped. The response contains the question and the rcode. An RRset has
//
//	type 2 | class 2 | TTL 4 | time_first 4 | time_last 4 | count 4 | owner | bailiwick | rdata ...
//
// with the length of each name and rdata before it, as a varint. Other numbers are little-endian.
type Format struct{}

const (
	flagForwarded = 1 << iota
	flagHasQuery
	flagRRset // not a record
)

const (
	headLen   = 1 + 4                     // octets before a record or an RRset
	recordLen = headLen + 16 + 8 + 1      // octets before the zone of a record
	rrsetLen  = headLen + 2 + 2 + 4 + 3*4 // octets before the owner of an RRset
)

// Accepts reports whether the record has a response.
func (Format) Accepts(r *transform.Record) bool { return r.HasResponse }

// Append appends the record.
func (Format) Append(dst []byte, r *transform.Record, ids nmsg.IDs) ([]byte, error) {
	if recordLen+len(r.Zone)+len(r.Response) > forward.BatchSize {
		return dst, nmsg.ErrTooBig
	}
	var flags byte
	if r.Forwarded {
		flags |= flagForwarded
	}
	if r.HasQuery {
		flags |= flagHasQuery
	}
	server := r.Server.Addr().As16()
	dst = append(appendHead(dst, flags, ids), server[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Time()))
	dst = append(append(dst, byte(len(r.Zone))), r.Zone...)
	return append(dst, r.Response...), nil
}

// AppendRRset appends an RRset that another sensor verified and counted. Of an insertion it appends
// nothing: the sensor counts the same sightings again in an expiration.
func (Format) AppendRRset(dst []byte, a *rrset.Aggregate, ids nmsg.IDs) ([]byte, error) {
	if a.Event == rrset.Insertion {
		return dst, nil
	}
	size := rrsetLen + len(a.Name) + len(a.Bailiwick)
	for _, r := range a.Rdata {
		size += len(r)
	}
	if size > nmsg.MaxSize {
		return dst, nmsg.ErrTooBig
	}
	dst = appendHead(dst, flagRRset, ids)
	dst = binary.LittleEndian.AppendUint16(dst, a.Type)
	dst = binary.LittleEndian.AppendUint16(dst, a.Class)
	for _, n := range [...]uint32{a.TTL, a.TimeFirst, a.TimeLast, a.Count} {
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	dst = appendOctets(appendOctets(dst, a.Name), a.Bailiwick)
	for _, r := range a.Rdata {
		dst = appendOctets(dst, r)
	}
	return dst, nil
}

func appendHead(dst []byte, flags byte, ids nmsg.IDs) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, flags), ids.Source)
}

func appendOctets(dst, octets []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(octets))), octets...)
}

// NewFramer returns the framer of records and RRsets.
func (Format) NewFramer(int) forward.Framer { return forward.OnePerUnit{} }

// isRRset reports whether a unit is an RRset, not a record.
func isRRset(b []byte) bool { return b[0]&flagRRset != 0 }

// sourceOf returns the NMSG source id of a unit.
func sourceOf(b []byte) uint32 { return binary.LittleEndian.Uint32(b[1:]) }

// readRecord reads what Append wrote. The record borrows b.
func readRecord(b []byte, r *transform.Record) {
	fixed := b[headLen:recordLen]
	zone := recordLen + int(fixed[24])
	*r = transform.Record{
		Server:       netip.AddrPortFrom(netip.AddrFrom16([16]byte(fixed)).Unmap(), 0),
		Forwarded:    b[0]&flagForwarded != 0,
		HasQuery:     b[0]&flagHasQuery != 0,
		HasResponse:  true,
		QueryTime:    transform.NoTime,
		ResponseTime: transform.Time(binary.LittleEndian.Uint64(fixed[16:])),
		Zone:         b[recordLen:zone],
		Response:     b[zone:],
	}
}

// readRRset reads what AppendRRset wrote. The RRset borrows b; a.Rdata is used again.
func readRRset(b []byte, a *rrset.Aggregate) {
	fixed, rest := b[headLen:rrsetLen], b[rrsetLen:]
	a.Event = rrset.Expiration
	a.Type, a.Class = binary.LittleEndian.Uint16(fixed), binary.LittleEndian.Uint16(fixed[2:])
	for i, n := range [...]*uint32{&a.TTL, &a.TimeFirst, &a.TimeLast, &a.Count} {
		*n = binary.LittleEndian.Uint32(fixed[4+4*i:])
	}
	a.Name, rest = cutOctets(rest)
	a.Bailiwick, rest = cutOctets(rest)
	a.Rdata = a.Rdata[:0]
	for len(rest) > 0 {
		var r []byte
		r, rest = cutOctets(rest)
		a.Rdata = append(a.Rdata, r)
	}
}

// cutOctets returns what appendOctets appended at the start of b, and the rest.
func cutOctets(b []byte) (octets, rest []byte) {
	size, n := binary.Uvarint(b)
	end := n + int(size)
	return b[n:end], b[end:]
}
