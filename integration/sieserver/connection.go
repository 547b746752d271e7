package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/protobuf/encoding/protowire"
)

// Types of messages.
const (
	typeData      = 0
	typeTopology  = 1
	typeAlert     = 2
	typeHeartbeat = 3
	typeFinished  = 5
)

// take serves a connection. The library answers a ping after the messages before it were
// received.
func (s *server) take(ws *websocket.Conn) {
	number, ok := s.begin(ws)
	if !ok {
		return
	}
	defer s.end(ws)
	s.print("open %d", number)
	err := s.receive(ws, number)
	s.print("closed %d %v", number, err)
}

func (s *server) receive(ws *websocket.Conn, number int) error {
	ws.MaxPayloadBytes = 2 << 20
	if err := websocket.Message.Send(ws, []byte{0x08, 1, 0x10, typeTopology, 0x22, 0}); err != nil {
		return err
	}
	stop := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() { beat(ws, stop) })
	defer beating.Wait()
	defer ws.Close() // ends a heartbeat that is being sent
	defer close(stop)
	for first := true; ; first = false {
		var b []byte
		if err := websocket.Message.Receive(ws, &b); err != nil {
			return err
		}
		m, err := parse(b)
		switch {
		case err != nil:
			return err
		case first && (m.kind != typeTopology && m.kind != typeHeartbeat && m.kind != typeAlert):
			return fmt.Errorf("the first message has type %d", m.kind)
		case m.heartbeat > 0:
			ws.SetReadDeadline(time.Now().Add(m.deadline(first)))
		case m.kind == typeFinished:
			s.print("finished %d", number)
		case m.kind == typeData:
			goesOn, err := s.store(m.container)
			if err != nil || !goesOn {
				return errors.Join(errors.New("dropped"), err)
			}
			s.print("container %d %d bytes", number, len(m.container))
		}
	}
}

// beat sends heartbeats until stop is closed.
func beat(ws *websocket.Conn, stop <-chan struct{}) {
	t := time.NewTicker(heartbeatInterval)
	defer t.Stop()
	heartbeat := protowire.AppendVarint([]byte{0x08, 1, 0x10, typeHeartbeat, 0x28}, uint64(heartbeatInterval.Milliseconds()))
	for websocket.Message.Send(ws, heartbeat) == nil {
		select {
		case <-t.C:
		case <-stop:
			return
		}
	}
}

// A message is a message of a client.
type message struct {
	kind      uint64
	heartbeat time.Duration // until the next; 0: not announced
	container []byte
}

// deadline is the time in which the client's next heartbeat must come.
func (m *message) deadline(first bool) time.Duration {
	if first {
		return m.heartbeat
	}
	return m.heartbeat * 3 / 2
}

func parse(b []byte) (message, error) {
	var m message
	version := uint64(0)
	err := fields(b, func(number protowire.Number, v uint64, bytes []byte) error {
		switch number {
		case 1:
			version = v
		case 2:
			m.kind = v
		case 5:
			m.heartbeat = time.Duration(v) * time.Millisecond
		case 3:
			return fields(bytes, func(number protowire.Number, _ uint64, bytes []byte) error {
				if number == 4 {
					m.container = bytes
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && version != 1 {
		err = fmt.Errorf("protocolVersion is %d", version)
	}
	return m, err
}

// fields calls do for each field of a protobuf message, all of which are numbers or bytes.
func fields(b []byte, do func(number protowire.Number, v uint64, bytes []byte) error) error {
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var bytes []byte
		switch wire {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		default:
			return fmt.Errorf("field %d has wire type %d", number, wire)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := do(number, v, bytes); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
