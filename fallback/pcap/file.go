package pcap

import (
	"bufio"
	"context"
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
	link     layers.LinkType
	mixed    bool // each packet tells its own link layer
}

// errCutOff is an end in the middle of a packet.
var errCutOff = errors.New("it ends in the middle of a packet")

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
	if string(magic) == "\x0a\x0d\x0d\x0a" {
		f.mixed = true
		blocks := bufio.NewReaderSize(&blockReader{r: f.buffered}, longestPacket)
		f.packets, err = pcapgo.NewNgReader(blocks, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		return f, err
	}
	classic, err := pcapgo.NewReader(f.buffered)
	if err != nil {
		return nil, err
	}
	classic.SetSnaplen(longestCapture)
	f.packets, f.link = classic, classic.LinkType()
	return f, packet.Link(f.link).Check()
}

// next reads a packet, which is good until the next call. It returns io.EOF at a
// clean end.
func (f *captureFile) next(c *packet.Captured) (packet.Link, error) {
	data, info, err := f.packets.ZeroCopyReadPacketData()
	switch {
	case errors.Is(err, io.EOF) && info.CaptureLength > 0, errors.Is(err, io.ErrUnexpectedEOF):
		return 0, errCutOff
	case err != nil:
		return 0, err
	}
	*c = packet.Captured{Data: data, Length: info.Length, Time: instant(info.Timestamp)}
	link := f.link
	if f.mixed {
		link, _ = info.AncillaryData[0].(layers.LinkType)
	}
	return packet.Link(link), nil
}

// offset is how many bytes were read.
func (f *captureFile) offset() int64 { return f.in.total - int64(f.buffered.Buffered()) }

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
