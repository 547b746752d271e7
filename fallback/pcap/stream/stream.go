package stream

import (
	"net/netip"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Flow names a connection between a resolver and a server it asks.
type Flow struct{ Resolver, Server netip.AddrPort }

// A Segment is one TCP segment (RFC 9293 section 3.1) as it was captured.
type Segment struct {
	Flow          Flow
	Response      bool   // it comes from the server
	Seq           uint32 // of the SYN if there is one, else of the first octet
	SYN, FIN, RST bool
	Payload       []byte // borrowed for the call
	Missing       int    // octets behind Payload that were on the wire but not captured
	Time          transform.Time
}

// A Sink takes what the streams say. It must not call the table it serves.
type Sink interface {
	// Message brings a DNS message without its length, at least 12 octets. Flow and
	// message are borrowed until it returns. The time is that of the segment that
	// completed the message.
	Message(f *Flow, response bool, wire []byte, at transform.Time)
	// Broken tells of one message that should have been there and is lost: it began
	// and never came whole, a gap took it, or its length lies.
	Broken()
}

// Limits bound what a Table holds. What is zero or less is taken from DefaultLimits.
type Limits struct {
	Streams     int // connections that have sent data; the least recently used goes
	Embryonic   int // connections that have not; the oldest goes
	StreamBytes int // out of order, of each direction of a connection
	Bytes       int // of all buffers, used and kept for use
	Idle        transform.Time
}

// DefaultLimits are enough for a resolver with some thousand connections at a time.
func DefaultLimits() Limits {
	return Limits{
		Streams:     4096,
		Embryonic:   1024,
		StreamBytes: 128 << 10,
		Bytes:       8 << 20,
		Idle:        transform.Time(60 * time.Second),
	}
}

func (l Limits) filled() Limits {
	d := DefaultLimits()
	if l.Streams <= 0 {
		l.Streams = d.Streams
	}
	if l.Embryonic <= 0 {
		l.Embryonic = d.Embryonic
	}
	if l.StreamBytes <= 0 {
		l.StreamBytes = d.StreamBytes
	}
	if l.Bytes <= 0 {
		l.Bytes = d.Bytes
	}
	if l.Idle <= 0 {
		l.Idle = d.Idle
	}
	return l
}

// Stats count what a Table has seen since it was made, and what it holds.
type Stats struct {
	Segments      uint64 // taken
	Retransmitted uint64 // segments with payload that brought nothing new
	OutOfOrder    uint64 // segments that came before what belongs in front of them
	Gaps          uint64 // holes that were given up
	LostBytes     uint64 // octets in those holes
	CopiedBytes   uint64 // octets copied, for they could not be used at once
	DroppedBytes  uint64 // octets of streams out of step, where no message was seen to begin
	Strayed       uint64 // segments too far from their stream to belong to it; it was joined anew
	Resynced      uint64 // messages found at a segment's beginning in a stream out of step
	Doubted       uint64 // of those, messages that proved to be none
	Messages      uint64 // handed out
	Broken        uint64 // as told to the sink

	Begun            uint64 // connections entered
	Ended            uint64 // connections that ended by FIN in both directions, or RST
	Expired          uint64 // connections that were silent for Limits.Idle
	Evicted          uint64 // connections with data that had to go for others
	EvictedEmbryonic uint64 // connections without data that had to go for others
	EvictedBuffers   uint64 // directions of a connection that lost their buffers to Limits.Bytes

	Streams   int // connections held that have sent data, those just ended among them
	Embryonic int // connections held that have not
	Bytes     int // capacity of the buffers in use
}

// Add adds the counts of another table.
func (s *Stats) Add(o Stats) {
	s.Segments += o.Segments
	s.Retransmitted += o.Retransmitted
	s.OutOfOrder += o.OutOfOrder
	s.Gaps += o.Gaps
	s.LostBytes += o.LostBytes
	s.CopiedBytes += o.CopiedBytes
	s.DroppedBytes += o.DroppedBytes
	s.Strayed += o.Strayed
	s.Resynced += o.Resynced
	s.Doubted += o.Doubted
	s.Messages += o.Messages
	s.Broken += o.Broken
	s.Begun += o.Begun
	s.Ended += o.Ended
	s.Expired += o.Expired
	s.Evicted += o.Evicted
	s.EvictedEmbryonic += o.EvictedEmbryonic
	s.EvictedBuffers += o.EvictedBuffers
	s.Streams += o.Streams
	s.Embryonic += o.Embryonic
	s.Bytes += o.Bytes
}
