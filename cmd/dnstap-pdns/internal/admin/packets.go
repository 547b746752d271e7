package admin

import (
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
)

// Packets is what a packet source counts beside its messages: a message may be many
// packets, and a packet none.
type Packets struct {
	StandsIn  bool   `json:"stands_in"` // captures only while dnstap tells nothing outward
	Capturing bool   `json:"capturing"`
	Captures  uint64 `json:"captures"` // times that it began to
	Broken    uint64 `json:"broken"`   // of those: times that it failed
	Failed    uint64 `json:"failed"`   // times that it could not begin

	Damaged    uint64            `json:"damaged"` // packets that lay in a block that contradicts itself
	Interfaces []Interface       `json:"interfaces"`
	Counts     map[string]uint64 `json:"counts"` // as PacketCounts names them
}

// Interface is what the kernel counts at one, of what its filter lets through.
type Interface struct {
	Name     string `json:"name"`
	Up       bool   `json:"up"`
	Received uint64 `json:"received"` // packets that came into the ring
	Dropped  uint64 `json:"dropped"`  // packets that found it full
}

func packetsOf(p *sensor.PacketStats) *Packets {
	shown := &Packets{
		StandsIn:   p.StandsIn,
		Capturing:  p.Capturing,
		Captures:   p.Captures,
		Broken:     p.Ended.Broken,
		Failed:     p.Failed,
		Damaged:    p.Rings.Damaged,
		Interfaces: []Interface{},
		Counts:     map[string]uint64{},
	}
	for _, i := range p.Rings.Interfaces {
		shown.Interfaces = append(shown.Interfaces, Interface{Name: i.Name, Up: i.Up, Received: i.Packets, Dropped: i.Drops})
	}
	for _, c := range PacketCounts(&p.Packets) {
		shown.Counts[c.Name] = c.N
	}
	return shown
}

// Named returns the counts with their meanings, in the order of PacketCounts.
func (p *Packets) Named() []PacketCount {
	all := PacketCounts(&packet.Stats{})
	for i := range all {
		all[i].N = p.Counts[all[i].Name]
	}
	return all
}

// A PacketCount is one of the counts of what was found in packets.
type PacketCount struct {
	Name    string
	N       uint64
	Meaning string
}

// PacketCounts lists those that an operator can do something about, or wonders at.
func PacketCounts(s *packet.Stats) []PacketCount {
	return []PacketCount{
		{"packets", s.Packets, "that were captured"},
		{"other", s.Other, "packets that have nothing to do with a resolver's own queries"},
		{"cut", s.Cut, "packets that were captured shorter than they were"},
		{"unknown_link", s.UnknownLink, "packets with a link layer that is not understood"},
		{"bad_checksum", s.BadChecksum, "UDP datagrams with a wrong checksum"},
		{"tunnelled", s.Tunnelled, "packets that were found in others"},
		{"too_deep", s.TooDeep, "packets in more tunnels than are looked into"},
		{"tunnels_refused", s.TunnelsRefused, "tunnels that were not opened because of their source or destination address"},
		{"fragments", s.Fragments.Seen, "packets that were a part of a datagram"},
		{"assembled", s.Fragments.Assembled, "datagrams that came whole from fragments"},
		{"fragments_malformed", s.Fragments.Malformed, "fragments that were cut, or of an impossible size"},
		{"fragments_repeated", s.Fragments.Repeated, "fragments that came again"},
		{"overlapping", s.Fragments.Overlapping, "datagrams of which fragments contradict each other, or are too many"},
		{"fragments_expired", s.Fragments.Expired, "datagrams that were not whole in time"},
		{"fragments_evicted", s.Fragments.Evicted, "datagrams in fragments that others needed the room of"},
		{"tcp_segments", s.Streams.Segments, "packets that were a part of a TCP stream"},
		{"tcp_messages", s.Streams.Messages, "messages that came over TCP"},
		{"tcp_broken", s.Streams.Broken, "messages over TCP that did not come whole"},
		{"tcp_retransmitted", s.Streams.Retransmitted, "segments that brought nothing new"},
		{"tcp_out_of_order", s.Streams.OutOfOrder, "segments that came before others they follow"},
		{"tcp_gaps", s.Streams.Gaps, "holes in streams that were never filled"},
		{"tcp_lost_bytes", s.Streams.LostBytes, "bytes in those holes"},
		{"tcp_dropped_bytes", s.Streams.DroppedBytes, "bytes of streams joined in the middle, before a message was seen to begin"},
		{"tcp_resynced", s.Streams.Resynced, "messages at which such a stream was joined"},
		{"tcp_expired", s.Streams.Expired, "streams that were silent for long"},
		{"tcp_evicted", s.Streams.Evicted + s.Streams.EvictedEmbryonic + s.Streams.EvictedBuffers, "streams that others needed the room of"},
	}
}
