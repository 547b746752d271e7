package pcap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/capfile"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// longestBurst is the most packets that a lane takes in one burst.
const longestBurst = 256

// A Replay passes the messages of capture files to a lane. It reads the files one after
// the other as if they were one: a stream or a datagram may begin in one file and end in
// the next, as in captures with rotated files.
type Replay struct {
	dissector *packet.Dissector
	lane      transform.Lane
}

// NewReplay returns a Replay that has read no file. Of cfg it uses Resolvers,
// VerifyChecksum, and the fields about tunnels.
func NewReplay(cfg Config, lane transform.Lane) (*Replay, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	to := cfg.DecapsulateTo
	if len(to) == 0 {
		to = allAddresses()
	}
	return &Replay{packet.New(cfg.dissectorConfig(to)), lane}, nil
}

// Read reads a pcap or pcapng file. Damage is an error that names the byte offset; the
// lane has taken the packets before it.
//
// When ctx ends, Read returns the context's cause before it reads again from r.
func (p *Replay) Read(ctx context.Context, r io.Reader) error {
	file, err := openCapture(untilDone{ctx, r})
	for err == nil {
		err = replayBurst(file, p.dissector, p.lane)
	}
	if errors.Is(err, capfile.ErrCutOff) {
		p.lane.Begin()
		p.lane.Drop(transform.Malformed)
		p.lane.End()
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("reading the capture: %w", err)
}

// maxScanned is the most packets that QuerySenders reads.
const maxScanned = 1_000_000

// QuerySenders reads the beginning of a capture file, and returns the addresses that send most
// queries to port 53 without recursion desired, as resolvers do. Damage ends the reading.
func QuerySenders(ctx context.Context, r io.Reader) []packet.Sender {
	d := packet.New(packet.Config{})
	file, err := openCapture(untilDone{ctx, r})
	for n := 0; err == nil && n < maxScanned; n++ {
		var p capfile.Packet
		if err = file.Next(&p); err == nil {
			d.Frame(packet.Link(p.Link), &packet.CapturedPacket{Data: p.Data, Length: p.Length, Time: max(p.Time, 0)}, discard{})
		}
	}
	s := d.Stats()
	return s.Queries.Senders.All()
}

// discard is a sink for dissectors of which only the counts are used.
type discard struct{}

func (discard) Take(*transform.Message) transform.Reason { return transform.Kept }
func (discard) Drop(transform.Reason)                    {}

// openCapture reads the file's header. It returns an error for a pcap file with an
// unsupported link layer. In a pcapng file each packet has its own link layer: the dissector
// counts unsupported ones.
func openCapture(r io.Reader) (*capfile.Reader, error) {
	file, err := capfile.NewReader(r)
	if err != nil {
		return nil, err
	}
	if link, ok := file.FileLink(); ok {
		return file, packet.Link(link).Check()
	}
	return file, nil
}

// Close ends incomplete datagrams and streams, closes the lane, and returns the counts of
// all files.
func (p *Replay) Close() packet.Stats {
	p.lane.Begin()
	p.dissector.Finish(p.lane)
	p.lane.End()
	p.lane.Close()
	return p.dissector.Stats()
}

// replayBurst reads packets into one burst, until reading may block.
func replayBurst(file *capfile.Reader, d *packet.Dissector, lane transform.Lane) error {
	var p capfile.Packet
	if err := file.Next(&p); err != nil {
		return err
	}
	lane.Begin()
	defer lane.End()
	for range longestBurst {
		replayPacket(&p, d, lane)
		if file.MayBlock() {
			return nil
		}
		if err := file.Next(&p); err != nil {
			return err
		}
	}
	replayPacket(&p, d, lane)
	return nil
}

// replayPacket passes a packet to the dissector. A packet without a time cannot be paired: it
// is dropped as malformed if its time is out of range, and counted as not needed if the file
// states none.
func replayPacket(p *capfile.Packet, d *packet.Dissector, lane transform.Lane) {
	switch {
	case p.Untimed:
		d.Skip()
	case p.Time == transform.NoTime:
		lane.Drop(transform.Malformed)
	default:
		d.Frame(packet.Link(p.Link), &packet.CapturedPacket{Data: p.Data, Length: p.Length, Time: p.Time}, lane)
	}
}

// untilDone returns the context's cause from Read once the context has ended. collector has its
// own, because sources do not import each other.
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
