package capfile

import (
	"fmt"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Magic numbers of pcap (draft-ietf-opsawg-pcap, section 4). The formats with modified
// record headers, 0xa1b2cd34 and others, are not read.
const (
	microseconds = 0xa1b2c3d4
	nanoseconds  = 0xa1b23c4d
)

const (
	fileHeaderLen   = 24
	recordHeaderLen = 16
)

// A pcap is a file in the older format: a header, then a record for each packet.
//
//	magic (4), major, minor version (2, 2), unused (8), snapshot length (4), link type (4)
//	seconds (4), fraction (4), captured length (4), original length (4), packet
type pcap struct {
	in    *input
	order byteOrder
	minor uint16
	unit  transform.Time // of the fractions of a second
	link  uint16
}

func newPcap(in *input) (*pcap, error) {
	header, err := in.peek(fileHeaderLen)
	if err != nil {
		return nil, err
	}
	f := &pcap{in: in}
	for _, order := range []byteOrder{littleEndian, bigEndian} {
		switch order.uint32(header) {
		case microseconds:
			f.order, f.unit = order, transform.Time(time.Microsecond)
		case nanoseconds:
			f.order, f.unit = order, transform.Time(time.Nanosecond)
		}
	}
	if f.unit == 0 {
		return nil, fmt.Errorf("neither pcap nor pcapng: it begins with %x", header[:4])
	}
	major, minor := f.order.uint16(header[4:]), f.order.uint16(header[6:])
	if major != 2 || minor > 4 {
		return nil, fmt.Errorf("unknown pcap version %d.%d: 2.0 to 2.4 are read", major, minor)
	}
	f.minor = minor
	f.link = uint16(f.order.uint32(header[20:])) // the upper half describes frame check sequences
	in.held = fileHeaderLen
	return f, nil
}

// isBuffered reports whether the next record was read completely.
func (f *pcap) isBuffered() bool {
	b := f.in.next()
	if len(b) < recordHeaderLen {
		return false
	}
	captured, _ := f.lengths(b)
	return captured <= uint32(len(b)-recordHeaderLen)
}

// next reads a record (section 5). The snapshot length is not enforced: some writers
// exceed it.
func (f *pcap) next(p *Packet) error {
	if err := f.in.release(); err != nil {
		return err
	}
	header, err := f.in.peek(recordHeaderLen)
	if err != nil {
		return err
	}
	captured, original := f.lengths(header)
	if captured > maxPacket {
		return fmt.Errorf("capture length of %d octets: the longest is %d", captured, maxPacket)
	}
	record, err := f.in.peek(recordHeaderLen + int(captured))
	if err != nil {
		return err
	}
	f.in.held = len(record)
	*p = Packet{
		Data: record[recordHeaderLen:],
		// Some writers count the frame check sequence in captured only.
		Length: max(int(captured), int(original)),
		Time: transform.Time(f.order.uint32(record))*transform.Time(time.Second) +
			transform.Time(f.order.uint32(record[4:]))*f.unit,
		Link: f.link,
	}
	return nil
}

// lengths returns the captured and the original length in a record's header. They were in the
// other order until version 2.2, and in some files of version 2.3, as libpcap reads them.
func (f *pcap) lengths(header []byte) (captured, original uint32) {
	captured, original = f.order.uint32(header[8:]), f.order.uint32(header[12:])
	if f.minor < 3 || f.minor == 3 && captured > original {
		return original, captured
	}
	return captured, original
}
