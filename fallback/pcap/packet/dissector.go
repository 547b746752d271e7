package packet

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/stream"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Config selects the packets that become messages.
type Config struct {
	Resolvers      []netip.Prefix // their queries and the responses to these are outward
	Decapsulate    bool           // open GRE, ERSPAN, VXLAN, GENEVE and IP-in-IP tunnels
	VXLANPorts     []uint16       // UDP destination ports of VXLAN
	TunnelsFrom    []netip.Prefix // source addresses of the tunnels that are opened; empty: none
	TunnelsTo      []netip.Prefix // destination addresses of these tunnels; empty: none
	VerifyChecksum bool           // drop every UDP datagram with a wrong checksum as malformed, not only reassembled ones
}

// CapturedPacket is a captured packet.
type CapturedPacket struct {
	Data   []byte // borrowed until the call that takes it returns
	Length int    // of the packet on the wire, in octets; more than len(Data) if it was cut
	Time   transform.Time
}

// A Sink takes messages, which it borrows, and counts those that are dropped.
type Sink interface {
	Take(*transform.Message) transform.Reason
	Drop(transform.Reason)
}

// A Dissector reads the packets of one lane. It is not safe for concurrent use.
type Dissector struct {
	config      Config
	resolvers   resolverSet
	tunnelsFrom transform.Networks
	tunnelsTo   transform.Networks
	fragments   *fragments
	streams     *stream.Table
	stats       Stats

	// Of the current packet.
	sink    Sink
	time    transform.Time
	missing int // octets after the packet's end that were not captured
	depth   int // number of tunnels around it

	message transform.Message // has no Zone and no Frame
	segment stream.Segment
}

// New returns a Dissector that has read no packet.
func New(c Config) *Dissector {
	return &Dissector{
		config:      c,
		resolvers:   newResolverSet(c.Resolvers),
		tunnelsFrom: transform.NewNetworks(c.TunnelsFrom),
		tunnelsTo:   transform.NewNetworks(c.TunnelsTo),
		fragments:   newFragments(),
		streams:     stream.New(stream.DefaultLimits()),
	}
}

// Frame takes a packet that begins with its link layer's header.
func (d *Dissector) Frame(link Link, c *CapturedPacket, sink Sink) {
	d.begin(c, sink)
	d.frame(link, c.Data)
}

// Network takes a packet that begins with the network header of the EtherType.
func (d *Dissector) Network(etherType uint16, c *CapturedPacket, sink Sink) {
	d.begin(c, sink)
	d.network(etherType, c.Data)
}

// Skip counts a packet as not needed, without reading it.
func (d *Dissector) Skip() {
	d.stats.Packets++
	d.countOther()
}

func (d *Dissector) begin(c *CapturedPacket, sink Sink) {
	d.stats.Packets++
	d.sink, d.time, d.depth = sink, c.Time, 0
	d.missing = max(0, c.Length-len(c.Data))
	if d.missing > 0 {
		d.stats.Cut++
	}
	d.streams.ExpireHoles(c.Time, (*streamSink)(d)) // before the lane's clock sees the time
}

// Finish ends incomplete datagrams and streams. An incomplete message over TCP is dropped
// as malformed, and an incomplete datagram is counted as expired.
func (d *Dissector) Finish(sink Sink) {
	d.sink = sink
	d.fragments.releaseAll()
	d.streams.Finish((*streamSink)(d))
}

// dropMalformed drops the current packet, or a message over TCP, as malformed.
func (d *Dissector) dropMalformed() { d.sink.Drop(transform.Malformed) }

// countOther counts the current packet as not needed.
func (d *Dissector) countOther() { d.stats.Other++ }
