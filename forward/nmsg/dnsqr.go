package nmsg

import (
	"net/netip"

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

const dnsPort = 53

// appendDNSQR appends the record as base:dnsqr. What travelled over TCP is
// written as UDP too: readers decode nothing else.
func appendDNSQR(b []byte, r *transform.Record) ([]byte, error) {
	e := endpointsOf(r)
	if len(r.Query) > e.maxMessage() || len(r.Response) > e.maxMessage() {
		return b, ErrTooBig
	}
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
	return b, nil
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

// endpointsOf returns the record's ends as dnsqr wants them. A resolver that is
// not known, or is told in the other family, is the zero address.
func endpointsOf(r *transform.Record) endpoints {
	server, resolver := r.Server.Addr().Unmap(), r.Resolver.Addr().Unmap()
	port, resolverPort := r.Server.Port(), r.Resolver.Port()
	if port == 0 {
		port = dnsPort
	}
	if !server.IsValid() {
		server = netip.IPv6Unspecified()
	}
	if !resolver.IsValid() || resolver.Is4() != server.Is4() {
		resolver, resolverPort = zeroAddr(server), 0
	}
	return endpoints{resolver: netip.AddrPortFrom(resolver, resolverPort), server: netip.AddrPortFrom(server, port)}
}

func zeroAddr(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// knownTime stands in for the time of a packet that is there but was not told:
// each packet has to have one.
func knownTime(t transform.Time, r *transform.Record) transform.Time {
	if t != transform.NoTime {
		return t
	}
	return r.Time()
}

// appendTimes appends a packet's time: seconds as field num, nanoseconds as the
// one behind it.
func appendTimes(b []byte, num protowire.Number, t transform.Time) []byte {
	sec, nsec := split(t)
	return appendFixed32(appendNumber(b, num, uint64(sec)), num+1, nsec)
}
