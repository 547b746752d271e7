package nmsg

import "fmt"

// MessageType is an NMSG message type that records can be written as.
type MessageType uint8

const (
	DNSQR  MessageType = iota // base:dnsqr
	DNSObs                    // base:dnsobs
	numTypes
)

// Vendor and message type numbers, from nmsg's base and SIE modules.
const (
	VendorBase = 1
	VendorSIE  = 2

	NumberDNSQR  = 9
	NumberDNSTap = 13
	NumberDNSObs = 14
)

var typeNames = [numTypes]string{DNSQR: "dnsqr", DNSObs: "dnsobs"}

// ParseMessageType returns the type of that name.
func ParseMessageType(name string) (MessageType, error) {
	for t, n := range typeNames {
		if n == name {
			return MessageType(t), nil
		}
	}
	return 0, fmt.Errorf("unknown message type %q", name)
}

// String returns the type's name as nmsgtool writes it, without the vendor.
func (t MessageType) String() string { return typeNames[t] }

// IDs label the payloads of one sensor. Zero means: left out.
type IDs struct {
	Source, Operator, Group uint32
}

// Payload is a record encoded as one NmsgPayload, ready for a container.
type Payload struct {
	Bytes []byte // the NmsgPayload message, without the field tag that a container puts before it
	CRC   uint32 // CRC-32C of the message inside (field 5), not yet byte-swapped
}

// Message is one payload as a reader hands it out. Data is valid until the next
// call of the reader.
type Message struct {
	Vendor, Type            uint32
	Sec                     int64
	Nsec                    uint32
	Source, Operator, Group uint32
	Data                    []byte // the message itself: field 5
}

// Name returns the names that nmsgtool knows the message's vendor and type by, as
// in base:dnsqr; ok is false where this package knows none.
func (m *Message) Name() (vendor, name string, ok bool) {
	if m.Vendor != VendorBase {
		return "", "", false
	}
	switch m.Type {
	case NumberDNSQR:
		return "base", "dnsqr", true
	case NumberDNSTap:
		return "base", "dnstap", true
	case NumberDNSObs:
		return "base", "dnsobs", true
	}
	return "", "", false
}
