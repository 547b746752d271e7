package nmsg

import (
	"fmt"
	"math"
	"net/netip"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Field numbers of base:dnsobs (dnsobs.proto). Those up to RCode are required.
const (
	dnsobsTime protowire.Number = iota + 1
	dnsobsResponseIP
	dnsobsQName
	dnsobsQType
	dnsobsQClass
	dnsobsRCode
	dnsobsResponse
	dnsobsQueryZone
	dnsobsGeoID
	dnsobsSensorID
)

// appendDNSObs appends the record, which has a response, as base:dnsobs.
func appendDNSObs(b []byte, r *transform.Record) []byte {
	sec, _ := split(r.Time())
	b = appendNumber(b, dnsobsTime, uint64(max(sec, 0))) // the field is unsigned
	b = appendAddrField(b, dnsobsResponseIP, r.Server.Addr().Unmap())
	b = append(appendSize(b, dnsobsQName, len(r.Name)), r.Name...)
	b = appendNumber(b, dnsobsQType, uint64(r.Type))
	b = appendNumber(b, dnsobsQClass, uint64(r.Class))
	b = appendNumber(b, dnsobsRCode, uint64(r.Rcode))
	b = appendBytes(b, dnsobsResponse, r.Response)
	return appendBytes(b, dnsobsQueryZone, r.Zone)
}

// Observation is a base:dnsobs message. Byte slices point into the decoded data. An optional
// field is nil if it is absent, and not nil if it is empty.
type Observation struct {
	Time       uint64 // seconds since the Unix epoch
	ResponseIP netip.Addr
	QName      []byte // wire form, uncompressed
	QType      uint32
	QClass     uint32
	RCode      uint32

	Response  []byte // DNS message
	QueryZone []byte // wire form, uncompressed
	GeoID     []byte
	SensorID  *uint32
}

// DecodeDNSObs decodes the data of a base:dnsobs message. It returns an error if a required
// field is missing or an address does not have 4 or 16 bytes.
func DecodeDNSObs(data []byte) (Observation, error) {
	var o Observation
	var seen required
	for len(data) > 0 {
		f, rest, err := nextField(data)
		if err != nil {
			return Observation{}, fmt.Errorf("dnsobs: %w", err)
		}
		data = rest
		if err := o.set(&f, &seen); err != nil {
			return Observation{}, fmt.Errorf("dnsobs: field %d: %w", f.num, err)
		}
	}
	if err := seen.missing(dnsobsRCode); err != nil {
		return Observation{}, fmt.Errorf("dnsobs: %w", err)
	}
	return o, nil
}

func (o *Observation) set(f *field, seen *required) (err error) {
	switch {
	case f.is(dnsobsTime, protowire.VarintType):
		o.Time = f.value
	case f.is(dnsobsResponseIP, protowire.BytesType):
		o.ResponseIP, err = address(f.bytes)
	case f.is(dnsobsQName, protowire.BytesType):
		o.QName = f.bytes
	case f.is(dnsobsQType, protowire.VarintType):
		o.QType = uint32(f.value)
	case f.is(dnsobsQClass, protowire.VarintType):
		o.QClass = uint32(f.value)
	case f.is(dnsobsRCode, protowire.VarintType):
		o.RCode = uint32(f.value)
	case f.is(dnsobsResponse, protowire.BytesType):
		o.Response = f.bytes
	case f.is(dnsobsQueryZone, protowire.BytesType):
		o.QueryZone = f.bytes
	case f.is(dnsobsGeoID, protowire.BytesType):
		o.GeoID = f.bytes
	case f.is(dnsobsSensorID, protowire.Fixed32Type):
		id := uint32(f.value)
		o.SensorID = &id
	default:
		return nil
	}
	seen.saw(f.num)
	return err
}

// fill sets the fields of a record, all but those that its DNS message states. The only time is that
// of the record; the payload may state it more precisely.
func (o *Observation) fill(r *transform.Record, m *Message) error {
	setEndpoints(r, o.ResponseIP, dnsPort, netip.Addr{}, 0)
	if o.Time > math.MaxInt64 {
		return errTime
	}
	sec, nsec := int64(o.Time), uint32(0)
	if sec == m.Sec {
		nsec = m.Nsec
	}
	var ok bool
	if r.ResponseTime, ok = transform.TimeOf(sec, nsec); !ok {
		return errTime
	}
	r.HasResponse, r.Response, r.Zone = true, o.Response, o.QueryZone
	return nil
}
