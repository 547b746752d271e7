package main

import (
	"io"
	"text/tabwriter"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
)

// printPackets prints what became of packets, if there were any. They stand outside
// the account of messages: a message may be many packets, and a packet none.
func printPackets(w io.Writer, s *packet.Stats) {
	if s.Packets == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	defer t.Flush()
	printLine(t, "packets", s.Packets, "that were captured")
	for _, c := range []struct {
		name    string
		n       uint64
		meaning string
	}{
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
		{"overlapping", s.Fragments.Overlapping, "datagrams of which fragments contradict each other"},
		{"expired", s.Fragments.Expired, "datagrams that were not whole in time"},
		{"evicted", s.Fragments.Evicted, "datagrams in fragments that others needed the room of"},
	} {
		if c.n > 0 {
			printLine(t, c.name, c.n, c.meaning)
		}
	}
}
