// Package capfile reads packets from capture files: pcap (draft-ietf-opsawg-pcap) and
// pcapng (draft-ietf-opsawg-pcapng). It must not know what a packet contains, where
// the file comes from, or who uses the packets.
package capfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	bufferSize = 1 << 20
	// maxPacket is libpcap's MAXIMUM_SNAPLEN. A pcap record with a larger length is
	// damage; of a longer pcapng packet only this many octets are returned.
	maxPacket = 256 << 10
)

var (
	// ErrCutOff reports a file that ends inside a record or block.
	ErrCutOff = errors.New("it ends in the middle of a packet")

	errNoHeader = errors.New("the file ends within its header")
)

// A Packet is one captured packet.
type Packet struct {
	Data    []byte         // borrowed until the next call of Next
	Length  int            // of the packet on the wire, in octets; at least len(Data)
	Time    transform.Time // NoTime if it is out of range; of a simple packet, the latest time of its section
	Untimed bool           // a simple packet that precedes every time of its section; Time is NoTime
	Link    uint16         // https://www.tcpdump.org/linktypes.html
}

// A Reader reads the packets of one capture file. Its memory does not depend on the
// file. It is not safe for concurrent use.
type Reader struct {
	in     *input
	pcap   *pcap   // nil for pcapng
	pcapng *pcapng // nil for pcap
}

// NewReader reads the file's header from r: of pcap the file header, of pcapng the
// first section header with a known version. Errors of r can be recognised with
// errors.Is, here and in Next.
func NewReader(r io.Reader) (*Reader, error) {
	in := &input{source: r, buffer: make([]byte, bufferSize)}
	magic, err := in.peek(4)
	if errors.Is(err, io.EOF) || errors.Is(err, ErrCutOff) {
		return nil, errors.New("there is nothing to read")
	}
	if err != nil {
		return nil, err
	}
	file := &Reader{in: in}
	if binary.BigEndian.Uint32(magic) == sectionHeader {
		file.pcapng, err = newPcapng(in)
	} else {
		file.pcap, err = newPcap(in)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, ErrCutOff) {
		return nil, errNoHeader
	}
	return file, err
}

// FileLink returns the link type that all packets of a pcap file have. ok is false for
// pcapng, where each packet has its own.
func (r *Reader) FileLink() (link uint16, ok bool) {
	if r.pcap == nil {
		return 0, false
	}
	return r.pcap.link, true
}

// Next reads the next packet into p. It returns io.EOF at the end of a whole file. Any
// other error names the offset in the file and wraps its cause: ErrCutOff, an error of
// the underlying reader, or a description of the damage. No packet follows an error.
func (r *Reader) Next(p *Packet) (err error) {
	if r.pcap != nil {
		err = r.pcap.next(p)
	} else {
		err = r.pcapng.next(p)
	}
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("at byte %d: %w", r.in.offset(err), err)
}

// MayBlock reports whether Next may have to wait for the underlying reader: the next packet was not
// read completely.
func (r *Reader) MayBlock() bool {
	if r.pcap != nil {
		return !r.pcap.isBuffered()
	}
	return !r.pcapng.isBuffered()
}

// An input reads a file's octets. The first held ones of octets are borrowed by the caller of
// Next, or belong to a block that is not needed.
type input struct {
	source io.Reader
	total  int64  // octets that were read from source
	buffer []byte // its end, up to what was read, is octets
	octets []byte // that were read and not released
	held   int
}

// release discards the held octets, and ends their borrowing.
func (in *input) release() error {
	if in.held > len(in.octets) {
		return in.skip()
	}
	in.octets = in.octets[in.held:]
	in.held = 0
	return nil
}

// skip discards more held octets than were read.
func (in *input) skip() error {
	for in.held > len(in.octets) {
		in.held -= len(in.octets)
		in.octets = nil
		if _, err := in.fill(1); errors.Is(err, io.EOF) {
			return ErrCutOff
		} else if err != nil {
			return err
		}
	}
	return in.release()
}

// peek returns the next n octets, which are borrowed until release. n is at most
// bufferSize. It returns io.EOF if there is no octet left, and ErrCutOff if there are
// fewer than n.
func (in *input) peek(n int) ([]byte, error) {
	if n > len(in.octets) {
		return in.fill(n)
	}
	return in.octets[:n], nil
}

// fill reads until there are n octets, and as many more as are available and fit. It returns as peek.
func (in *input) fill(n int) ([]byte, error) {
	left := copy(in.buffer, in.octets)
	read, err := io.ReadAtLeast(in.source, in.buffer[left:], n-left)
	in.total += int64(read)
	in.octets = in.buffer[:left+read]
	if len(in.octets) > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return nil, ErrCutOff
	}
	if err != nil {
		return nil, err
	}
	return in.octets[:n], nil
}

// next returns the octets after the held ones, as far as they were read.
func (in *input) next() []byte { return in.octets[min(in.held, len(in.octets)):] }

// offset returns the number of octets before the record or block that caused err. For
// ErrCutOff it returns the length of the file.
func (in *input) offset(err error) int64 {
	if errors.Is(err, ErrCutOff) {
		return in.total
	}
	return in.total - int64(len(in.octets))
}
