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

	// Decapsulate opens GRE, ERSPAN and VXLAN tunnels whose outer source is in
	// DecapsulateFrom and whose outer destination is in DecapsulateTo. Each tunnel around
	// a packet must satisfy both. DecapsulateFrom is required with Decapsulate.
	//
	// If DecapsulateTo is empty, a live capture takes the addresses of its interfaces for
	// it, except loopback and link-local ones. It reads them once, when it begins: name
	// the destinations where an interface gets its address later, or a new one. A replay
	// has no interface and then takes every destination.
	Decapsulate     bool
	DecapsulateFrom []netip.Prefix
	DecapsulateTo   []netip.Prefix

	Promiscuous    bool
	VerifyChecksum bool // drop all UDP datagrams whose checksum is wrong, not only those that came in fragments

	Ring  int // bytes of each ring, of which there is one per interface and lane
	Lanes int
}
