package nmsg

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Field numbers of base:dnstap, which is a Dnstap (dnstap.proto). The sensor never sends
// identity, version and extra.
const (
	dnstapMessage protowire.Number = 14
	dnstapType    protowire.Number = 15
)

// Field numbers of a Dnstap's Message.
const (
	tapType protowire.Number = iota + 1
	tapSocketFamily
	tapSocketProtocol
	tapQueryAddress
	tapResponseAddress
	tapQueryPort
	tapResponsePort
	tapQueryTimeSec
	tapQueryTimeNsec
	tapQueryMessage
	tapQueryZone
	tapResponseTimeSec
	tapResponseTimeNsec
	tapResponseMessage
)

// Values of dnstap.proto's enums.
const (
	dnstapIsMessage = 1 // Dnstap.Type

	tapResolverQuery    = 3 // Message.Type
	tapResolverResponse = 4

	tapINET  = 1 // SocketFamily
	tapINET6 = 2

	tapUDP = 1 // SocketProtocol
	tapTCP = 2
)

// appendDNSTap appends the record as base:dnstap, like the dnstap of a resolver.
func appendDNSTap(b []byte, r *transform.Record) []byte {
	b, message := openMessage(b, dnstapMessage)
	b = appendTap(b, r)
	b = setLength(b, message)
	return appendNumber(b, dnstapType, dnstapIsMessage)
}

// appendTap appends a Dnstap's Message: the response, or the query if it was not answered.
// A response is written without its query, because nmsgtool would print the rcode of the
// query.
func appendTap(b []byte, r *transform.Record) []byte {
	e := endpointsOf(r)
	kind, family := uint64(tapResolverQuery), uint64(tapINET6)
	if r.HasResponse {
		kind = tapResolverResponse
	}
	if e.v4() {
		family = tapINET
	}
	b = appendNumber(b, tapType, kind)
	b = appendNumber(b, tapSocketFamily, family)
	b = appendNumber(b, tapSocketProtocol, socketProtocol(r.Transport))
	b = appendAddrField(b, tapQueryAddress, e.resolver.Addr())
	b = appendAddrField(b, tapResponseAddress, e.server.Addr())
	b = appendNumber(b, tapQueryPort, uint64(e.resolver.Port()))
	b = appendNumber(b, tapResponsePort, uint64(e.server.Port()))
	if r.QueryTime != transform.NoTime {
		b = appendTimes(b, tapQueryTimeSec, unsigned(r.QueryTime))
	}
	if !r.HasResponse {
		b = append(appendSize(b, tapQueryMessage, len(r.Query)), r.Query...)
	}
	b = appendBytes(b, tapQueryZone, r.Zone)
	if r.HasResponse {
		b = appendTimes(b, tapResponseTimeSec, unsigned(knownTime(r.ResponseTime, r)))
		b = append(appendSize(b, tapResponseMessage, len(r.Response)), r.Response...)
	}
	return b
}

// socketProtocol returns TCP for encrypted transports: nmsgtool fails on the protocols that
// were added to dnstap.proto later. DoT, DoH and this DNSCrypt use TCP. DoQ (RFC 9250) is
// similar: its messages are whole, and their source address is not forged.
func socketProtocol(t transform.Transport) uint64 {
	if t == transform.UDP {
		return tapUDP
	}
	return tapTCP
}

// unsigned returns the epoch for an unknown time or a time before 1970, because the fields
// of dnstap have no sign.
func unsigned(t transform.Time) transform.Time { return max(t, 0) }
