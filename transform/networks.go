package transform

import (
	"net/netip"
	"slices"
)

// Networks is a set of networks. One search finds the longest network that contains
// an address. The zero value is empty.
type Networks struct {
	first  octetSet // with which an address of a network may begin
	all    []netip.Prefix
	ranges []addrRange
}

// An addrRange is a range of addresses from start to the next addrRange's start, and the
// longest network that contains all of it; the zero Prefix if there is none.
type addrRange struct {
	start   netip.Addr
	longest netip.Prefix
}

// NewNetworks returns the set of these networks, which may contain one another.
func NewNetworks(prefixes []netip.Prefix) Networks {
	var s Networks
	for _, p := range prefixes {
		s.all = append(s.all, p.Masked())
	}
	slices.SortFunc(s.all, netip.Prefix.Compare) // a network precedes those inside it
	s.all = slices.Compact(s.all)
	var open []netip.Prefix // those that contain the current position, longest last
	closeBefore := func(a netip.Addr) {
		for len(open) > 0 {
			next := lastAddr(open[len(open)-1]).Next()
			if next.IsValid() && a.IsValid() && a.Less(next) {
				return
			}
			open = open[:len(open)-1]
			outer := netip.Prefix{}
			if len(open) > 0 {
				outer = open[len(open)-1]
			}
			if next.IsValid() {
				s.begin(next, outer)
			}
		}
	}
	for _, p := range s.all {
		for n := int(p.Addr().AsSlice()[0]); n <= int(lastAddr(p).AsSlice()[0]); n++ {
			s.first.add(byte(n))
		}
		closeBefore(p.Addr())
		s.begin(p.Addr(), p)
		open = append(open, p)
	}
	closeBefore(netip.Addr{})
	return s
}

// begin adds an addrRange, in place of one that begins at the same address.
func (s *Networks) begin(a netip.Addr, longest netip.Prefix) {
	if n := len(s.ranges); n > 0 && s.ranges[n-1].start == a {
		s.ranges = s.ranges[:n-1]
	}
	s.ranges = append(s.ranges, addrRange{a, longest})
}

// lastAddr is the highest address of a network.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Has reports whether a network contains the address. An IPv4-mapped address is not
// taken for the IPv4 address.
func (s *Networks) Has(a netip.Addr) bool { return len(s.ranges) > 0 && s.has(a) }

func (s *Networks) has(a netip.Addr) bool {
	if a.Is4() {
		return s.longest4(a.As4()).IsValid()
	}
	b := a.As16()
	return s.longest16(&b).IsValid()
}

func (s *Networks) longest4(b [4]byte) netip.Prefix {
	if !s.first.has(b[0]) {
		return netip.Prefix{}
	}
	return s.longest(netip.AddrFrom4(b))
}

func (s *Networks) longest16(b *[16]byte) netip.Prefix {
	if !s.first.has(b[0]) {
		return netip.Prefix{}
	}
	return s.longest(netip.AddrFrom16(*b))
}

// longest returns the longest network that contains the address, or the zero Prefix.
func (s *Networks) longest(a netip.Addr) netip.Prefix {
	from, to := 0, len(s.ranges) // from becomes the first addrRange that starts after a
	for from < to {
		if mid := (from + to) / 2; a.Less(s.ranges[mid].start) {
			to = mid
		} else {
			from = mid + 1
		}
	}
	if from == 0 {
		return netip.Prefix{}
	}
	if p := s.ranges[from-1].longest; p.IsValid() && p.Contains(a) {
		return p
	}
	return netip.Prefix{}
}
