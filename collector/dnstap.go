package collector

import (
	"math"
	"net/netip"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// dnsCryptUDP is a SocketProtocol of dnstap.proto that golang-dnstap's copy does not have.
const dnsCryptUDP dnstap.SocketProtocol = 5

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
		return transform.OtherRole
	}
}

// transportOf returns the transport of a protocol: UDP if p is 0, because the field is absent.
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

// endpoint sets e, and reports whether address and port are valid.
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

// instant sets t, and reports whether the time is in range.
func instant(t *transform.Time, sec uint64, nsec uint32) bool {
	const second = uint64(time.Second)
	if sec > math.MaxInt64/second || uint64(nsec) >= second {
		return false
	}
	ns := sec*second + uint64(nsec)
	*t = transform.Time(ns)
	return ns <= math.MaxInt64
}
