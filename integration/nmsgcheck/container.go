// Package nmsgcheck is a second reader of NMSG. It was written from the format's description and
// shares no code with forward/nmsg or transform/dnswire, because it checks them. It is strict:
// everything unexpected is an error.
package nmsgcheck

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"time"
)

const (
	headerLen    = 10
	flagZlib     = 1
	flagFragment = 2
	maxBody      = 1 << 24
)

// Container is a complete series of payloads.
type Container struct {
	Sequenced  bool // both fields below are present; files of nmsgtool have neither
	Sequence   uint32
	SequenceID uint64
	Datagrams  int // 1, or the number of fragments
	Payloads   []Payload
}

// Payload is one message of any type.
type Payload struct {
	Vendor, Type            uint32
	Time                    time.Time
	Source, Operator, Group uint32
	Message                 []byte
}

// Containers decodes a file, or concatenated datagrams. Fragments may be in any order; missing
// fragments are an error.
func Containers(data []byte) ([]Container, error) {
	var all []Container
	open := make(map[uint32]*fragments)
	for at := 0; at < len(data); {
		flags, body, err := unframe(data[at:])
		if err != nil {
			return all, fmt.Errorf("offset %d: %w", at, err)
		}
		datagrams := 1
		if flags&flagFragment != 0 {
			body, datagrams, err = join(open, body)
		}
		if err == nil && body != nil {
			var c Container
			c, err = container(flags, body)
			c.Datagrams = datagrams
			all = append(all, c)
		}
		if err != nil {
			return all, fmt.Errorf("offset %d: %w", at, err)
		}
		at += headerLen + int(binary.BigEndian.Uint32(data[at+6:]))
	}
	if len(open) > 0 {
		return all, fmt.Errorf("%d containers lack fragments", len(open))
	}
	return all, nil
}

func unframe(data []byte) (flags byte, body []byte, err error) {
	if len(data) < headerLen {
		return 0, nil, fmt.Errorf("%d bytes, less than a header", len(data))
	}
	if string(data[:4]) != "NMSG" || data[5] != 2 {
		return 0, nil, fmt.Errorf("not an NMSG version 2 header: %x", data[:headerLen])
	}
	flags = data[4]
	if flags&^(flagZlib|flagFragment) != 0 {
		return 0, nil, fmt.Errorf("flags %#x", flags)
	}
	size := uint64(binary.BigEndian.Uint32(data[6:]))
	if size > maxBody || size > uint64(len(data)-headerLen) {
		return 0, nil, fmt.Errorf("the body has %d bytes, %d are left", size, len(data)-headerLen)
	}
	return flags, data[headerLen : headerLen+size], nil
}

func container(flags byte, body []byte) (Container, error) {
	if flags&flagZlib != 0 {
		var err error
		if body, err = inflate(body); err != nil {
			return Container{}, err
		}
	}
	f, err := parse(body, message{
		1: {kind: bytesField, repeated: true},
		2: {kind: varintField, repeated: true},
		3: {kind: varintField},
		4: {kind: varintField},
	}, 1, 2)
	if err != nil {
		return Container{}, fmt.Errorf("container: %w", err)
	}
	c := Container{Sequenced: f.has(3) && f.has(4), Sequence: uint32(f.number(3)), SequenceID: f.number(4)}
	if len(f[1]) != len(f[2]) {
		return c, fmt.Errorf("%d payloads, %d checksums", len(f[1]), len(f[2]))
	}
	for i, raw := range f[1] {
		p, err := payload(raw.bytes)
		if err != nil {
			return c, fmt.Errorf("payload %d: %w", i, err)
		}
		if got := checksum(p.Message); got != f[2][i].number {
			return c, fmt.Errorf("payload %d: checksum %08x, container has %08x", i, got, f[2][i].number)
		}
		c.Payloads = append(c.Payloads, p)
	}
	return c, nil
}

func payload(raw []byte) (Payload, error) {
	f, err := parse(raw, message{
		1: {kind: varintField}, 2: {kind: varintField}, 3: {kind: varintField}, 4: {kind: fixed32Field},
		5: {kind: bytesField}, 7: {kind: varintField}, 8: {kind: varintField}, 9: {kind: varintField},
	}, 1, 2, 3, 4, 5)
	if err != nil {
		return Payload{}, err
	}
	return Payload{
		Vendor: uint32(f.number(1)), Type: uint32(f.number(2)),
		Time:   time.Unix(int64(f.number(3)), int64(f.number(4))).UTC(),
		Source: uint32(f.number(7)), Operator: uint32(f.number(8)), Group: uint32(f.number(9)),
		Message: f.bytes(5),
	}, nil
}

// checksum returns CRC-32C, byte-swapped as in NMSG.
func checksum(b []byte) uint64 {
	return uint64(bits.ReverseBytes32(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
}

func inflate(body []byte) ([]byte, error) {
	if len(body) < 4 {
		return nil, errors.New("zlib: no inflated length")
	}
	r, err := zlib.NewReader(bytes.NewReader(body[4:]))
	if err != nil {
		return nil, err
	}
	inflated, err := io.ReadAll(io.LimitReader(r, maxBody))
	if err != nil {
		return nil, err
	}
	if want := binary.BigEndian.Uint32(body); uint32(len(inflated)) != want {
		return nil, fmt.Errorf("zlib: inflates to %d bytes, want %d", len(inflated), want)
	}
	return inflated, nil
}

// fragments contains the fragments of one container so far.
type fragments struct {
	parts map[uint64][]byte
	last  uint64
	crc   uint64
}

// join adds a fragment, and returns the container's body and number of fragments when it is
// complete, else nil.
func join(open map[uint32]*fragments, raw []byte) (body []byte, datagrams int, err error) {
	f, err := parse(raw, message{
		1: {kind: varintField}, 2: {kind: varintField}, 3: {kind: varintField},
		4: {kind: bytesField}, 5: {kind: varintField},
	}, 1, 2, 3, 4)
	if err != nil {
		return nil, 0, fmt.Errorf("fragment: %w", err)
	}
	id, current := uint32(f.number(1)), f.number(2)
	o := open[id]
	if o == nil {
		o = &fragments{parts: make(map[uint64][]byte), last: f.number(3), crc: f.number(5)}
		open[id] = o
	}
	if _, twice := o.parts[current]; twice || f.number(3) != o.last || current > o.last || f.number(5) != o.crc {
		return nil, 0, fmt.Errorf("fragment %d of %d does not match the others", current, f.number(3))
	}
	o.parts[current] = f.bytes(4)
	if uint64(len(o.parts)) <= o.last {
		return nil, 0, nil
	}
	delete(open, id)
	for i := range o.last + 1 {
		body = append(body, o.parts[i]...)
	}
	if got := checksum(body); f[5] != nil && got != o.crc {
		return nil, 0, fmt.Errorf("joined: checksum %08x, fragments have %08x", got, o.crc)
	}
	return body, len(o.parts), nil
}
