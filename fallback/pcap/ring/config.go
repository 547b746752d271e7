package ring

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Any stands for all interfaces there are, those to come included.
const Any = "any"

const (
	// blockSize is what the kernel hands over at a time, at the latest retireTime
	// after a packet came. A packet as large as segmentation offload makes them
	// (64 KiB) fits, and a ring of 32 MiB has 128 blocks.
	blockSize = 256 << 10
	minBlocks = 4
	maxLanes  = 256 // what every kernel takes into a fan-out group
)

// Config says what to capture, and into how much memory.
type Config struct {
	Interfaces  []string // by name, or Any alone
	Lanes       int      // into which packets are divided by their pair of addresses
	Size        int      // bytes of each ring, of which there is one per interface and lane; rounded down to blocks of 256 KiB
	Promiscuous bool     // also what is addressed to others; not with Any
	Absent      bool     // an interface that does not exist is left to Run; else it is an error
	Filter      Filter
}

// Filter says what the kernel is to let through: packets between one of Resolvers
// and port 53 of anybody, in both directions, and all fragments and extension
// headers of theirs behind which that may be.
type Filter struct {
	Resolvers   []netip.Prefix
	Decapsulate bool // also what may be tunnels, of anybody: GRE, VXLAN, fragments, IPv6 destination options
}

func (c *Config) check() error {
	switch {
	case len(c.Interfaces) == 0:
		return errors.New("no interface to capture on")
	case len(c.Interfaces) > 1 && slices.Contains(c.Interfaces, Any):
		return errors.New(`interface "any" stands for all there are: name it alone`)
	case c.Promiscuous && slices.Contains(c.Interfaces, Any):
		return errors.New(`interface "any" cannot be promiscuous: name the interfaces`)
	case c.Lanes < 1 || c.Lanes > maxLanes:
		return fmt.Errorf("%d lanes: there may be 1 to %d", c.Lanes, maxLanes)
	case c.Lanes > 1 && c.Filter.Decapsulate:
		return errors.New("packets in tunnels cannot be divided into lanes: the kernel sees the tunnel's addresses only")
	case c.Size < minBlocks*blockSize:
		return fmt.Errorf("a ring of %d bytes is too small: it needs %d at least", c.Size, minBlocks*blockSize)
	}
	for i, name := range c.Interfaces {
		if name == "" {
			return errors.New("an interface without a name")
		}
		if slices.Contains(c.Interfaces[:i], name) {
			return fmt.Errorf("interface %q is named twice", name)
		}
	}
	return nil
}
