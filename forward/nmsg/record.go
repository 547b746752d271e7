package nmsg

import (
	"net/netip"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// dnsPort is the port of servers (RFC 1035 section 4.2).
const dnsPort = 53

// endpoints are the addresses of a record, both of the server's family: NMSG readers read
// both in the family of response_ip.
type endpoints struct {
	resolver, server netip.AddrPort
}

// endpointsOf returns the endpoints of a record. The resolver is the zero address if it is
// unknown or has an address of the other family.
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
		resolver, resolverPort = transform.ZeroAddr(server), 0
	}
	return endpoints{resolver: netip.AddrPortFrom(resolver, resolverPort), server: netip.AddrPortFrom(server, port)}
}

func (e *endpoints) v4() bool { return e.server.Addr().Is4() }

func appendAddrField(b []byte, num protowire.Number, a netip.Addr) []byte {
	if a.Is4() {
		a4 := a.As4()
		return append(appendSize(b, num, len(a4)), a4[:]...)
	}
	a16 := a.As16()
	return append(appendSize(b, num, len(a16)), a16[:]...)
}

// split splits a time into seconds, rounded down, and nanoseconds; an unknown time is the
// epoch.
func split(t transform.Time) (sec int64, nsec uint32) {
	if t == transform.NoTime {
		return 0, 0
	}
	const second = 1_000_000_000
	sec = int64(t) / second
	rest := int64(t) % second
	if rest < 0 {
		sec, rest = sec-1, rest+second
	}
	return sec, uint32(rest)
}

// knownTime returns t or, if it is unknown, the time of the record: every query and response
// must have a time.
func knownTime(t transform.Time, r *transform.Record) transform.Time {
	if t != transform.NoTime {
		return t
	}
	return r.Time()
}

// appendTimes appends the time of a query or response: seconds as field num,
// nanoseconds as the next field.
func appendTimes(b []byte, num protowire.Number, t transform.Time) []byte {
	sec, nsec := split(t)
	return appendFixed32(appendNumber(b, num, uint64(sec)), num+1, nsec)
}
