package nmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"
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

// Field numbers of Nmsg (nmsg.proto), a container's body.
const (
	containerPayloads    protowire.Number = 1
	containerPayloadCRCs protowire.Number = 2
	containerSequence    protowire.Number = 3
	containerSequenceID  protowire.Number = 4
)

// sequenceRoom is the size of any sequence number: a varint of five bytes, padded.
const sequenceRoom = 5

// Container builds containers, back to back, at the end of a buffer that its caller
// owns and passes to each call: Begin, Add for each payload, Seal. It holds the state
// of the open container. The zero value is ready, and can be used again.
type Container struct {
	start    int // where in the buffer it begins
	payloads int
	crcs     []byte // the payload_crcs fields, which follow all payloads
}

// Begin opens a container at buf's end and leaves room for its header.
func (c *Container) Begin(buf []byte) []byte {
	c.start, c.payloads, c.crcs = len(buf), 0, c.crcs[:0]
	return appendHeader(buf, 0)
}

// Payloads is how many payloads the open container holds.
func (c *Container) Payloads() int { return c.payloads }

// Fits reports whether the container, sealed with seqID, would be at most max
// bytes long with p in it. An empty one takes one payload, however long.
func (c *Container) Fits(buf []byte, p Payload, max int, seqID uint64) bool {
	if c.payloads == 0 {
		return true
	}
	payload := 1 + protowire.SizeBytes(len(p.Bytes))
	crc := 1 + protowire.SizeVarint(uint64(wireCRC(p.CRC)))
	return len(buf)-c.start+payload+len(c.crcs)+crc+trailerLen(seqID) <= max
}

// Add appends p to the open container.
func (c *Container) Add(buf []byte, p Payload) []byte {
	c.crcs = appendNumber(c.crcs, containerPayloadCRCs, uint64(wireCRC(p.CRC)))
	c.payloads++
	return append(appendSize(buf, containerPayloads, len(p.Bytes)), p.Bytes...)
}

// Seal closes the open container: CRCs, room for a sequence number, which reads
// as 0 until SetSequence, the sequence id, and the header.
func (c *Container) Seal(buf []byte, seqID uint64) []byte {
	buf = append(buf, c.crcs...)
	buf = appendTag(buf, containerSequence, protowire.VarintType)
	buf = append(buf, 0x80, 0x80, 0x80, 0x80, 0)
	buf = appendNumber(buf, containerSequenceID, seqID)
	putLength(buf[c.start:])
	return buf
}

// SetSequence writes the sequence id and number into a container that Seal has closed
// with an id of the same length. The container must be the whole slice, and not yet
// deflated or in fragments.
func SetSequence(container []byte, seqID uint64, seq uint32) {
	room := container[len(container)-trailerLen(seqID)+1:]
	for i := range sequenceRoom - 1 {
		room[i] = byte(seq) | 0x80
		seq >>= 7
	}
	room[sequenceRoom-1] = byte(seq)
	protowire.AppendVarint(room[:sequenceRoom+1], seqID)
}

// trailerLen is the length of the sequence and sequence_id fields.
func trailerLen(seqID uint64) int {
	return 1 + sequenceRoom + 1 + protowire.SizeVarint(seqID)
}

// checksum is CRC-32C. MakeTable hands out the package's own table for it, which
// lets the processor do the work.
func checksum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

// wireCRC turns a CRC into the number that NMSG carries: the reference library
// puts it into network order and then writes that as an integer of the host.
func wireCRC(crc uint32) uint32 { return bits.ReverseBytes32(crc) }
