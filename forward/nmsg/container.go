package nmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"
)

// Sizes of a container in bytes, header included, that the reference tools accept.
const MinSize, MaxSize = 512, 1 << 20

// A container begins with 10 bytes:
//
//	magic "NMSG" | flags 1 | version 1 | length of the body 4, big-endian
const (
	Magic = "NMSG"

	headerLen = 10
	version   = 2

	flagZlib     = 1
	flagFragment = 2
)

// maxBody is the longest body in bytes that is read, both compressed and inflated: sixteen
// times the largest container that a writer may send.
const maxBody = 16 * MaxSize

type header struct {
	flags  byte
	length int // of the body
}

var errNoHeader = errors.New("no NMSG header")

// parseHeader reads the header at the start of b. It returns an error for an unknown
// version, unknown flags, or a length above maxBody.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerLen || string(b[:4]) != Magic {
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
	b = append(b, Magic...)
	return append(b, flags, version, 0, 0, 0, 0)
}

// putLength writes the length of the body into the container's header.
func putLength(container []byte) {
	binary.BigEndian.PutUint32(container[6:], uint32(len(container)-headerLen))
}

// Field numbers of Nmsg (nmsg.proto), a container's body.
const (
	containerPayloads    protowire.Number = 1
	containerPayloadCRCs protowire.Number = 2
	containerSequence    protowire.Number = 3
	containerSequenceID  protowire.Number = 4
)

// sequenceRoom is the size in bytes of every sequence number: a varint, padded.
const sequenceRoom = 5

// Container builds containers, one after another, at the end of a buffer that the caller
// owns and passes to each call: Begin, Add for each payload, Seal. It holds the state of the
// open container. The zero value is ready to use, and can be used for further containers.
type Container struct {
	start    int // offset of the container in the buffer
	payloads int
	crcs     []byte // the payload_crcs fields, which follow all payloads
}

// Begin opens a container at the end of buf, with room for its header.
func (c *Container) Begin(buf []byte) []byte {
	c.start, c.payloads, c.crcs = len(buf), 0, c.crcs[:0]
	return appendHeader(buf, 0)
}

// Payloads returns the number of payloads in the open container.
func (c *Container) Payloads() int { return c.payloads }

// maxOverhead is more bytes than a payload adds to a sealed container in addition to its
// own: tags, its length, its CRC, and the sequence fields.
const maxOverhead = 32

// Fits reports whether the container with p, sealed with seqID, would be at most max bytes
// long. One payload of any length fits an empty container.
func (c *Container) Fits(buf []byte, p Payload, max int, seqID uint64) bool {
	size := len(buf) - c.start + len(p.Bytes) + len(c.crcs)
	if c.payloads == 0 || size+maxOverhead <= max {
		return true
	}
	payload := 1 + protowire.SizeVarint(uint64(len(p.Bytes)))
	crc := 1 + protowire.SizeVarint(uint64(wireCRC(p.CRC)))
	return size+payload+crc+trailerLen(seqID) <= max
}

// Add appends p to the open container.
func (c *Container) Add(buf []byte, p Payload) []byte {
	c.crcs = appendNumber(c.crcs, containerPayloadCRCs, uint64(wireCRC(p.CRC)))
	c.payloads++
	return append(appendSize(buf, containerPayloads, len(p.Bytes)), p.Bytes...)
}

// Seal closes the open container: it appends CRCs, the sequence number 0, which SetSequence
// replaces, and the sequence id, and completes the header.
func (c *Container) Seal(buf []byte, seqID uint64) []byte {
	buf = append(buf, c.crcs...)
	buf = appendTag(buf, containerSequence, protowire.VarintType)
	buf = append(buf, 0x80, 0x80, 0x80, 0x80, 0)
	buf = appendNumber(buf, containerSequenceID, seqID)
	putLength(buf[c.start:])
	return buf
}

// SetSequence writes the sequence id and number into a container that was sealed with an id
// of the same length. The slice must be exactly the container, neither deflated nor in
// fragments.
func SetSequence(container []byte, seqID uint64, seq uint32) {
	room := container[len(container)-trailerLen(seqID)+1:]
	for i := range sequenceRoom - 1 {
		room[i] = byte(seq) | 0x80
		seq >>= 7
	}
	room[sequenceRoom-1] = byte(seq)
	protowire.AppendVarint(room[:sequenceRoom+1], seqID)
}

// trailerLen returns the length in bytes of the sequence and sequence_id fields.
func trailerLen(seqID uint64) int {
	return 1 + sequenceRoom + 1 + protowire.SizeVarint(seqID)
}

// checksum returns the CRC-32C of b. MakeTable returns a table for which package crc32 uses
// instructions of the processor.
func checksum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

// wireCRC reverses the bytes of a CRC, as NMSG contains it: the reference library converts
// the CRC to network order, and writes the result as an integer of a little-endian host.
func wireCRC(crc uint32) uint32 { return bits.ReverseBytes32(crc) }
