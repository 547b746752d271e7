package ring

import (
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Packet is a captured packet without its link layer.
type Packet struct {
	Data     []byte         // from the network header on; valid until the Reader's next Next or Wait
	Protocol uint16         // EtherType of Data; if a VLAN tag is left, its EtherType, and Data begins with the tag
	Length   int            // octets on the wire, from the network header on
	Time     transform.Time // time at which the kernel received it
}

// Values of Packet.Protocol, EtherTypes (linux/if_ether.h). The kernel removes the outermost
// VLAN tag, unless it is an OldQinQ. Package packet has its own constants, because the two
// packages do not import each other.
const (
	IPv4    = 0x0800
	IPv6    = 0x86dd
	VLAN    = 0x8100 // 802.1Q
	QinQ    = 0x88a8 // 802.1ad
	OldQinQ = 0x9100 // before 802.1ad

	mpls  = 0x8847 // Data begins with a label
	pppoe = 0x8864 // Data begins with the session's header
)

func isTag(etherType uint16) bool {
	return etherType == VLAN || etherType == QinQ || etherType == OldQinQ
}

// Counts counts packets that passed the filter.
type Counts struct {
	Packets uint64 // packets written to a ring
	Drops   uint64 // packets dropped because the ring was full
	Freezes uint64 // times that the ring became full
	Damaged uint64 // packets lost in blocks with invalid contents
}

// Stats holds a capture's counts since it was opened.
type Stats struct {
	Counts
	Interfaces []InterfaceStats // in the order of Config.Interfaces
}

// InterfaceStats holds the counts of one interface.
type InterfaceStats struct {
	Name string
	Up   bool // the interface is up; at most a second old
	Counts
}

// Rows returns the counts of an interface.
func (c *Counts) Rows() []transform.Row {
	return []transform.Row{
		{Name: "received", Metric: "capture_received_packets_total", Meaning: "packets that the kernel put into the ring", Value: c.Packets},
		{Name: "dropped", Metric: "capture_dropped_packets_total", Meaning: "packets dropped because the ring was full", Value: c.Drops},
	}
}

// Rows returns the counts of all interfaces together. Received and dropped packets
// have no metric here, because they are the sums of the interfaces' metrics.
func (s *Stats) Rows() []transform.Row {
	rows := s.Counts.Rows()
	for i := range rows {
		rows[i].Metric = ""
	}
	return append(rows, transform.Row{Name: "damaged", Metric: "capture_damaged_packets_total",
		Meaning: "packets in malformed blocks of the ring", Value: s.Damaged})
}

func (c *Counts) add(d Counts) {
	c.Packets += d.Packets
	c.Drops += d.Drops
	c.Freezes += d.Freezes
	c.Damaged += d.Damaged
}

// Add adds another capture's counts. The state of an interface becomes that of o.
func (s *Stats) Add(o Stats) {
	s.add(o.Counts)
	for _, one := range o.Interfaces {
		i := slices.IndexFunc(s.Interfaces, func(known InterfaceStats) bool { return known.Name == one.Name })
		if i < 0 {
			s.Interfaces = append(s.Interfaces, one)
			continue
		}
		s.Interfaces[i].add(one.Counts)
		s.Interfaces[i].Up = one.Up
	}
}
