package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng, section 10.1).
const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	oldPacket      = 2
	simplePacket   = 3
	enhancedPacket = 6
)

const (
	blockHead = 12 // type, length, and of a section header the byte order
	byteOrder = 0x1a2b3c4d

	maxBlock      = 16 << 20
	maxInterfaces = 1024 // of a section: the library keeps what it is told of each
)

// A blockReader passes on those blocks of a pcapng file that packets need. Of others,
// names and secrets among them, the library would keep all there are.
type blockReader struct {
	r          *bufio.Reader
	order      binary.ByteOrder
	left       int // of the block that is passed on
	interfaces int // of the section
}

func (b *blockReader) Read(p []byte) (int, error) {
	for b.left == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next goes to the next block, past it if nobody wants it.
func (b *blockReader) next() error {
	head, err := b.r.Peek(blockHead)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	if binary.BigEndian.Uint32(head) == sectionHeader { // the same in either order
		b.interfaces, b.order = 0, binary.BigEndian
		if binary.LittleEndian.Uint32(head[8:]) == byteOrder {
			b.order = binary.LittleEndian
		}
	}
	kind, length := b.order.Uint32(head), b.order.Uint32(head[4:])
	if length < blockHead || length > maxBlock {
		return fmt.Errorf("a block of %d bytes; there are none of less than %d or more than %d MiB", length, blockHead, maxBlock>>20)
	}
	switch kind {
	case interfaceBlock:
		if b.interfaces++; b.interfaces > maxInterfaces {
			return fmt.Errorf("a section with more than %d interfaces", maxInterfaces)
		}
		fallthrough
	case sectionHeader, oldPacket, simplePacket, enhancedPacket:
		b.left = int(length)
		return nil
	}
	_, err = b.r.Discard(int(length))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
