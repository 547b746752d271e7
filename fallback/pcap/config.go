package pcap

import (
	"net/netip"
	"time"
)

// When is when a source captures.
type When uint8

const (
	Always When = iota
	Idle        // while no connected dnstap sender has brought anything outward
)

// Config describes one packet source.
type Config struct {
	Name       string         // the block's label
	Interfaces []string       // to capture on; "any" stands for all there are
	Resolvers  []netip.Prefix // whose outward traffic this is

	When      When
	IdleAfter time.Duration // Idle: how long there must have been nothing outward

	Promiscuous    bool
	Decapsulate    bool // also look into GRE, ERSPAN and VXLAN
	VerifyChecksum bool // drop all UDP datagrams whose checksum is wrong, not only those that came in fragments

	Ring  int // bytes of each ring, of which there is one per interface and lane
	Lanes int
}
