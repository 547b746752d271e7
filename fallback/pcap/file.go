package pcap

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	fileBuffer = 1 << 20
	// longestPacket is how much is buffered at least where the next packet is sure not
	// to be waited for; a longer one is met once in a lifetime.
	longestPacket = 1<<16 + 64
	// longestCapture is libpcap's MAXIMUM_SNAPLEN.
	longestCapture = 256 << 10
)

// A captureFile reads packets from a capture file, in either format.
type captureFile struct {
	in       *countingReader
	buffered *bufio.Reader
	packets  gopacket.ZeroCopyPacketDataSource

	order binary.ByteOrder // pcap
	link  layers.LinkType

	blocks *blockReader // pcapng, where each packet tells its own link layer; else nil
}

var (
	// errCutOff is an end in the middle of a packet.
	errCutOff = errors.New("it ends in the middle of a packet")

	errNoHeader = errors.New("it ends within its header")
)

// recordHead is what stands before a packet in pcap: time, length as captured, length.
const recordHead = 16

func openFile(r io.Reader) (*captureFile, error) {
	in := &countingReader{r: r}
	f := &captureFile{in: in, buffered: bufio.NewReaderSize(in, fileBuffer)}
	magic, err := f.buffered.Peek(4)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("there is nothing to read")
	}
	if err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(magic) == sectionHeader {
		err = f.openBlocks()
	} else {
		err = f.openRecords()
	}
	if err = f.ended(err, false); errors.Is(err, io.EOF) || errors.Is(err, errCutOff) {
		return nil, errNoHeader
	}
	return f, err
}

func (f *captureFile) openBlocks() (err error) {
	f.blocks = &blockReader{r: f.buffered}
	f.packets, err = pcapgo.NewNgReader(bufio.NewReaderSize(f.blocks, longestPacket), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	return err
}

func (f *captureFile) openRecords() error {
	magic, err := f.buffered.Peek(4)
	if err != nil {
		return err
	}
	f.order = binary.BigEndian
	if magic[0] != 0xa1 { // section 4
		f.order = binary.LittleEndian
	}
	r, err := pcapgo.NewReader(f.buffered)
	if err != nil {
		return err
	}
	r.SetSnaplen(longestCapture)
	f.packets, f.link = r, r.LinkType()
	return packet.Link(f.link).Check()
}

// next reads a packet, which is good until the next call. It returns io.EOF at a
// clean end.
func (f *captureFile) next(c *packet.Captured) (packet.Link, error) {
	if f.blocks == nil {
		if err := f.tellLength(); err != nil {
			return 0, err
		}
	}
	data, info, err := f.packets.ZeroCopyReadPacketData()
	if err != nil {
		return 0, f.ended(err, info.CaptureLength > 0)
	}
	*c = packet.Captured{Data: data, Length: info.Length, Time: instant(info.Timestamp)}
	link := f.link
	if f.blocks != nil {
		link, _ = info.AncillaryData[0].(layers.LinkType)
	}
	return packet.Link(link), nil
}

// tellLength has a packet that is said to be shorter than what was captured of it be as
// long as that, in the buffer from which the library reads it: some writers count the
// frame check sequence in one of the two only, and the library ends there.
func (f *captureFile) tellLength() error {
	head, err := f.buffered.Peek(recordHead)
	if err != nil {
		return f.ended(err, len(head) > 0)
	}
	if captured := f.order.Uint32(head[8:]); f.order.Uint32(head[12:]) < captured {
		f.order.PutUint32(head[12:], captured)
	}
	return nil
}

// ended is why there is no more, where the library says err.
func (f *captureFile) ended(err error, within bool) error {
	if err != nil && f.blocks != nil && f.blocks.err != nil && !errors.Is(f.blocks.err, io.EOF) {
		return f.blocks.err
	}
	if errors.Is(err, io.EOF) && within || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCutOff
	}
	return err
}

// offset is how many bytes were read when err came. Where the file is cut off, that is all
// there are.
func (f *captureFile) offset(err error) int64 {
	if errors.Is(err, errCutOff) {
		return f.in.total
	}
	return f.in.total - int64(f.buffered.Buffered())
}

// waits reports whether the next packet may have to be waited for.
func (f *captureFile) waits() bool { return f.buffered.Buffered() < longestPacket }

// instant is a packet's time; NoTime where the file has none for it, or one that
// does not fit.
func instant(t time.Time) transform.Time {
	const latest = math.MaxInt64/int64(time.Second) - 1
	if sec := t.Unix(); sec < 0 || sec > latest {
		return transform.NoTime
	}
	return transform.Time(t.UnixNano())
}

// A countingReader counts what is read.
type countingReader struct {
	r     io.Reader
	total int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.total += int64(n)
	return n, err
}

// untilDone fails once its context has ended.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
