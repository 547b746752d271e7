package wsstest

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// MessageType is the type of a Message.
type MessageType uint64

// The types of messages.
const (
	DataType MessageType = iota
	TopologyType
	AlertType
	HeartbeatType
	ShutdownType
	FinishedType
)

var typeNames = [...]string{"Data", "Topology", "Alert", "Heartbeat", "Shutdown", "Finished"}

// String returns the type's name.
func (t MessageType) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint64(t))
}

// A Message is a message of a client.
type Message struct {
	Conn        int // number of the connection
	Version     []uint64
	Type        MessageType
	Heartbeat   time.Duration
	Channel     uint64
	PayloadType uint64
	Data        []byte
	LossBytes   uint64
	LossUnits   uint64
	AlertLevel  uint64
	AlertText   string
}

// parse reads a message. Numbers are kept by the path of their field.
func parse(b []byte) (Message, error) {
	var m Message
	err := walk(b, "", func(path string, v uint64, bytes []byte) error {
		switch path {
		case "/1":
			m.Version = append(m.Version, v)
		case "/2":
			m.Type = MessageType(v)
		case "/5":
			m.Heartbeat = time.Duration(v) * time.Millisecond
		case "/3/1":
			m.Channel = v
		case "/3/2":
			m.PayloadType = v
		case "/3/4":
			m.Data = bytes
		case "/3/5/1":
			m.LossBytes = v
		case "/3/5/2":
			m.LossUnits = v
		case "/6/1":
			m.AlertLevel = v
		case "/6/2":
			m.AlertText = string(bytes)
		case "/3", "/3/5", "/4", "/6":
		default:
			return fmt.Errorf("unexpected field %s", path)
		}
		return nil
	})
	return m, err
}

// messages are the paths of fields that are messages.
var messages = map[string]bool{"/3": true, "/3/5": true, "/4": true, "/6": true}

func walk(b []byte, at string, do func(path string, v uint64, bytes []byte) error) error {
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		path := fmt.Sprintf("%s/%d", at, number)
		var v uint64
		var bytes []byte
		switch wire {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		default:
			return fmt.Errorf("field %s has wire type %d", path, wire)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := do(path, v, bytes); err != nil {
			return err
		}
		if messages[path] {
			if err := walk(bytes, path, do); err != nil {
				return err
			}
		}
	}
	return nil
}

func message(t MessageType, rest ...byte) []byte {
	return append([]byte{0x08, 1, 0x10, byte(t)}, rest...)
}

// Topology returns a Topology that announces the interval of heartbeats; 0: none.
func Topology(next time.Duration) []byte {
	b := message(TopologyType, 0x22, 0)
	if next > 0 {
		b = protowire.AppendVarint(append(b, 0x28), uint64(next.Milliseconds()))
	}
	return b
}

// Heartbeat returns a Heartbeat.
func Heartbeat(next time.Duration) []byte {
	return protowire.AppendVarint(message(HeartbeatType, 0x28), uint64(next.Milliseconds()))
}

// Alert returns an Alert.
func Alert(level byte, text string, code byte) []byte {
	body := protowire.AppendString([]byte{0x08, level, 0x12}, text)
	body = append(body, 0x18, code)
	return protowire.AppendBytes(message(AlertType, 0x32), body)
}

// Shutdown returns a Shutdown.
func Shutdown() []byte { return message(ShutdownType) }

// Finished returns a Finished.
func Finished() []byte { return message(FinishedType) }
