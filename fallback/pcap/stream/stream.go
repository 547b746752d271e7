package stream

import (
	"net/netip"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Flow identifies a connection between a resolver and a server.
type Flow struct{ Resolver, Server netip.AddrPort }

// A Segment is a captured TCP segment (RFC 9293 section 3.1).
type Segment struct {
	Flow          Flow
	Response      bool   // sent by the server
	Seq           uint32 // of the SYN if it is set, else of the first octet
	SYN, FIN, RST bool
	Payload       []byte // borrowed until the call returns
	Missing       int    // octets after Payload that were on the wire but not captured
	Time          transform.Time
}

// A Sink takes the messages of a Table. It must not call the Table.
type Sink interface {
	// Message takes a DNS message of at least 12 octets, without its length. f and wire
	// are borrowed until it returns. at is the time of the segment that completed the
	// message.
	Message(f *Flow, response bool, wire []byte, at transform.Time)
	// Broken reports a lost message: it began and did not become complete, it was in a
	// gap, or its length was invalid.
	Broken()
}

// Limits bounds what a Table holds. A value of zero or less means the value of DefaultLimits.
type Limits struct {
	Streams     int            // connections with data; the least recently used is evicted
	Embryonic   int            // connections without data; the oldest is evicted
	StreamBytes int            // octets of buffers for segments out of order, per direction
	Bytes       int            // octets of all buffers, used and free
	Idle        transform.Time // after which a silent connection ends
}

// DefaultLimits returns limits for a resolver with some thousand concurrent connections.
func DefaultLimits() Limits {
	return Limits{
		Streams:     4096,
		Embryonic:   1024,
		StreamBytes: 128 << 10,
		Bytes:       8 << 20,
		Idle:        transform.Time(60 * time.Second),
	}
}

// filled returns l with its unset values replaced by defaults.
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

// Stats counts the input and results of a Table since New, and what it holds.
type Stats struct {
	Segments      uint64
	Retransmitted uint64 // segments with payload but no new octet
	OutOfOrder    uint64 // segments that came before an earlier part of their stream
	Gaps          uint64 // holes that were given up
	LostBytes     uint64 // octets in those holes
	CopiedBytes   uint64 // octets copied because they could not be used at once
	DroppedBytes  uint64 // octets of unsynchronised streams in which no message was recognised
	OutsideWindow uint64 // segments outside of the window of their stream
	Resynced      uint64 // messages recognised at the start of a segment in an unsynchronised stream
	Rejected      uint64 // of those, rejected when they were complete
	Messages      uint64 // delivered
	ZeroLengths   uint64 // lengths of zero, which are skipped
	Broken        uint64 // as reported to the sink

	Begun            uint64 // connections that began
	Ended            uint64 // connections that ended by FIN in both directions, or RST
	Expired          uint64 // connections that were silent for Limits.Idle
	Evicted          uint64 // connections with data, evicted for others
	EvictedEmbryonic uint64 // connections without data, evicted for others
	EvictedBuffers   uint64 // directions whose buffers were evicted because of Limits.Bytes

	Streams   int // connections held that have sent data, including those that ended recently
	Embryonic int // connections held that have sent none
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
	s.OutsideWindow += o.OutsideWindow
	s.Resynced += o.Resynced
	s.Rejected += o.Rejected
	s.Messages += o.Messages
	s.ZeroLengths += o.ZeroLengths
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
