package nmsg

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Field numbers of base:dnsqr (dnsqr.proto). Those up to ID are required.
const (
	dnsqrType protowire.Number = iota + 1
	dnsqrQueryIP
	dnsqrResponseIP
	dnsqrProto
	dnsqrQueryPort
	dnsqrResponsePort
	dnsqrID
	dnsqrQName
	dnsqrQType
	dnsqrQClass
	dnsqrRCode
	dnsqrQueryPacket
	dnsqrQueryTimeSec
	dnsqrQueryTimeNsec
	dnsqrResponsePacket
	dnsqrResponseTimeSec
	dnsqrResponseTimeNsec
	dnsqrTCP
	dnsqrICMP
	dnsqrTimeout
	dnsqrUDPChecksum
	dnsqrResolverAddressZeroed
)

// appendDNSQR appends the record as base:dnsqr. What travelled over TCP is
// written as UDP too: readers decode nothing else.
func appendDNSQR(b []byte, r *transform.Record) []byte {
	e := endpointsOf(r)
	b = appendNumber(b, dnsqrType, uint64(queryResponseType(r)))
	b = appendAddrField(b, dnsqrQueryIP, e.resolver.Addr())
	b = appendAddrField(b, dnsqrResponseIP, e.server.Addr())
	b = appendNumber(b, dnsqrProto, protoUDP)
	b = appendNumber(b, dnsqrQueryPort, uint64(e.resolver.Port()))
	b = appendNumber(b, dnsqrResponsePort, uint64(e.server.Port()))
	b = appendNumber(b, dnsqrID, uint64(r.ID))
	b = appendBytes(b, dnsqrQName, r.Name)
	b = appendNumber(b, dnsqrQType, uint64(r.Type))
	b = appendNumber(b, dnsqrQClass, uint64(r.Class))
	if r.Answered {
		b = appendNumber(b, dnsqrRCode, uint64(r.Rcode))
	}
	if r.Asked {
		b = appendSize(b, dnsqrQueryPacket, e.packetLen(r.Query))
		b = appendPacket(b, e.resolver, e.server, r.Query)
		b = appendTimes(b, dnsqrQueryTimeSec, knownTime(r.QueryTime, r))
	}
	if r.Answered {
		b = appendSize(b, dnsqrResponsePacket, e.packetLen(r.Response))
		b = appendPacket(b, e.server, e.resolver, r.Response)
		b = appendTimes(b, dnsqrResponseTimeSec, knownTime(r.ResponseTime, r))
		b = appendNumber(b, dnsqrUDPChecksum, uint64(ChecksumAbsent))
	}
	if r.Zeroed {
		b = appendNumber(b, dnsqrResolverAddressZeroed, 1)
	}
	return b
}

func queryResponseType(r *transform.Record) QueryResponseType {
	switch {
	case !r.Answered:
		return UDPUnansweredQuery
	case !r.Asked:
		return UDPResponseOnly
	default:
		return UDPQueryResponse
	}
}
