package pcap

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A session is one capture: its rings, and a reader for each lane.
type session struct {
	rings   *ring.Capture
	readers []*reader
	sampler *sampler
}

// run reads packets until ctx ends, and then the packets that were received before.
func (s *session) run(ctx context.Context) error {
	var tasks sync.WaitGroup
	for _, r := range s.readers {
		tasks.Go(r.run)
	}
	tasks.Go(func() { s.sampler.run(ctx) })
	err := s.rings.Run(ctx)
	tasks.Wait()
	return err
}

// stats returns the sum of the counts of rings and readers.
func (s *session) stats() Stats {
	total := Stats{Rings: s.rings.Stats()}
	for _, r := range s.readers {
		total.Packets.Add(r.published())
	}
	total.Packets.Add(s.sampler.counts())
	return total
}

// A reader passes the packets of one lane's rings to that lane.
type reader struct {
	ring      *ring.Reader
	dissector *packet.Dissector
	lane      transform.Lane

	mu    sync.Mutex
	stats packet.Stats // as of the end of the last burst
}

func (r *reader) run() {
	defer r.lane.Close()
	for r.ring.Wait() {
		r.burst()
	}
	r.lane.Begin()
	r.dissector.Finish(r.lane)
	r.lane.End()
	r.publish()
}

func (r *reader) burst() {
	r.lane.Begin()
	var p ring.Packet
	for n := 0; n < longestBurst && r.ring.Next(&p); n++ {
		c := packet.CapturedPacket{Data: p.Data, Length: p.Length, Time: p.Time}
		r.dissector.Network(p.Protocol, &c, r.lane)
	}
	r.lane.End()
	r.publish()
}

// publish copies the dissector's counts, which only the reader's goroutine may read.
func (r *reader) publish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats = r.dissector.Stats()
}

// published returns the counts as of the last publish.
func (r *reader) published() packet.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// destinations returns the destinations of tunnels that a live capture opens:
// DecapsulateTo or, if that is empty, the current addresses of its interfaces.
func (s *Source) destinations() ([]netip.Prefix, error) {
	c := &s.config
	if !c.Decapsulate || len(c.DecapsulateTo) > 0 {
		return c.DecapsulateTo, nil
	}
	to, err := addressesOf(c.Interfaces)
	if err == nil && len(to) == 0 {
		s.log.Warn("all tunnels are refused: decapsulate_to is empty and the interfaces have no address: " +
			"set decapsulate_to to the destination addresses of the tunnels")
	}
	return to, err
}

// addressesOf returns the addresses of the named interfaces, except loopback and
// link-local ones. An interface that does not exist has none.
func addressesOf(names []string) ([]netip.Prefix, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	var all []netip.Prefix
	for _, i := range interfaces {
		if !slices.Contains(names, i.Name) && !slices.Contains(names, ring.Any) {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("read the addresses of interface %s: %w", i.Name, err)
		}
		for _, a := range addresses {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().IsGlobalUnicast() {
				all = append(all, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
			}
		}
	}
	return all, nil
}
