package collector

import (
	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/encoding/protowire"
)

// Tags of dnstap.proto's fields: number and wire type.
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

// fields are those of a dnstap frame that are read here. Slices point into the
// frame and are nil where the field is absent.
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

// decode takes a frame apart, and reports whether it is a dnstap.Dnstap with all
// its required fields: exactly when proto.Unmarshal says so, and with the same
// result. The last of several values counts, several messages merge into one, and
// what is unknown or has another wire type than it should is skipped.
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
		case messageSocketFamily: // an address's length says as much
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

// varint is protowire.ConsumeVarint with a short way for one byte: n is negative
// where b holds none.
func varint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return protowire.ConsumeVarint(b)
}

// byteString is protowire.ConsumeBytes: a length and as many bytes.
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

// skipField returns the length of a field's value behind its tag, negative where
// there is no such field. The end of a group that never began is none.
func skipField(tag uint64, b []byte) int {
	num, typ := tag>>3, protowire.Type(tag&7)
	if num < uint64(protowire.MinValidNumber) || num > uint64(protowire.MaxValidNumber) {
		return -1
	}
	return protowire.ConsumeFieldValue(protowire.Number(num), typ, b)
}

// holdsMessage reports whether the frame is of the one kind of dnstap frame there is.
func (f *fields) holdsMessage() bool {
	return f.hasMessage && f.kind == dnstap.Dnstap_MESSAGE
}
