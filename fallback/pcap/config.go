package pcap

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
)

// When selects the times at which a source captures.
type When uint8

const (
	Always When = iota
	Idle        // while no connected dnstap sender has sent an outward message
)

// Config describes one packet source.
type Config struct {
	Name       string         // the block's label
	Interfaces []string       // to capture on; "any" means all
	Resolvers  []netip.Prefix // whose outward traffic is read

	When      When
	IdleAfter time.Duration // Idle: time without an outward message over dnstap until a capture begins

	// Decapsulate opens GRE, ERSPAN, VXLAN, GENEVE and IP-in-IP tunnels whose outer source
	// is in DecapsulateFrom and whose outer destination is in DecapsulateTo. Each tunnel
	// around a packet must satisfy both. DecapsulateFrom is required with Decapsulate.
	//
	// If DecapsulateTo is empty, a live capture uses the addresses of its interfaces, except
	// loopback and link-local ones. It reads them once, when it begins: set DecapsulateTo if
	// an interface gets its address later or gets a new one. A replay has no interface and
	// then opens tunnels to every destination.
	Decapsulate     bool
	DecapsulateFrom []netip.Prefix
	DecapsulateTo   []netip.Prefix
	VXLANPorts      []uint16 // UDP destination ports; empty: 4789 (RFC 7348) and 8472 (Linux)

	Promiscuous    bool
	VerifyChecksum bool // drop every UDP datagram with a wrong checksum, not only reassembled ones

	Ring  int // octets of each ring; there is one per interface and lane
	Lanes int
}

// errNoResolvers explains why Resolvers has no default.
var errNoResolvers = errors.New("no resolvers are set: only their addresses distinguish a resolver's own queries from those of its clients")

// errNoTunnelSources explains why DecapsulateFrom has no default.
var errNoTunnelSources = errors.New("decapsulate is set without decapsulate_from: any host could send forged messages in a tunnel: " +
	"set decapsulate_from to the addresses that tunnels come from")

// check returns an error if a field that reading packets requires is missing or invalid.
func (c *Config) check() error {
	switch {
	case len(c.Resolvers) == 0:
		return errNoResolvers
	case c.Decapsulate && len(c.DecapsulateFrom) == 0:
		return errNoTunnelSources
	}
	for _, list := range []struct {
		what     string
		prefixes []netip.Prefix
	}{{"resolver", c.Resolvers}, {"tunnel source", c.DecapsulateFrom}, {"tunnel destination", c.DecapsulateTo}} {
		for _, p := range list.prefixes {
			if !p.IsValid() {
				return fmt.Errorf("%s %v is neither an address nor a prefix", list.what, p)
			}
		}
	}
	return nil
}

// dissectorConfig returns the configuration of a dissector that opens tunnels to the
// addresses in to.
func (c *Config) dissectorConfig(to []netip.Prefix) packet.Config {
	return packet.Config{
		Resolvers:      c.Resolvers,
		Decapsulate:    c.Decapsulate,
		TunnelsFrom:    c.DecapsulateFrom,
		TunnelsTo:      to,
		VXLANPorts:     c.vxlanPorts(),
		VerifyChecksum: c.VerifyChecksum,
	}
}

func (c *Config) vxlanPorts() []uint16 {
	if len(c.VXLANPorts) == 0 {
		return []uint16{4789, 8472}
	}
	return c.VXLANPorts
}

// allAddresses returns the prefixes that contain every address.
func allAddresses() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

// ringConfig returns the configuration of the rings of a live capture.
func (c *Config) ringConfig() ring.Config {
	return ring.Config{
		Interfaces:  c.Interfaces,
		Lanes:       c.Lanes,
		Size:        c.Ring,
		Promiscuous: c.Promiscuous,
		Filter:      ring.Filter{Resolvers: c.Resolvers, Decapsulate: c.Decapsulate, VXLANPorts: c.vxlanPorts()},
	}
}
