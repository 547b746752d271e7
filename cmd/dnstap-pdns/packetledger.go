package main

import (
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
)

// A count is one of a packet source's own. They stand outside the account of
// messages: a message may be many packets, and a packet none.
type count struct {
	name    string
	n       uint64
	meaning string
}

// packetCounts lists those that an operator can do something about, or wonders at.
func packetCounts(s *packet.Stats) []count {
	return []count{
		{"packets", s.Packets, "that were captured"},
		{"other", s.Other, "packets that have nothing to do with a resolver's own queries"},
		{"cut", s.Cut, "packets that were captured shorter than they were"},
		{"unknown_link", s.UnknownLink, "packets with a link layer that is not understood"},
		{"bad_checksum", s.BadChecksum, "UDP datagrams with a wrong checksum"},
		{"tunnelled", s.Tunnelled, "packets that were found in others"},
		{"too_deep", s.TooDeep, "packets in more tunnels than are looked into"},
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

// printPackets prints those that are not zero, if there were packets at all.
func printPackets(w io.Writer, s *packet.Stats) {
	if s.Packets == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	defer t.Flush()
	for _, c := range packetCounts(s) {
		if c.n > 0 {
			printLine(t, c.name, c.n, c.meaning)
		}
	}
}

// logPackets writes a line for each packet source.
func logPackets(log *slog.Logger, sources []sensor.PacketStats) {
	for i := range sources {
		s := &sources[i]
		attrs := []any{slog.String("source", s.Name), slog.Group("captures", captureAttrs(&s.Stats)...), slog.Group("kernel", ringAttrs(&s.Rings)...)}
		for _, c := range packetCounts(&s.Packets) {
			if c.n > 0 {
				attrs = append(attrs, slog.Uint64(c.name, c.n))
			}
		}
		log.Info("packets", attrs...)
	}
}

// captureAttrs says how often a source began to capture, and why it ended.
func captureAttrs(s *pcap.Stats) []any {
	return []any{
		slog.Uint64("begun", s.Captures),
		slog.Uint64("ended_by_dnstap", s.Ended.Told),
		slog.Uint64("stopped", s.Ended.Stopped),
		slog.Uint64("broken", s.Ended.Broken),
		slog.Uint64("failed", s.Failed),
	}
}

func ringAttrs(s *ring.Stats) []any {
	attrs := []any{slog.Uint64("received", s.Packets), slog.Uint64("dropped", s.Drops), slog.Uint64("damaged", s.Damaged)}
	for _, i := range s.Interfaces {
		attrs = append(attrs, slog.Group(i.Name, "received", i.Packets, "dropped", i.Drops))
	}
	return attrs
}
