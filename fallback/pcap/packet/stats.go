package packet

import (
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/stream"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Stats counts packets. They are separate from the account of messages.
type Stats struct {
	Packets uint64 // captured
	Other   uint64 // of those: not needed, including TCP that is not outward
	Cut     uint64 // of those: captured only in part

	UnknownLink uint64 // packets with an unsupported link layer
	BadChecksum uint64 // UDP datagrams with a wrong checksum; verified if reassembled, or all
	Tunnelled   uint64 // packets found in tunnels
	TooDeep     uint64 // packets in more than maxDepth tunnels

	TunnelsRefused uint64 // tunnels not opened because of their addresses

	Fragments FragmentStats
	Streams   stream.Stats
}

// FragmentStats counts fragments and their datagrams.
type FragmentStats struct {
	Seen        uint64 // fragments
	Malformed   uint64 // of those: cut, or of an impossible size
	Repeated    uint64 // of those: copies, also of complete datagrams
	Assembled   uint64 // datagrams completed
	Overlapping uint64 // datagrams whose fragments contradict each other or are too many
	Expired     uint64 // datagrams that were not complete in time
	Evicted     uint64 // datagrams evicted for others
}

// Rows returns the counts for operators.
func (s *Stats) Rows() []transform.Row {
	rows := []transform.Row{
		{Name: "packets", Value: s.Packets, Meaning: "packets that were captured"},
		{Name: "other", Value: s.Other, Meaning: "packets that have nothing to do with a resolver's own queries"},
		{Name: "cut", Value: s.Cut, Meaning: "packets that were captured shorter than they were"},
		{Name: "unknown_link", Value: s.UnknownLink, Meaning: "packets with a link layer that is not understood"},
		{Name: "bad_checksum", Value: s.BadChecksum, Meaning: "UDP datagrams with a wrong checksum"},
		{Name: "tunnelled", Value: s.Tunnelled, Meaning: "packets that were found in others"},
		{Name: "too_deep", Value: s.TooDeep, Meaning: "packets in more tunnels than are looked into"},
		{Name: "tunnels_refused", Value: s.TunnelsRefused, Meaning: "tunnels that were not opened because of their source or destination address"},
		{Name: "fragments", Value: s.Fragments.Seen, Meaning: "packets that were a part of a datagram"},
		{Name: "assembled", Value: s.Fragments.Assembled, Meaning: "datagrams that came whole from fragments"},
		{Name: "fragments_malformed", Value: s.Fragments.Malformed, Meaning: "fragments that were cut, or of an impossible size"},
		{Name: "fragments_repeated", Value: s.Fragments.Repeated, Meaning: "fragments that came again"},
		{Name: "overlapping", Value: s.Fragments.Overlapping, Meaning: "datagrams of which fragments contradict each other, or are too many"},
		{Name: "fragments_expired", Value: s.Fragments.Expired, Meaning: "datagrams that were not whole in time"},
		{Name: "fragments_evicted", Value: s.Fragments.Evicted, Meaning: "datagrams in fragments that others needed the room of"},
		{Name: "tcp_segments", Value: s.Streams.Segments, Meaning: "packets that were a part of a TCP stream"},
		{Name: "tcp_messages", Value: s.Streams.Messages, Meaning: "messages that came over TCP"},
		{Name: "tcp_broken", Value: s.Streams.Broken, Meaning: "messages over TCP that did not come whole"},
		{Name: "tcp_retransmitted", Value: s.Streams.Retransmitted, Meaning: "segments that brought nothing new"},
		{Name: "tcp_out_of_order", Value: s.Streams.OutOfOrder, Meaning: "segments that came before others they follow"},
		{Name: "tcp_gaps", Value: s.Streams.Gaps, Meaning: "holes in streams that were never filled"},
		{Name: "tcp_lost_bytes", Value: s.Streams.LostBytes, Meaning: "bytes in those holes"},
		{Name: "tcp_dropped_bytes", Value: s.Streams.DroppedBytes, Meaning: "bytes of streams joined in the middle, before a message was seen to begin"},
		{Name: "tcp_resynced", Value: s.Streams.Resynced, Meaning: "messages at which such a stream was joined"},
		{Name: "tcp_expired", Value: s.Streams.Expired, Meaning: "streams that were silent for long"},
		{Name: "tcp_evicted", Value: s.Streams.Evicted + s.Streams.EvictedEmbryonic + s.Streams.EvictedBuffers, Meaning: "streams that others needed the room of"},
	}
	for i := range rows {
		rows[i].Metric = "capture_" + rows[i].Name + "_total"
	}
	return rows
}

// Stats returns the current counts.
func (d *Dissector) Stats() Stats {
	s := d.stats
	s.Fragments = d.fragments.stats
	s.Streams = d.streams.Stats()
	return s
}

// Add adds the counts of another dissector.
func (s *Stats) Add(o Stats) {
	s.Packets += o.Packets
	s.Other += o.Other
	s.Cut += o.Cut
	s.UnknownLink += o.UnknownLink
	s.BadChecksum += o.BadChecksum
	s.Tunnelled += o.Tunnelled
	s.TooDeep += o.TooDeep
	s.TunnelsRefused += o.TunnelsRefused
	s.Fragments.add(o.Fragments)
	s.Streams.Add(o.Streams)
}

func (s *FragmentStats) add(o FragmentStats) {
	s.Seen += o.Seen
	s.Malformed += o.Malformed
	s.Repeated += o.Repeated
	s.Assembled += o.Assembled
	s.Overlapping += o.Overlapping
	s.Expired += o.Expired
	s.Evicted += o.Evicted
}
