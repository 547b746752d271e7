package nmsg

import (
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

// appendDNSObs appends the record, which is Answered, as base:dnsobs.
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
