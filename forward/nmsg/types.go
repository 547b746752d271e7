package nmsg

import (
	"fmt"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// MessageType is an NMSG message type that records can be written as.
type MessageType uint8

const (
	DNSQR  MessageType = iota // base:dnsqr
	DNSObs                    // base:dnsobs
	DNSTap                    // base:dnstap
	numTypes
)

// Vendor and message type numbers, from nmsg's base and SIE modules.
const (
	VendorBase = 1
	VendorSIE  = 2

	NumberDNSQR  = 9
	NumberDNSTap = 13
	NumberDNSObs = 14

	NumberDNSDedupe = 1 // within VendorSIE
)

// maxMessage is the length in bytes of the longest DNS message: its length over TCP has 16
// bits (RFC 1035 section 4.2.2).
const maxMessage = 1<<16 - 1

// types is the table of message types.
var types = [numTypes]struct {
	name             string // as nmsgtool writes it, without the vendor
	number           uint32 // of the type, within VendorBase
	maxIPv4, maxIPv6 int    // bytes of a DNS message at most, by the server's family
	unanswered       bool   // the type can represent a query without a response
	append           func(b []byte, r *transform.Record) []byte
}{
	DNSQR:  {"dnsqr", NumberDNSQR, maxPacketIPv4, maxPacketIPv6, true, appendDNSQR},
	DNSObs: {"dnsobs", NumberDNSObs, maxMessage, maxMessage, false, appendDNSObs}, // its rcode is required
	DNSTap: {"dnstap", NumberDNSTap, maxMessage, maxMessage, true, appendDNSTap},
}

// MessageTypes lists every type in order, for usage texts and documentation.
func MessageTypes() []MessageType {
	all := make([]MessageType, numTypes)
	for i := range all {
		all[i] = MessageType(i)
	}
	return all
}

// ParseMessageType returns the type of that name.
func ParseMessageType(name string) (MessageType, error) {
	for i := range types {
		if types[i].name == name {
			return MessageType(i), nil
		}
	}
	return 0, fmt.Errorf("unknown message type %q", name)
}

// String returns the type's name as nmsgtool writes it, without the vendor.
func (t MessageType) String() string { return types[t].name }

// Accepts reports whether the type can represent the record: dnsobs cannot represent a query
// without a response.
func (t MessageType) Accepts(r *transform.Record) bool {
	return r.HasResponse || r.HasQuery && types[t].unanswered
}

// carries reports whether the record's messages are short enough for the type.
func (t MessageType) carries(r *transform.Record) bool {
	limit := types[t].maxIPv6
	if r.Server.Addr().Unmap().Is4() {
		limit = types[t].maxIPv4
	}
	return len(r.Query) <= limit && len(r.Response) <= limit
}

// IDs label the payloads of one sensor. A zero id is omitted.
type IDs struct {
	Source, Operator, Group uint32
}

// Payload is a record encoded as one NmsgPayload, ready for a container.
type Payload struct {
	Bytes []byte // the NmsgPayload message, without the field tag that a container puts before it
	CRC   uint32 // CRC-32C of the message inside (field 5), not yet byte-swapped
}

// Message is one payload that was read. Data is valid until the next call of the reader.
type Message struct {
	Vendor, Type            uint32
	Sec                     int64
	Nsec                    uint32
	Source, Operator, Group uint32
	Data                    []byte // the message itself: field 5
}

// IDs returns the ids of the message.
func (m *Message) IDs() IDs { return IDs{Source: m.Source, Operator: m.Operator, Group: m.Group} }

// Name returns the names of the message's vendor and type in nmsgtool, as in base:dnsqr; ok
// is false if this package does not know the type.
func (m *Message) Name() (vendor, name string, ok bool) {
	if m.Vendor == VendorSIE && m.Type == NumberDNSDedupe {
		return "SIE", "dnsdedupe", true
	}
	if m.Vendor != VendorBase {
		return "", "", false
	}
	for i := range types {
		if types[i].number == m.Type {
			return "base", types[i].name, true
		}
	}
	return "", "", false
}
