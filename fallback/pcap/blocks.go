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
	blockHead   = 12 // type, length, and of a section header the byte order
	sectionHead = 16 // and its version
	byteOrder   = 0x1a2b3c4d

	leastSection  = 28 // bytes of a section header (section 4.1)
	interfaceHead = 16 // what stands before an interface's options (section 4.2)
	optionHead    = 4  // code, length (section 3.5)
	timeUnit      = 9  // if_tsresol
	wholeSeconds  = 0x80

	maxBlock      = 16 << 20
	maxInterfaces = 1024 // of a section: the library keeps what it is told of each
)

// A blockReader passes on those blocks of a pcapng file that packets need. Of others,
// names and secrets among them, the library would keep all there are. What the library
// takes amiss is put in other words in the buffer from which it is passed on.
type blockReader struct {
	r          *bufio.Reader
	order      binary.ByteOrder
	left       int   // of the block that is passed on
	interfaces int   // of the section
	skips      bool  // the section, whose version is not known
	unknown    error // which version that was
	err        error // why there is no more, in full: the library makes its own of it
}

func (b *blockReader) Read(p []byte) (int, error) {
	for b.left == 0 {
		if b.err = b.next(); b.err != nil {
			return 0, b.err
		}
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	b.err = within(err)
	return n, b.err
}

// within is an error within a block.
func within(err error) error {
	if errors.Is(err, io.EOF) {
		return errCutOff
	}
	return err
}

// next goes to the next block, past it if nobody wants it.
func (b *blockReader) next() error {
	head, err := b.r.Peek(blockHead)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF) && b.unknown != nil:
		return b.unknown
	case len(head) == 0 && err != nil:
		return err
	case err != nil:
		return within(err)
	}
	if binary.BigEndian.Uint32(head) == sectionHeader { // the same in either order
		if err := b.section(); err != nil {
			return err
		}
	}
	kind, length := b.order.Uint32(head), b.order.Uint32(head[4:])
	if length < blockHead || length > maxBlock {
		return fmt.Errorf("a block of %d bytes; there are none of less than %d or more than %d MiB", length, blockHead, maxBlock>>20)
	}
	if b.skips {
		kind = 0
	}
	switch kind {
	case interfaceBlock:
		if b.interfaces++; b.interfaces > maxInterfaces {
			return fmt.Errorf("a section with more than %d interfaces", maxInterfaces)
		}
		if err := b.tellSeconds(int(length)); err != nil {
			return err
		}
		fallthrough
	case sectionHeader, oldPacket, simplePacket, enhancedPacket:
		b.left = int(length)
		return nil
	}
	_, err = b.r.Discard(int(length))
	return within(err)
}

// section learns the byte order and the version from a section's header. A section of
// another version is skipped (section 4.1), and told of in the end.
func (b *blockReader) section() error {
	head, err := b.r.Peek(sectionHead)
	if err != nil {
		return within(err)
	}
	b.interfaces, b.skips, b.order = 0, false, binary.BigEndian
	if binary.LittleEndian.Uint32(head[8:]) == byteOrder {
		b.order = binary.LittleEndian
	}
	if b.order.Uint32(head[8:]) != byteOrder {
		return errors.New("a section header with a wrong byte order value")
	}
	if length := b.order.Uint32(head[4:]); length < leastSection {
		return fmt.Errorf("a section header of %d bytes; there is none of less than %d", length, leastSection)
	}
	switch major, minor := b.order.Uint16(head[12:]), b.order.Uint16(head[14:]); {
	case major == 1 && minor == 0:
	case major == 1 && minor == 2: // some write that, and mean 0 (section 4.1)
		b.order.PutUint16(head[14:], 0)
	default:
		b.skips = true
		b.unknown = fmt.Errorf("unknown pcapng version %d.%d: what is in it was skipped", major, minor)
	}
	return nil
}

// tellSeconds has an interface whose times are whole seconds, 10^0, say 2^0: the library
// takes the former for nothing said.
func (b *blockReader) tellSeconds(length int) error {
	block, err := b.r.Peek(min(length, b.r.Size()))
	if err != nil {
		return within(err)
	}
	for at := interfaceHead; at+optionHead < len(block); {
		code, size := b.order.Uint16(block[at:]), int(b.order.Uint16(block[at+2:]))
		if code == 0 {
			break
		}
		if at += optionHead; code == timeUnit && size > 0 && block[at] == 0 {
			block[at] = wholeSeconds
		}
		at += (size + 3) &^ 3
	}
	return nil
}
