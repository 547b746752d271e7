package main

import (
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
)

// printPackets prints those that are not zero, if there were packets at all.
func printPackets(w io.Writer, s *packet.Stats) {
	if s.Packets == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	defer t.Flush()
	for _, c := range admin.PacketCounts(s) {
		if c.N > 0 {
			printLine(t, c.Name, c.N, c.Meaning)
		}
	}
}

// logPackets writes a line for each packet source.
func logPackets(log *slog.Logger, sources []sensor.PacketStats) {
	for i := range sources {
		s := &sources[i]
		attrs := []any{slog.String("source", s.Name), slog.Group("captures", captureAttrs(&s.Stats)...), slog.Group("kernel", ringAttrs(&s.Rings)...)}
		for _, c := range admin.PacketCounts(&s.Packets) {
			if c.N > 0 {
				attrs = append(attrs, slog.Uint64(c.Name, c.N))
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
