package pcap

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
)

const (
	sampleInterval = 10 * time.Second // between two samples
	sampleTime     = 2 * time.Second  // of one sample, at most
	samplePackets  = 1000             // in one sample, at most
	enoughPackets  = 20               // if as many pass the filter within sampleInterval, no sample is taken
)

// A sampler finds out why hardly any packet passes the filter of a capture: it samples packets
// that the filter drops, and counts the addresses and tunnels in them.
type sampler struct {
	interfaces []string
	passed     func() uint64 // packets that passed the filter so far
	sample     func(ctx context.Context, interfaces []string, limit int, take func(*ring.Packet)) error
	dissector  *packet.Dissector
	log        *slog.Logger

	mu      sync.Mutex
	sampled packet.Stats // of all samples
}

// run samples until ctx ends, whenever hardly any packet has passed the filter.
func (s *sampler) run(ctx context.Context) {
	var before uint64
	failed := false
	for pause(ctx, sampleInterval) {
		now := s.passed()
		few := now-before < enoughPackets
		before = now
		if !few {
			continue
		}
		if err := s.take(ctx); err != nil && !failed {
			failed = true
			s.log.Warn("sampling packets failed, so status cannot name the addresses that resolvers does not list", "error", err)
		}
	}
}

// take takes one sample.
func (s *sampler) take(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, sampleTime)
	defer stop()
	err := s.sample(ctx, s.interfaces, samplePackets, func(p *ring.Packet) {
		c := packet.CapturedPacket{Data: p.Data, Length: p.Length, Time: p.Time}
		s.dissector.Network(p.Protocol, &c, discard{})
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sampled = s.dissector.Stats()
	return err
}

// counts returns the counts of samples that say why packets were not read, and no others.
func (s *sampler) counts() packet.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return packet.Stats{Queries: s.sampled.Queries, Unread: s.sampled.Unread}
}
