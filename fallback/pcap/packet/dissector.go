package packet

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/stream"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Config says what is looked for.
type Config struct {
	Resolvers      []netip.Prefix // whose queries, and the answers to them, are outward
	Decapsulate    bool           // open GRE, ERSPAN and VXLAN tunnels
	TunnelsFrom    []netip.Prefix // sources of the tunnels that are opened; empty: none
	TunnelsTo      []netip.Prefix // and their destinations; empty: none
	VerifyChecksum bool           // any UDP datagram with a wrong checksum is malformed, not only what came in fragments
}

// Captured is a packet as it was captured.
type Captured struct {
	Data   []byte // borrowed until the call that takes it returns
	Length int    // of the packet on the wire; more than len(Data) where it was cut
	Time   transform.Time
}

// A Sink takes messages, which it borrows, and what should have been one.
type Sink interface {
	Take(*transform.Message) transform.Reason
	Drop(transform.Reason)
}

// A Dissector reads the packets of one lane. It is not safe for concurrent use.
type Dissector struct {
	config      Config
	resolvers   transform.Networks
	tunnelsFrom transform.Networks
	tunnelsTo   transform.Networks
	fragments   *fragments
	streams     *stream.Table
	stats       Stats

	// Of the packet at hand.
	sink    Sink
	time    transform.Time
	missing int // bytes behind the packet's end that were not captured
	depth   int // tunnels around it

	message transform.Message
	segment stream.Segment
}

// New returns a Dissector that has seen nothing yet.
func New(c Config) *Dissector {
	return &Dissector{
		config:      c,
		resolvers:   transform.NewNetworks(c.Resolvers),
		tunnelsFrom: transform.NewNetworks(c.TunnelsFrom),
		tunnelsTo:   transform.NewNetworks(c.TunnelsTo),
		fragments:   newFragments(),
		streams:     stream.New(stream.DefaultLimits()),
	}
}

// Frame takes a packet that begins with its link layer's header.
func (d *Dissector) Frame(link Link, c *Captured, sink Sink) {
	d.begin(c, sink)
	d.frame(link, c.Data)
}

// Network takes a packet that begins with its network header, of the protocol with
// that EtherType.
func (d *Dissector) Network(etherType uint16, c *Captured, sink Sink) {
	d.begin(c, sink)
	d.network(etherType, c.Data)
}

// Skip counts a packet that is not needed, without reading it.
func (d *Dissector) Skip() {
	d.stats.Packets++
	d.other()
}

func (d *Dissector) begin(c *Captured, sink Sink) {
	d.stats.Packets++
	d.sink, d.time, d.depth = sink, c.Time, 0
	d.missing = max(0, c.Length-len(c.Data))
	if d.missing > 0 {
		d.stats.Cut++
	}
}

// Finish ends what is held: a message of which a part came over TCP is malformed, a
// datagram of which fragments are missing is counted with those.
func (d *Dissector) Finish(sink Sink) {
	d.sink = sink
	d.fragments.end()
	d.streams.Finish((*toMessages)(d))
}

// malformed counts a packet that should have been a message.
func (d *Dissector) malformed() { d.sink.Drop(transform.Malformed) }

// other counts a packet that nothing is wanted of.
func (d *Dissector) other() { d.stats.Other++ }
