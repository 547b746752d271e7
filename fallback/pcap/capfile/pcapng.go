package capfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng, section 10.1). Other blocks are
// skipped: names, statistics and secrets among them.
const (
	sectionHeader       = 0x0a0d0d0a
	interfaceBlock      = 1
	obsoletePacketBlock = 2
	simplePacketBlock   = 3
	enhancedPacketBlock = 6
)

// Options of an interface description (section 4.2). if_fcslen is not needed: IP
// packets contain their own length.
const (
	endOfOptions = 0
	ifTsresol    = 9
	ifTsoffset   = 14
)

const (
	byteOrderMagic = 0x1a2b3c4d

	// The least lengths of blocks, each with the total length that ends it.
	minBlock          = 12
	minSection        = 28 // section 4.1
	minInterface      = 20 // section 4.2
	minEnhancedPacket = 32 // section 4.3; the obsolete block has the same length
	minSimplePacket   = 16 // section 4.4

	maxBlock      = 16 << 20
	maxInterfaces = 1024 // of a section
)

// A pcapng is a file in the newer format: sections of blocks.
//
//	every block:           type (4), total length (4), body, total length (4)
//	section header:        byte-order magic (4), major, minor version (2, 2), section length (8), options
//	interface description: link type (2), reserved (2), snapshot length (4), options
//	enhanced packet:       interface (4), time (8), captured, original length (4, 4), packet, options
//	obsolete packet:       interface (2), drops (2), then as the enhanced packet
//	simple packet:         original length (4), packet
type pcapng struct {
	in      *input
	unknown error // names the latest unknown version; returned at the end of the file

	// Of the current section.
	order      byteOrder
	skipped    bool // because its version is unknown
	interfaces []networkInterface
	latest     transform.Time // of its packets; NoTime if none had a time
}

// A networkInterface is an interface description.
type networkInterface struct {
	link       uint16
	snapLength uint32 // 0: no limit
	units      uint64 // of time, per second
	offset     int64  // seconds to be added to each time
}

func newPcapng(in *input) (*pcapng, error) {
	f := &pcapng{in: in, skipped: true}
	for f.skipped {
		if _, _, err := f.block(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *pcapng) next(p *Packet) error {
	for {
		kind, block, err := f.block()
		if err != nil {
			return err
		}
		switch kind {
		case interfaceBlock:
			if err := f.describe(block); err != nil {
				return err
			}
		case enhancedPacketBlock, obsoletePacketBlock:
			return f.packet(kind, block, p)
		case simplePacketBlock:
			return f.simplePacket(block, p)
		}
	}
}

// isBuffered reports whether the next block is a packet that was read completely.
func (f *pcapng) isBuffered() bool {
	b := f.in.next()
	if len(b) < minBlock || f.skipped {
		return false
	}
	switch f.order.uint32(b) {
	case enhancedPacketBlock, obsoletePacketBlock, simplePacketBlock:
		return f.order.uint32(b[4:]) <= uint32(len(b))
	}
	return false
}

// block reads the next block, or the part of it that fits the buffer. A block that is not
// needed is nil. Total lengths that are not a multiple of 4, or that differ at the
// block's end, are accepted. In a skipped section kind is 0.
func (f *pcapng) block() (kind uint32, block []byte, err error) {
	if err := f.in.release(); err != nil {
		return 0, nil, err
	}
	header, err := f.in.peek(minBlock)
	if errors.Is(err, io.EOF) && f.unknown != nil {
		err = f.unknown
	}
	if err != nil {
		return 0, nil, err
	}
	if binary.BigEndian.Uint32(header) == sectionHeader { // the same in both byte orders
		if err := f.beginSection(); err != nil {
			return 0, nil, err
		}
	}
	kind, length := f.order.uint32(header), f.order.uint32(header[4:])
	if length < minBlock || length > maxBlock {
		return 0, nil, fmt.Errorf("a block of %d bytes: valid are %d bytes to %d MiB", length, minBlock, maxBlock>>20)
	}
	if f.skipped {
		kind = 0
	}
	switch kind {
	case sectionHeader, interfaceBlock, obsoletePacketBlock, simplePacketBlock, enhancedPacketBlock:
		block, err = f.in.peek(int(min(length, bufferSize)))
	}
	if err == nil {
		f.in.held = int(length)
	}
	return kind, block, err
}

// beginSection reads byte order and version from a section header. A section of
// another version is skipped (section 4.1).
func (f *pcapng) beginSection() error {
	header, err := f.in.peek(16)
	if err != nil {
		return err
	}
	f.order = bigEndian
	if littleEndian.uint32(header[8:]) == byteOrderMagic {
		f.order = littleEndian
	}
	if f.order.uint32(header[8:]) != byteOrderMagic {
		return errors.New("a section header with a wrong byte order value")
	}
	if length := f.order.uint32(header[4:]); length < minSection {
		return fmt.Errorf("a section header of %d bytes: the minimum is %d", length, minSection)
	}
	f.interfaces, f.latest = f.interfaces[:0], transform.NoTime
	major, minor := f.order.uint16(header[12:]), f.order.uint16(header[14:])
	f.skipped = major != 1 || minor != 0 && minor != 2 // some writers mean 1.0 by 1.2 (section 4.1)
	if f.skipped {
		f.unknown = fmt.Errorf("unknown pcapng version %d.%d: its sections were skipped", major, minor)
	}
	return nil
}

// describe reads an interface description.
func (f *pcapng) describe(block []byte) error {
	switch {
	case len(f.interfaces) == maxInterfaces:
		return fmt.Errorf("a section with more than %d interfaces", maxInterfaces)
	case len(block) < minInterface || f.in.held > len(block):
		return fmt.Errorf("an interface description of %d bytes: valid are %d to %d", f.in.held, minInterface, bufferSize)
	}
	n := networkInterface{link: f.order.uint16(block[8:]), snapLength: f.order.uint32(block[12:]), units: 1e6}
	options := block[16 : len(block)-4]
	for len(options) >= 4 { // section 3.5
		code, size := f.order.uint16(options), int(f.order.uint16(options[2:]))
		options = options[4:]
		if code == endOfOptions {
			break
		}
		if size > len(options) {
			return fmt.Errorf("an interface description with an option of %d bytes, where %d are left", size, len(options))
		}
		switch value := options[:size]; {
		case code == ifTsresol && size >= 1:
			if n.units = unitsPerSecond(value[0]); n.units == 0 {
				return fmt.Errorf("an interface with the time resolution %#02x: the highest are 10^-19 and 2^-63", value[0])
			}
		case code == ifTsoffset && size >= 8:
			n.offset = int64(f.order.uint64(value))
		}
		options = options[min(len(options), (size+3)&^3):]
	}
	f.interfaces = append(f.interfaces, n)
	return nil
}

// unitsPerSecond decodes if_tsresol: a negative power of 2 if the highest bit is set,
// else of 10. It returns 0 if the result does not fit.
func unitsPerSecond(resolution byte) uint64 {
	exponent := resolution & 0x7f
	if resolution&0x80 != 0 {
		return 1 << exponent // 0 from 2^64 on
	}
	if exponent > 19 {
		return 0
	}
	units := uint64(1)
	for range exponent {
		units *= 10
	}
	return units
}

// packet reads an enhanced packet block, or an obsolete one (appendix A).
func (f *pcapng) packet(kind uint32, block []byte, p *Packet) error {
	if len(block) < minEnhancedPacket {
		return fmt.Errorf("a packet block of %d bytes: the minimum is %d", len(block), minEnhancedPacket)
	}
	id := f.order.uint32(block[8:])
	if kind == obsoletePacketBlock {
		id = uint32(f.order.uint16(block[8:]))
	}
	if id >= uint32(len(f.interfaces)) {
		return fmt.Errorf("a packet of interface %d in a section of %d interfaces", id, len(f.interfaces))
	}
	from := &f.interfaces[id]
	ticks := uint64(f.order.uint32(block[12:]))<<32 | uint64(f.order.uint32(block[16:]))
	*p = Packet{Time: from.time(ticks), Link: from.link}
	if p.Time != transform.NoTime {
		f.latest = p.Time
	}
	return f.data(p, block, 28, f.order.uint32(block[20:]), f.order.uint32(block[24:]))
}

// simplePacket reads a simple packet block. It belongs to the section's first interface
// and has no time.
func (f *pcapng) simplePacket(block []byte, p *Packet) error {
	if len(block) < minSimplePacket {
		return fmt.Errorf("a simple packet block of %d bytes: the minimum is %d", len(block), minSimplePacket)
	}
	if len(f.interfaces) == 0 {
		return errors.New("a simple packet in a section without interfaces")
	}
	from := &f.interfaces[0]
	*p = Packet{Time: f.latest, Untimed: f.latest == transform.NoTime, Link: from.link}
	original := f.order.uint32(block[8:])
	captured := min(original, uint32(f.in.held-minSimplePacket)) // the block may be shorter
	if from.snapLength > 0 {
		captured = min(captured, from.snapLength)
	}
	return f.data(p, block, 12, captured, original)
}

// data sets p's data, which begins at octet at of the block, and its length.
func (f *pcapng) data(p *Packet, block []byte, at int, captured, original uint32) error {
	const trailer = 4
	if space := f.in.held - at - trailer; int64(captured) > int64(space) {
		return fmt.Errorf("a packet of %d bytes in a block with space for %d", captured, space)
	}
	p.Data = block[at : at+int(min(captured, maxPacket))]
	p.Length = max(int(captured), int(original))
	return nil
}

// time converts a time in units of the interface. It returns NoTime if the time is before
// 1970 or exceeds transform.Time.
func (n *networkInterface) time(ticks uint64) transform.Time {
	const latest = math.MaxInt64/int64(time.Second) - 1
	seconds, fraction := ticks/n.units, ticks%n.units
	if seconds > uint64(latest) {
		return transform.NoTime
	}
	at := int64(seconds) + n.offset
	if at < 0 || at > latest { // at < 0 also if the sum overflows
		return transform.NoTime
	}
	high, low := bits.Mul64(fraction, uint64(time.Second))
	ns, _ := bits.Div64(high, low, n.units)
	return transform.Time(at*int64(time.Second) + int64(ns))
}
