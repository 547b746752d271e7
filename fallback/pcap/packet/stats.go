package packet

import "github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/stream"

// Stats counts packets, beside the account of messages.
type Stats struct {
	Packets uint64 // that were captured
	Other   uint64 // of those: nothing that is wanted of; also TCP that is not outward
	Cut     uint64 // of those: captured shorter than they were

	UnknownLink uint64 // packets of which the link layer is not understood
	BadChecksum uint64 // UDP datagrams of which that was wrong; verified of those that came in fragments, or all
	Tunnelled   uint64 // packets that were found in others
	TooDeep     uint64 // packets in more tunnels than are looked into

	TunnelsRefused uint64 // tunnels that were not opened because of their addresses

	Fragments FragmentStats
	Streams   stream.Stats
}

// FragmentStats counts fragments and what becomes of them.
type FragmentStats struct {
	Seen        uint64 // fragments
	Malformed   uint64 // of those: cut, or of an impossible size
	Repeated    uint64 // of those: the same again, of what was whole too
	Assembled   uint64 // datagrams that came whole
	Overlapping uint64 // datagrams of which pieces contradict each other, or are too many
	Expired     uint64 // datagrams that were not whole in time
	Evicted     uint64 // datagrams that others needed the room of
}

// Stats returns the counts as of now.
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
