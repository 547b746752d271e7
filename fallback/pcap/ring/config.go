package ring

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Any names all interfaces, including those that are added later.
const Any = "any"

const (
	// blockSize is the size of a block in octets. The kernel hands over a block when it
	// is full, at the latest retireTime after a packet. The largest packet that
	// segmentation offload makes (64 KiB) fits, and a ring of 32 MiB has 128 blocks.
	blockSize = 256 << 10
	minBlocks = 4
	maxLanes  = 256 // the largest fan-out group that every kernel supports
)

// Config configures a capture: the interfaces, the memory and the filter.
type Config struct {
	Interfaces  []string // by name, or Any alone
	Lanes       int      // number of lanes, among which packets are divided by their pair of addresses
	Size        int      // octets of each ring; there is one per interface and lane; rounded down to blocks of 256 KiB
	Promiscuous bool     // also capture packets addressed to other hosts; not with Any
	AllowAbsent bool     // Run waits for an interface that does not exist; else it is an error
	Filter      Filter
}

// Filter selects the packets that the kernel lets through: packets between one of
// Resolvers and port 53 of any host, in both directions, and the resolvers' fragments
// and packets with IPv6 extension headers, because these may contain DNS.
type Filter struct {
	Resolvers   []netip.Prefix
	Decapsulate bool     // also possible tunnels of any host: GRE, IP in IP, VXLAN, GENEVE, L2TP, EtherIP, fragments, IPv6 extension headers
	VXLANPorts  []uint16 // UDP destination ports of VXLAN
}

func (c *Config) check() error {
	switch {
	case len(c.Interfaces) == 0:
		return errors.New("no interface is set: set interfaces")
	case len(c.Interfaces) > 1 && slices.Contains(c.Interfaces, Any):
		return errors.New(`interface "any" means all interfaces: name it alone`)
	case c.Promiscuous && slices.Contains(c.Interfaces, Any):
		return errors.New(`interface "any" cannot be promiscuous: name the interfaces`)
	case c.Lanes < 1 || c.Lanes > maxLanes:
		return fmt.Errorf("%d lanes are not possible: set 1 to %d", c.Lanes, maxLanes)
	case c.Lanes > 1 && c.Filter.Decapsulate:
		return errors.New("packets in tunnels cannot be divided into lanes, because the kernel sees only the addresses of the tunnel: set lanes to 1")
	case c.Size < minBlocks*blockSize:
		return fmt.Errorf("a ring of %d bytes is too small: it needs at least %d", c.Size, minBlocks*blockSize)
	}
	for i, name := range c.Interfaces {
		if name == "" {
			return errors.New("an interface has an empty name")
		}
		if slices.Contains(c.Interfaces[:i], name) {
			return fmt.Errorf("interface %q is named twice", name)
		}
	}
	return nil
}
