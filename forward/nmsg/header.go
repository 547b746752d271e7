package nmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes of a container in bytes, header included, that the reference tools take.
const MinSize, MaxSize = 512, 1 << 20

// A container begins with 10 bytes:
//
//	magic "NMSG" | flags 1 | version 1 | length of the body 4, big-endian
const (
	magic     = "NMSG"
	headerLen = 10
	version   = 2

	flagZlib     = 1
	flagFragment = 2
)

// maxBody bounds what a reader holds of one container, as it came and inflated:
// sixteen times what a writer may send.
const maxBody = 16 * MaxSize

type header struct {
	flags  byte
	length int // of the body
}

var errNoHeader = errors.New("no NMSG header")

// parseHeader reads the header at b's start. A nil error makes it a plausible one:
// a version and flags that exist, and a length within maxBody.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerLen || string(b[:4]) != magic {
		return header{}, errNoHeader
	}
	h := header{flags: b[4]}
	length := binary.BigEndian.Uint32(b[6:])
	switch {
	case b[5] != version:
		return header{}, fmt.Errorf("NMSG version %d: only %d can be read", b[5], version)
	case h.flags&^(flagZlib|flagFragment) != 0:
		return header{}, fmt.Errorf("unknown NMSG flags %#x", h.flags)
	case length > maxBody:
		return header{}, fmt.Errorf("a container of %d bytes: at most %d are read", length, maxBody)
	}
	h.length = int(length)
	return h, nil
}

// appendHeader appends a header that putLength completes.
func appendHeader(b []byte, flags byte) []byte {
	b = append(b, magic...)
	return append(b, flags, version, 0, 0, 0, 0)
}

// putLength writes the length of the body into the container's header.
func putLength(container []byte) {
	binary.BigEndian.PutUint32(container[6:], uint32(len(container)-headerLen))
}
