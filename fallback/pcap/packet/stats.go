package packet

import (
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/stream"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Stats counts packets. The sink counts the messages.
type Stats struct {
	Packets uint64 // captured
	Other   uint64 // of those: not needed, including TCP that is not outward
	Cut     uint64 // of those: captured only in part

	UnknownLink uint64 // packets with an unsupported link layer
	BadChecksum uint64 // UDP datagrams with a wrong checksum; verified if reassembled, or all
	Tunnelled   uint64 // packets found in tunnels
	TooDeep     uint64 // packets in more than maxDepth tunnels

	TunnelsRefused uint64 // tunnels not opened because of their addresses

	Unread [protocols]uint64 // packets in protocols that may contain DNS and are not read

	Fragments FragmentStats
	Streams   stream.Stats
	Queries   QueryStats
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
		{Name: "other", Value: s.Other, Meaning: "packets that are not between a resolver and a server"},
		{Name: "cut", Value: s.Cut, Meaning: "packets that were captured incompletely"},
		{Name: "unknown_link", Value: s.UnknownLink, Meaning: "packets with an unsupported link layer"},
		{Name: "bad_checksum", Value: s.BadChecksum, Meaning: "UDP datagrams with a wrong checksum"},
		{Name: "tunnelled", Value: s.Tunnelled, Meaning: "packets found inside tunnels"},
		{Name: "too_deep", Value: s.TooDeep, Meaning: "packets inside more nested tunnels than are read"},
		{Name: "tunnels_refused", Value: s.TunnelsRefused, Meaning: "tunnels that were not opened because of their source or destination address"},
		{Name: "unlisted_queries", Value: s.Queries.Unlisted, Meaning: "queries to port 53 from addresses that resolvers does not list; live captures count samples"},
		{Name: "client_queries", Value: s.Queries.Clients, Meaning: "queries that ask for recursion, as those of clients do; live captures count samples"},
		{Name: "fragments", Value: s.Fragments.Seen, Meaning: "packets that are fragments of a datagram"},
		{Name: "assembled", Value: s.Fragments.Assembled, Meaning: "datagrams reassembled from fragments"},
		{Name: "fragments_malformed", Value: s.Fragments.Malformed, Meaning: "fragments that were cut, or of an invalid size"},
		{Name: "fragments_repeated", Value: s.Fragments.Repeated, Meaning: "fragments received twice"},
		{Name: "overlapping", Value: s.Fragments.Overlapping, Meaning: "datagrams with overlapping or too many fragments"},
		{Name: "fragments_expired", Value: s.Fragments.Expired, Meaning: "datagrams with fragments missing after the timeout"},
		{Name: "fragments_evicted", Value: s.Fragments.Evicted, Meaning: "incomplete datagrams evicted for others"},
		{Name: "tcp_segments", Value: s.Streams.Segments, Meaning: "packets that are segments of a TCP stream"},
		{Name: "tcp_messages", Value: s.Streams.Messages, Meaning: "messages read from TCP streams"},
		{Name: "tcp_zero_lengths", Value: s.Streams.ZeroLengths, Meaning: "lengths of zero between messages over TCP, which are skipped"},
		{Name: "tcp_broken", Value: s.Streams.Broken, Meaning: "messages over TCP that are incomplete"},
		{Name: "tcp_retransmitted", Value: s.Streams.Retransmitted, Meaning: "segments without new data"},
		{Name: "tcp_out_of_order", Value: s.Streams.OutOfOrder, Meaning: "segments captured before earlier ones"},
		{Name: "tcp_gaps", Value: s.Streams.Gaps, Meaning: "gaps in streams that were never filled"},
		{Name: "tcp_lost_bytes", Value: s.Streams.LostBytes, Meaning: "bytes missing in these gaps"},
		{Name: "tcp_dropped_bytes", Value: s.Streams.DroppedBytes, Meaning: "bytes skipped in streams captured from the middle, before the first message was found"},
		{Name: "tcp_resynced", Value: s.Streams.Resynced, Meaning: "messages at which reading of such a stream began"},
		{Name: "tcp_expired", Value: s.Streams.Expired, Meaning: "streams closed after a long silence"},
		{Name: "tcp_evicted", Value: s.Streams.Evicted + s.Streams.EvictedEmbryonic + s.Streams.EvictedBuffers, Meaning: "streams evicted for others"},
	}
	for p, of := range protocolTable {
		rows = append(rows, transform.Row{Name: "unread_" + of.name, Value: s.Unread[p], Meaning: of.meaning})
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
	for p, n := range o.Unread {
		s.Unread[p] += n
	}
	s.Fragments.add(o.Fragments)
	s.Streams.Add(o.Streams)
	s.Queries.add(&o.Queries)
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
