package nmsg

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// Field numbers of SIE:dnsdedupe (dnsdedupe.proto). All are optional there. dnstable_convert
// requires the name, the type, the bailiwick and rdata.
const (
	dedupeRRName        protowire.Number = 1
	dedupeRRType        protowire.Number = 2
	dedupeRRClass       protowire.Number = 3
	dedupeRRTTL         protowire.Number = 4
	dedupeRData         protowire.Number = 5
	dedupeCount         protowire.Number = 10
	dedupeTimeFirst     protowire.Number = 11
	dedupeTimeLast      protowire.Number = 12
	dedupeType          protowire.Number = 13
	dedupeResponseIP    protowire.Number = 14
	dedupeResponse      protowire.Number = 15
	dedupeBailiwick     protowire.Number = 16
	dedupeZoneTimeFirst protowire.Number = 17
	dedupeZoneTimeLast  protowire.Number = 18
)

// DedupeType is the type field of a SIE:dnsdedupe message.
type DedupeType uint32

// The types that occur. Counts of insertions are contained in those of expirations.
const (
	DedupeInsertion           DedupeType = 0 // an RRset was seen for the first time in a window
	DedupeExpiration          DedupeType = 1 // the window has ended
	DedupeChaff               DedupeType = 2 // out of bailiwick
	DedupeAuthoritative       DedupeType = 3 // from a zone file
	DedupeMerged              DedupeType = 4 // several expirations
	DedupeMergedAuthoritative DedupeType = 5
	DedupeMergedInsertion     DedupeType = 6
)

// String returns the name that nmsgtool prints, or the number of an unknown type.
func (t DedupeType) String() string {
	switch t {
	case DedupeInsertion:
		return "INSERTION"
	case DedupeExpiration:
		return "EXPIRATION"
	case DedupeChaff:
		return "CHAFF"
	case DedupeAuthoritative:
		return "AUTHORITATIVE"
	case DedupeMerged:
		return "MERGED"
	case DedupeMergedAuthoritative:
		return "MERGED_AUTHORITATIVE"
	case DedupeMergedInsertion:
		return "MERGED_INSERTION"
	}
	return strconv.FormatUint(uint64(t), 10)
}

// AppendDNSDedupe appends an aggregate, encoded as one NmsgPayload of type SIE:dnsdedupe, to b.
// Payload.Bytes points to the appended bytes. The time of the payload is time_last, so that the
// same aggregate has the same octets at any time. It returns ErrTooBig, and b as it was, if no
// container has room for the payload.
func AppendDNSDedupe(b []byte, ids IDs, a *rrset.Aggregate) ([]byte, Payload, error) {
	start := len(b)
	b, data := openPayload(b, VendorSIE, NumberDNSDedupe, int64(a.TimeLast), 0)
	b = appendDedupe(b, a)
	b, p := closePayload(b, start, data, ids)
	if headerLen+len(p.Bytes)+maxOverhead > MaxSize {
		return b[:start], Payload{}, ErrTooBig
	}
	return b, p, nil
}

func appendDedupe(b []byte, a *rrset.Aggregate) []byte {
	b = append(appendSize(b, dedupeRRName, len(a.Name)), a.Name...)
	b = appendNumber(b, dedupeRRType, uint64(a.Type))
	b = appendNumber(b, dedupeRRClass, uint64(a.Class))
	b = appendNumber(b, dedupeRRTTL, uint64(a.TTL))
	for _, r := range a.Rdata {
		b = append(appendSize(b, dedupeRData, len(r)), r...)
	}
	b = appendNumber(b, dedupeCount, uint64(a.Count))
	b = appendNumber(b, dedupeTimeFirst, uint64(a.TimeFirst))
	b = appendNumber(b, dedupeTimeLast, uint64(a.TimeLast))
	typ := DedupeExpiration
	if a.Event == rrset.Insertion {
		typ = DedupeInsertion
	}
	b = appendNumber(b, dedupeType, uint64(typ))
	return append(appendSize(b, dedupeBailiwick, len(a.Bailiwick)), a.Bailiwick...)
}

// Dedupe is a SIE:dnsdedupe message. Byte slices point into the decoded data. An optional field
// is nil if it is absent, and not nil if it is empty.
type Dedupe struct {
	Type  DedupeType // INSERTION if absent, as readers of the schema see it
	Typed bool       // Type is present
	Count *uint64

	// Seconds since the Unix epoch.
	TimeFirst, TimeLast         *uint32 // in responses
	ZoneTimeFirst, ZoneTimeLast *uint32 // in zone files

	ResponseIP netip.Addr // invalid if absent
	Bailiwick  []byte     // wire form, uncompressed
	RRName     []byte     // the same
	RRClass    *uint32
	RRType     *uint32
	RRTTL      *uint32
	RData      [][]byte
	Response   []byte // DNS message
}

// DecodeDNSDedupe decodes the data of a SIE:dnsdedupe message. It returns an error if the data is
// not protobuf, or the address does not have 4 or 16 bytes.
func DecodeDNSDedupe(data []byte) (Dedupe, error) {
	var d dedupeDecoder
	if err := d.decode(data); err != nil {
		return Dedupe{}, err
	}
	return d.Dedupe, nil
}

// A dedupeDecoder decodes SIE:dnsdedupe messages one after another and reuses its memory: the
// optional numbers of the Dedupe point into it.
type dedupeDecoder struct {
	Dedupe
	count                                                    uint64
	first, last, zoneFirst, zoneLast, rrtype, rrclass, rrttl uint32
}

// maxReusedRData is the capacity of a list of rdata that is kept for the next message.
const maxReusedRData = 4096

func (d *dedupeDecoder) decode(data []byte) error {
	rdata := d.RData[:0]
	if cap(rdata) > maxReusedRData {
		rdata = nil
	}
	d.Dedupe = Dedupe{RData: rdata}
	for len(data) > 0 {
		f, rest, err := nextField(data)
		if err != nil {
			return fmt.Errorf("dnsdedupe: %w", err)
		}
		data = rest
		switch f.typ {
		case protowire.VarintType:
			d.setVarint(&f)
		case protowire.BytesType:
			err = d.setBytes(&f)
		}
		if err != nil {
			return fmt.Errorf("dnsdedupe: field %d: %w", f.num, err)
		}
	}
	return nil
}

func (d *dedupeDecoder) setVarint(f *field) {
	v := uint32(f.value)
	switch f.num {
	case dedupeType:
		d.Type, d.Typed = DedupeType(v), true
	case dedupeCount:
		d.count, d.Count = f.value, &d.count
	case dedupeTimeFirst:
		d.first, d.TimeFirst = v, &d.first
	case dedupeTimeLast:
		d.last, d.TimeLast = v, &d.last
	case dedupeZoneTimeFirst:
		d.zoneFirst, d.ZoneTimeFirst = v, &d.zoneFirst
	case dedupeZoneTimeLast:
		d.zoneLast, d.ZoneTimeLast = v, &d.zoneLast
	case dedupeRRType:
		d.rrtype, d.RRType = v, &d.rrtype
	case dedupeRRClass:
		d.rrclass, d.RRClass = v, &d.rrclass
	case dedupeRRTTL:
		d.rrttl, d.RRTTL = v, &d.rrttl
	}
}

func (d *dedupeDecoder) setBytes(f *field) (err error) {
	switch f.num {
	case dedupeRRName:
		d.RRName = f.bytes
	case dedupeRData:
		d.RData = append(d.RData, f.bytes)
	case dedupeResponseIP:
		d.ResponseIP, err = address(f.bytes)
	case dedupeResponse:
		d.Response = f.bytes
	case dedupeBailiwick:
		d.Bailiwick = f.bytes
	}
	return err
}

// Aggregate returns the message for a table of RRsets that merges it. An insertion counts 0,
// because an expiration will count its sightings again. ok is false if the message lacks a number
// or has one that is too big, or is not about sightings in responses. The table checks the names and the rdata.
func (d *Dedupe) Aggregate() (a rrset.Aggregate, ok bool) {
	if d.RRType == nil || d.RRClass == nil || d.RRTTL == nil || d.TimeFirst == nil || d.TimeLast == nil ||
		*d.RRType > math.MaxUint16 || *d.RRClass > math.MaxUint16 {
		return a, false
	}
	switch d.Type {
	case DedupeInsertion, DedupeMergedInsertion:
		a.Event = rrset.Insertion
	case DedupeExpiration, DedupeMerged:
		a.Event = rrset.Expiration
		if d.Count != nil {
			a.Count = uint32(min(*d.Count, math.MaxUint32))
		}
	default:
		return a, false
	}
	a.RRset = rrset.RRset{Name: d.RRName, Type: uint16(*d.RRType), Class: uint16(*d.RRClass), TTL: *d.RRTTL,
		Bailiwick: d.Bailiwick, Rdata: d.RData}
	a.TimeFirst, a.TimeLast = *d.TimeFirst, *d.TimeLast
	return a, true
}
