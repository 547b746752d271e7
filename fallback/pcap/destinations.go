package pcap

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
)

// everywhere returns the prefixes that hold every address.
func everywhere() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

// destinations returns the destinations of tunnels that a live capture opens:
// DecapsulateTo, or the present addresses of its interfaces.
func (s *Source) destinations() ([]netip.Prefix, error) {
	c := &s.config
	if !c.Decapsulate || len(c.DecapsulateTo) > 0 {
		return c.DecapsulateTo, nil
	}
	to, err := addressesOf(c.Interfaces)
	if err == nil && len(to) == 0 {
		s.log.Warn("all tunnels are refused: decapsulate_to is empty and the interfaces have no address: " +
			"set decapsulate_to to the addresses that tunnels lead to")
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
