package wss

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// protocolVersion is the version of sielink in each Message.
const protocolVersion = 1

// messageType is the field messageType of a Message.
type messageType uint32

const (
	dataMessage messageType = iota
	topologyMessage
	alertMessage
	heartbeatMessage
	shutdownMessage
	finishedMessage
)

// Field numbers of Message, Payload, LossCounter and Alert.
const (
	fieldVersion   = 1
	fieldType      = 2
	fieldPayload   = 3
	fieldTopology  = 4
	fieldHeartbeat = 5
	fieldAlert     = 6

	payloadChannel  = 1
	payloadKind     = 2
	payloadData     = 4
	payloadLinkLoss = 5

	lossBytes    = 1
	lossPayloads = 2

	alertLevel = 1
	alertText  = 2
	alertCode  = 3
)

const (
	nmsgContainer = 1 // payloadKind: the data are one NMSG container
	fatal         = 3 // alertLevel: the sender of the alert closes the connection
)

// appendMessage appends a Message without content.
func appendMessage(b []byte, t messageType) []byte {
	b = appendNumber(b, fieldVersion, protocolVersion)
	return appendNumber(b, fieldType, uint64(t))
}

// appendTopology appends a Topology without subscriptions.
func appendTopology(b []byte) []byte {
	b = appendMessage(b, topologyMessage)
	return appendBytes(b, fieldTopology, nil)
}

// appendHeartbeat appends a Heartbeat, which announces the next one.
func appendHeartbeat(b []byte, next time.Duration) []byte {
	b = appendMessage(b, heartbeatMessage)
	return appendNumber(b, fieldHeartbeat, uint64(next.Milliseconds()))
}

// appendAlert appends an Alert.
func appendAlert(b []byte, level uint64, text string) []byte {
	body := appendNumber(nil, alertLevel, level)
	body = appendBytes(body, alertText, []byte(text))
	return appendBytes(appendMessage(b, alertMessage), fieldAlert, body)
}

// appendDataHead appends the Data message of a container with n bytes up to the container. The
// container must follow, and then what appendLinkLoss appends.
func appendDataHead(b []byte, channel uint32, n int, loss forward.Dropped) []byte {
	size := sizeOfNumber(payloadChannel, uint64(channel)) + sizeOfNumber(payloadKind, nmsgContainer) +
		protowire.SizeTag(payloadData) + protowire.SizeBytes(n) + sizeOfLinkLoss(loss)
	b = appendMessage(b, dataMessage)
	b = protowire.AppendTag(b, fieldPayload, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = appendNumber(b, payloadChannel, uint64(channel))
	b = appendNumber(b, payloadKind, nmsgContainer)
	b = protowire.AppendTag(b, payloadData, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(n))
}

// appendLinkLoss appends the loss before a container, if there is one.
func appendLinkLoss(b []byte, loss forward.Dropped) []byte {
	if loss == (forward.Dropped{}) {
		return b
	}
	b = protowire.AppendTag(b, payloadLinkLoss, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(sizeOfLossCounter(loss)))
	b = appendNumber(b, lossBytes, loss.Bytes)
	return appendNumber(b, lossPayloads, loss.Units)
}

func sizeOfLinkLoss(loss forward.Dropped) int {
	if loss == (forward.Dropped{}) {
		return 0
	}
	return protowire.SizeTag(payloadLinkLoss) + protowire.SizeBytes(sizeOfLossCounter(loss))
}

func sizeOfLossCounter(loss forward.Dropped) int {
	return sizeOfNumber(lossBytes, loss.Bytes) + sizeOfNumber(lossPayloads, loss.Units)
}

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	b = protowire.AppendTag(b, field, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func sizeOfNumber(field protowire.Number, v uint64) int {
	return protowire.SizeTag(field) + protowire.SizeVarint(v)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}

// A message is what the sensor reads of a Message.
type message struct {
	version   bool // protocolVersion contains 1
	kind      messageType
	heartbeat time.Duration // until the next heartbeat is due; 0: not announced
	alert     alert
}

// An alert is an Alert. The text borrows from the message.
type alert struct {
	level uint64
	text  []byte
	code  uint64
}

var errWireType = errors.New("a field has another wire type than the schema")

// parseMessage reads a Message. It skips unknown fields, and those that only a server reads.
func parseMessage(b []byte) (message, error) {
	var m message
	err := eachField(b, func(f field) error {
		switch f.number {
		case fieldVersion:
			return f.numbers(func(v uint64) { m.version = m.version || v == protocolVersion })
		case fieldType:
			return f.single(func(v uint64) { m.kind = messageType(min(v, math.MaxUint32)) })
		case fieldHeartbeat:
			return f.single(func(v uint64) { m.heartbeat = time.Duration(min(v, math.MaxUint32)) * time.Millisecond })
		case fieldAlert:
			return m.alert.parse(f)
		}
		return nil
	})
	return m, err
}

func (a *alert) parse(f field) error {
	if f.wire != protowire.BytesType {
		return errWireType
	}
	return eachField(f.bytes, func(f field) error {
		switch f.number {
		case alertLevel:
			return f.single(func(v uint64) { a.level = v })
		case alertCode:
			return f.single(func(v uint64) { a.code = v })
		case alertText:
			if f.wire != protowire.BytesType {
				return errWireType
			}
			a.text = f.bytes
		}
		return nil
	})
}

// A field is a field of a protobuf message. Only the value of its wire type is set.
type field struct {
	number protowire.Number
	wire   protowire.Type
	varint uint64
	bytes  []byte
}

// eachField calls do for each field of a protobuf message.
func eachField(b []byte, do func(field) error) error {
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		f := field{number: number, wire: wire}
		switch wire {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, wire, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := do(f); err != nil {
			return fmt.Errorf("field %d: %w", number, err)
		}
	}
	return nil
}

// single passes a number to set.
func (f field) single(set func(uint64)) error {
	if f.wire != protowire.VarintType {
		return errWireType
	}
	set(f.varint)
	return nil
}

// numbers passes each number of a repeated field to add; it may be packed.
func (f field) numbers(add func(uint64)) error {
	if f.wire != protowire.BytesType {
		return f.single(add)
	}
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		add(v)
		b = b[n:]
	}
	return nil
}

// longestText is the limit, in characters, of a text from the server that is logged.
const longestText = 200

// printable returns a text from the server for logs and errors: shortened, without characters
// that do not print and without the secret.
func printable(text []byte, secret string) string {
	s := string(text)
	if secret != "" {
		s = strings.ReplaceAll(s, secret, "(secret)")
	}
	runes := make([]rune, 0, longestText)
	for _, r := range s {
		if len(runes) == longestText {
			return string(runes) + "..."
		}
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			r = '?'
		}
		runes = append(runes, r)
	}
	return string(runes)
}
