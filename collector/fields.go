package collector

import (
	"bytes"
	"net/netip"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Tags of the fields in dnstap.proto: number and wire type. Each is one octet on the wire.
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

// fields are the fields of a dnstap frame that this package reads.
type fields struct {
	frame             []byte
	identity, version span
	names             int  // octets of identity and version with which the frame begins
	newNames          bool // identity or version may have changed since the last account.note
	kind              dnstap.Dnstap_Type
	hasKind           bool
	hasMessage        bool
	hasType           bool
	messageType       dnstap.Message_Type

	messageFields // of an earlier frame if decode did not read the message
}

// messageFields are the fields of a dnstap.Message, except for its type.
type messageFields struct {
	hasQuerySec, hasResponseSec   bool
	protocol                      dnstap.SocketProtocol
	queryAddress, responseAddress span
	queryPort, responsePort       uint32
	queryMessage, responseMessage span
	zone                          span
	querySec, responseSec         uint64
	queryNsec, responseNsec       uint32
}

// A span is the position of a value in the frame. It is zero if the field is absent: no value
// begins at 0, because a tag precedes it.
type span struct{ begin, end uint32 }

// bytes returns the value at s, which points into the frame; nil if the field is absent.
func (f *fields) bytes(s span) []byte {
	if s.end == 0 {
		return nil
	}
	return f.frame[s.begin:s.end:s.end]
}

// decode sets f from a frame, and reports whether the frame is a dnstap.Dnstap with all required
// fields. It accepts the same frames as proto.Unmarshal, with the same result: of several values
// the last is used, several messages are merged, and unknown fields and fields of another wire
// type are skipped.
//
// There is one difference. Resolvers send many messages that are not outward. If such a message
// is the only one of its frame and begins with its type, decode reads nothing after the type: another type
// there has no effect, and the rest may be invalid.
func (f *fields) decode(frame []byte) bool {
	f.kind, f.hasKind, f.hasMessage, f.hasType, f.messageType = 0, false, false, false, 0
	f.readNames(frame)
	message, i := f.envelope(frame)
	if i == len(frame) && f.hasKind && f.beginsNotOutward(message) {
		return true
	}
	f.messageFields = messageFields{}
	if f.hasMessage && !f.decodeMessage(message) {
		return false
	}
	for i < len(frame) {
		if i = f.outerField(frame, i); i < 0 {
			return false
		}
	}
	return f.hasKind && f.hasType == f.hasMessage
}

// readNames sets f.frame, and reads identity and version if the frame begins with them. Usually it
// begins with the same octets as the frame before.
func (f *fields) readNames(frame []byte) {
	before := f.frame[:f.names]
	f.frame = frame
	if len(before) > 0 && bytes.HasPrefix(frame, before) {
		return
	}
	f.identity, f.version, f.names, f.newNames = span{}, span{}, 0, true
	if s, n := expectBytes(frame, 0, dnstapIdentity); n > 0 {
		f.identity, f.names = s, n
	}
	if s, n := expectBytes(frame, f.names, dnstapVersion); n > f.names {
		f.version, f.names = s, n
	}
}

// envelope reads the fields after the names that are in the orders in which resolvers write them.
// It returns the message, which it does not read, and the offset after these fields.
func (f *fields) envelope(b []byte) (message span, i int) {
	i = f.names
	if v, n := expectSmall(b, i, dnstapType); n > i { // PowerDNS
		f.kind, f.hasKind, i = dnstap.Dnstap_Type(v), true, n
	}
	if s, n := expectBytes(b, i, dnstapMessage); n > i {
		message, f.hasMessage, i = s, true, n
	}
	if v, n := expectSmall(b, i, dnstapType); n > i {
		f.kind, f.hasKind, i = dnstap.Dnstap_Type(v), true, n
	}
	return message, i
}

// beginsNotOutward reports whether a message begins with a type that is not outward, and then sets
// that type.
func (f *fields) beginsNotOutward(message span) bool {
	v, n := expectSmall(f.frame[:message.end], int(message.begin), messageType)
	if n == int(message.begin) || roleOf(dnstap.Message_Type(v)) != transform.OtherRole {
		return false
	}
	f.messageType, f.hasType = dnstap.Message_Type(v), true
	return true
}

// outerField reads any one field of a frame at i, and returns the offset after it, negative if it
// is invalid.
func (f *fields) outerField(frame []byte, i int) (end int) {
	tag, at := varintAt(frame, i)
	if at < 0 {
		return -1
	}
	var v uint64
	switch tag {
	case dnstapIdentity:
		f.identity, end = bytesAt(frame, at)
		f.names, f.newNames = 0, true
	case dnstapVersion:
		f.version, end = bytesAt(frame, at)
		f.names, f.newNames = 0, true
	case dnstapType:
		v, end = varintAt(frame, at)
		f.kind, f.hasKind = dnstap.Dnstap_Type(v), true
	case dnstapMessage:
		var message span
		message, end = bytesAt(frame, at)
		if end > 0 && !f.decodeMessage(message) {
			return -1
		}
		f.hasMessage = true
	default:
		end = skipField(tag, frame, at)
	}
	return end
}

func (f *fields) decodeMessage(message span) bool {
	b := f.frame[:message.end]
	for i := int(message.begin); i < len(b); {
		if i = f.expected(b, i); i == len(b) {
			break
		}
		if i = f.field(b, i); i < 0 {
			return false
		}
	}
	return true
}

// expected reads the fields from i on that are in the order in which resolvers write them, and of
// the lengths that are usual, and returns the offset after them. Each field may be absent. It is
// only faster than field.
func (f *fields) expected(b []byte, i int) int {
	if v, n := expectSmall(b, i, messageType); n > i {
		f.messageType, f.hasType, i = dnstap.Message_Type(v), true, n
	}
	if v, n := expectSmall(b, i, messageSocketProtocol); n > i { // PowerDNS
		f.protocol, i = dnstap.SocketProtocol(v), n
	}
	if _, n := expectSmall(b, i, messageSocketFamily); n > i {
		i = n
	}
	if v, n := expectSmall(b, i, messageSocketProtocol); n > i {
		f.protocol, i = dnstap.SocketProtocol(v), n
	}
	if s, n := expectBytes(b, i, messageQueryAddress); n > i {
		f.queryAddress, i = s, n
	}
	if v, n := expectVarint(b, i, messageQueryPort); n > i { // PowerDNS
		f.queryPort, i = uint32(v), n
	}
	if s, n := expectBytes(b, i, messageResponseAddress); n > i {
		f.responseAddress, i = s, n
	}
	if v, n := expectVarint(b, i, messageQueryPort); n > i {
		f.queryPort, i = uint32(v), n
	}
	if v, n := expectVarint(b, i, messageResponsePort); n > i {
		f.responsePort, i = uint32(v), n
	}
	if v, n := expectVarint(b, i, messageQueryTimeSec); n > i {
		f.querySec, f.hasQuerySec, i = v, true, n
	}
	if v, n := expectFixed32(b, i, messageQueryTimeNsec); n > i {
		f.queryNsec, i = v, n
	}
	if s, n := expectBytes(b, i, messageQueryMessage); n > i {
		f.queryMessage, i = s, n
	}
	if s, n := expectBytes(b, i, messageQueryZone); n > i {
		f.zone, i = s, n
	}
	if v, n := expectVarint(b, i, messageResponseTimeSec); n > i {
		f.responseSec, f.hasResponseSec, i = v, true, n
	}
	if v, n := expectFixed32(b, i, messageResponseTimeNsec); n > i {
		f.responseNsec, i = v, n
	}
	if s, n := expectBytes(b, i, messageResponseMessage); n > i {
		f.responseMessage, i = s, n
	}
	if s, n := expectBytes(b, i, messageQueryZone); n > i { // PowerDNS
		f.zone, i = s, n
	}
	return i
}

// field reads any one field at i, and returns the offset after it, negative if it is invalid.
func (f *fields) field(b []byte, i int) (end int) {
	tag, at := varintAt(b, i)
	if at < 0 {
		return -1
	}
	var v uint64
	switch tag {
	case messageType:
		v, end = varintAt(b, at)
		f.messageType, f.hasType = dnstap.Message_Type(v), true
	case messageSocketFamily: // not needed: an address's length implies it
		_, end = varintAt(b, at)
	case messageSocketProtocol:
		v, end = varintAt(b, at)
		f.protocol = dnstap.SocketProtocol(v)
	case messageQueryAddress:
		f.queryAddress, end = bytesAt(b, at)
	case messageResponseAddress:
		f.responseAddress, end = bytesAt(b, at)
	case messageQueryPort:
		v, end = varintAt(b, at)
		f.queryPort = uint32(v)
	case messageResponsePort:
		v, end = varintAt(b, at)
		f.responsePort = uint32(v)
	case messageQueryTimeSec:
		f.querySec, end = varintAt(b, at)
		f.hasQuerySec = true
	case messageQueryTimeNsec:
		f.queryNsec, end = fixed32At(b, at)
	case messageQueryMessage:
		f.queryMessage, end = bytesAt(b, at)
	case messageQueryZone:
		f.zone, end = bytesAt(b, at)
	case messageResponseTimeSec:
		f.responseSec, end = varintAt(b, at)
		f.hasResponseSec = true
	case messageResponseTimeNsec:
		f.responseNsec, end = fixed32At(b, at)
	case messageResponseMessage:
		f.responseMessage, end = bytesAt(b, at)
	default:
		end = skipField(tag, b, at)
	}
	return end
}

// holdsMessage reports whether the frame is of type MESSAGE, the only one in dnstap.proto.
func (f *fields) holdsMessage() bool {
	return f.hasMessage && f.kind == dnstap.Dnstap_MESSAGE
}

// message sets m from the fields, and reports whether they are a valid message. m borrows from
// the frame. Of a message that is not outward it reads only the role, and checks no other field:
// the lane drops it unread.
func (f *fields) message(m *transform.Message) bool {
	m.Role = roleOf(f.messageType)
	m.QueryTime, m.ResponseTime = transform.NoTime, transform.NoTime
	switch m.Role {
	case transform.OtherRole:
		*m = transform.Message{QueryTime: transform.NoTime, ResponseTime: transform.NoTime}
		return true
	case transform.ResolverQuery, transform.ForwarderQuery:
		m.Wire = f.bytes(f.queryMessage)
	default:
		m.Wire = f.bytes(f.responseMessage)
		if f.hasResponseSec && !instant(&m.ResponseTime, f.responseSec, f.responseNsec) {
			return false
		}
	}
	m.Transport, m.Zone, m.Resolver = transportOf(f.protocol), f.bytes(f.zone), netip.AddrPort{}
	return len(m.Wire) > 0 &&
		endpoint(&m.Server, f.bytes(f.responseAddress), f.responsePort) &&
		(f.queryAddress == span{} || endpoint(&m.Resolver, f.bytes(f.queryAddress), f.queryPort)) &&
		(!f.hasQuerySec || instant(&m.QueryTime, f.querySec, f.queryNsec))
}
