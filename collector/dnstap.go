package collector

import (
	"math"
	"net/netip"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Tags of the fields in dnstap.proto: number and wire type.
const (
	dnstapIdentity = 1<<3 | uint64(protowire.BytesType)
	dnstapVersion  = 2<<3 | uint64(protowire.BytesType)
	dnstapMessage  = 14<<3 | uint64(protowire.BytesType)
	dnstapType     = 15<<3 | uint64(protowire.VarintType)

	messageType             = 1<<3 | uint64(protowire.VarintType)
	messageSocketFamily     = 2<<3 | uint64(protowire.VarintType)
	messageSocketProtocol   = 3<<3 | uint64(protowire.VarintType)
	messageQueryAddress     = 4<<3 | uint64(protowire.BytesType)
	messageResponseAddress  = 5<<3 | uint64(protowire.BytesType)
	messageQueryPort        = 6<<3 | uint64(protowire.VarintType)
	messageResponsePort     = 7<<3 | uint64(protowire.VarintType)
	messageQueryTimeSec     = 8<<3 | uint64(protowire.VarintType)
	messageQueryTimeNsec    = 9<<3 | uint64(protowire.Fixed32Type)
	messageQueryMessage     = 10<<3 | uint64(protowire.BytesType)
	messageQueryZone        = 11<<3 | uint64(protowire.BytesType)
	messageResponseTimeSec  = 12<<3 | uint64(protowire.VarintType)
	messageResponseTimeNsec = 13<<3 | uint64(protowire.Fixed32Type)
	messageResponseMessage  = 14<<3 | uint64(protowire.BytesType)
)

// fields are the fields of a dnstap frame that this package reads. Slices point into the frame,
// and are nil if the field is absent.
type fields struct {
	identity, version   []byte
	kind                dnstap.Dnstap_Type
	hasKind, hasMessage bool

	messageType                   dnstap.Message_Type
	hasType                       bool
	protocol                      dnstap.SocketProtocol
	queryAddress, responseAddress []byte
	queryPort, responsePort       uint32
	queryMessage, responseMessage []byte
	zone                          []byte
	querySec, responseSec         uint64
	hasQuerySec, hasResponseSec   bool
	queryNsec, responseNsec       uint32
}

// decode sets f from a frame, and reports whether the frame is a dnstap.Dnstap with all required
// fields. It accepts the same frames as proto.Unmarshal, with the same result: of several values
// the last is used, several messages are merged, and unknown fields and fields of another wire
// type are skipped.
func (f *fields) decode(frame []byte) bool {
	*f = fields{}
	for b := frame; len(b) > 0; {
		tag, n := uint64(b[0]), 1
		if tag >= 0x80 {
			if tag, n = protowire.ConsumeVarint(b); n < 0 {
				return false
			}
		}
		b = b[n:]
		var v uint64
		var message []byte
		switch tag {
		case dnstapIdentity:
			f.identity, n = byteString(b)
		case dnstapVersion:
			f.version, n = byteString(b)
		case dnstapType:
			v, n = varint(b)
			f.kind, f.hasKind = dnstap.Dnstap_Type(v), true
		case dnstapMessage:
			message, n = byteString(b)
			if n > 0 && !f.decodeMessage(message) {
				return false
			}
			f.hasMessage = true
		default:
			n = skipField(tag, b)
		}
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return f.hasKind && f.hasType == f.hasMessage
}

func (f *fields) decodeMessage(b []byte) bool {
	for len(b) > 0 {
		tag, n := uint64(b[0]), 1
		if tag >= 0x80 {
			if tag, n = protowire.ConsumeVarint(b); n < 0 {
				return false
			}
		}
		b = b[n:]
		var v uint64
		switch tag {
		case messageType:
			v, n = varint(b)
			f.messageType, f.hasType = dnstap.Message_Type(v), true
		case messageSocketFamily: // not needed: an address's length implies it
			_, n = varint(b)
		case messageSocketProtocol:
			v, n = varint(b)
			f.protocol = dnstap.SocketProtocol(v)
		case messageQueryAddress:
			f.queryAddress, n = byteString(b)
		case messageResponseAddress:
			f.responseAddress, n = byteString(b)
		case messageQueryPort:
			v, n = varint(b)
			f.queryPort = uint32(v)
		case messageResponsePort:
			v, n = varint(b)
			f.responsePort = uint32(v)
		case messageQueryTimeSec:
			f.querySec, n = varint(b)
			f.hasQuerySec = true
		case messageQueryTimeNsec:
			f.queryNsec, n = protowire.ConsumeFixed32(b)
		case messageQueryMessage:
			f.queryMessage, n = byteString(b)
		case messageQueryZone:
			f.zone, n = byteString(b)
		case messageResponseTimeSec:
			f.responseSec, n = varint(b)
			f.hasResponseSec = true
		case messageResponseTimeNsec:
			f.responseNsec, n = protowire.ConsumeFixed32(b)
		case messageResponseMessage:
			f.responseMessage, n = byteString(b)
		default:
			n = skipField(tag, b)
		}
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// varint is protowire.ConsumeVarint with a fast path for one byte. n is negative if b does not
// begin with a varint.
func varint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return protowire.ConsumeVarint(b)
}

// byteString is protowire.ConsumeBytes with a fast path for a length of one byte.
func byteString(b []byte) (v []byte, n int) {
	if len(b) == 0 {
		return nil, -1
	}
	size, n := uint64(b[0]), 1
	if size >= 0x80 {
		size, n = protowire.ConsumeVarint(b)
	}
	if n < 0 || size > uint64(len(b)-n) {
		return nil, -1
	}
	end := n + int(size)
	return b[n:end:end], end
}

// skipField returns the length of the value that follows tag, negative if it is invalid. An
// end-group tag without its start is invalid. Package explain parses skipped fields too
// (uncopied.go), to search records for their values.
func skipField(tag uint64, b []byte) int {
	num, typ := tag>>3, protowire.Type(tag&7)
	if num < uint64(protowire.MinValidNumber) || num > uint64(protowire.MaxValidNumber) {
		return -1
	}
	return protowire.ConsumeFieldValue(protowire.Number(num), typ, b)
}

// holdsMessage reports whether the frame is of type MESSAGE, the only one in dnstap.proto.
func (f *fields) holdsMessage() bool {
	return f.hasMessage && f.kind == dnstap.Dnstap_MESSAGE
}

// dnsCryptUDP is a SocketProtocol of dnstap.proto that golang-dnstap's copy does not have.
const dnsCryptUDP dnstap.SocketProtocol = 5

// message sets m from the fields, and reports whether they are a valid message. m borrows from
// the frame. For a message that is not outward it sets only the role, and checks no other field:
// the lane drops it unread.
func (f *fields) message(m *transform.Message) bool {
	*m = transform.Message{QueryTime: transform.NoTime, ResponseTime: transform.NoTime}
	role := roleOf(f.messageType)
	switch role {
	case transform.OtherRole:
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
