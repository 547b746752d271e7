package collector

import (
	"math"
	"net/netip"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// dnsCryptUDP is a SocketProtocol of dnstap.proto that golang-dnstap's copy of it
// does not have yet.
const dnsCryptUDP dnstap.SocketProtocol = 5

// message fills m with what the fields say, and reports whether they make a
// message; m borrows from the frame. A message that is not outward holds nothing
// but that: it need not name a server, and nobody reads it further.
func (f *fields) message(m *transform.Message) bool {
	*m = transform.Message{QueryTime: transform.NoTime, ResponseTime: transform.NoTime}
	role := roleOf(f.messageType)
	switch role {
	case transform.NotOutward:
		return true
	case transform.ResolverQuery, transform.ForwarderQuery:
		m.Wire = f.queryMessage
	default:
		m.Wire = f.responseMessage
		if f.hasResponseSec && !instant(&m.ResponseTime, f.responseSec, f.responseNsec) {
			return false
		}
	}
	if len(m.Wire) == 0 ||
		!endpoint(&m.Server, f.responseAddress, f.responsePort) ||
		f.queryAddress != nil && !endpoint(&m.Resolver, f.queryAddress, f.queryPort) ||
		f.hasQuerySec && !instant(&m.QueryTime, f.querySec, f.queryNsec) {
		return false
	}
	m.Role, m.Transport, m.Zone = role, transportOf(f.protocol), f.zone
	return true
}

func roleOf(t dnstap.Message_Type) transform.Role {
	switch t {
	case dnstap.Message_RESOLVER_QUERY:
		return transform.ResolverQuery
	case dnstap.Message_RESOLVER_RESPONSE:
		return transform.ResolverResponse
	case dnstap.Message_FORWARDER_QUERY:
		return transform.ForwarderQuery
	case dnstap.Message_FORWARDER_RESPONSE:
		return transform.ForwarderResponse
	default:
		return transform.NotOutward
	}
}

// transportOf takes a message without a protocol for UDP, as most are.
func transportOf(p dnstap.SocketProtocol) transform.Transport {
	switch p {
	case 0, dnstap.SocketProtocol_UDP, dnsCryptUDP:
		return transform.UDP
	case dnstap.SocketProtocol_TCP:
		return transform.TCP
	default:
		return transform.Encrypted
	}
}

func endpoint(e *netip.AddrPort, address []byte, port uint32) bool {
	var a netip.Addr
	switch len(address) {
	case 4:
		a = netip.AddrFrom4([4]byte(address))
	case 16:
		a = netip.AddrFrom16([16]byte(address)).Unmap()
	default:
		return false
	}
	*e = netip.AddrPortFrom(a, uint16(port))
	return port <= math.MaxUint16
}

func instant(t *transform.Time, sec uint64, nsec uint32) bool {
	const second = uint64(time.Second)
	if sec > math.MaxInt64/second || uint64(nsec) >= second {
		return false
	}
	ns := sec*second + uint64(nsec)
	*t = transform.Time(ns)
	return ns <= math.MaxInt64
}
