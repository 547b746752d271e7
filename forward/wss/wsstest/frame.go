package wsstest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// Opcodes of frames (RFC 6455, section 5.2).
const (
	OpContinuation = 0
	OpText         = 1
	OpBinary       = 2
	OpClose        = 8
	OpPing         = 9
	OpPong         = 10
)

// A frame is a frame of a client.
type frame struct {
	opcode  byte
	payload []byte
	problem string // what is wrong with it; empty: nothing
}

func readFrame(r *bufio.Reader) (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{opcode: head[0] & 15}
	switch {
	case head[0]&0x70 != 0:
		f.problem = "a reserved bit is set"
	case head[0]&0x80 == 0:
		f.problem = "a message in fragments, which the reference does not join"
	case head[1]&0x80 == 0:
		return f, errors.New("the frame is not masked")
	}
	n := uint64(head[1] & 127)
	if n > 125 {
		var long [8]byte
		size := 2 << (2 * (n - 126)) // 2 or 8
		if _, err := io.ReadFull(r, long[8-size:]); err != nil {
			return f, err
		}
		n = binary.BigEndian.Uint64(long[:])
	}
	if n > 2<<20 {
		return f, errors.New("the frame is too long")
	}
	var mask [4]byte
	if _, err := io.ReadFull(r, mask[:]); err != nil {
		return f, err
	}
	f.payload = make([]byte, n)
	_, err := io.ReadFull(r, f.payload)
	for i := range f.payload {
		f.payload[i] ^= mask[i%4]
	}
	return f, err
}

func appendFrame(b []byte, opcode byte, final bool, payload []byte) []byte {
	if final {
		opcode |= 0x80
	}
	b = append(b, opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}
