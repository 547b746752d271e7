package canary

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
)

// prefixes is a set of addresses and networks. Its zero value is empty.
type prefixes struct{ v4, v6 family }

// family is the part of a set that has one address family.
type family struct {
	all     []netip.Prefix
	singles map[netip.Addr]bool
	nets    map[netip.Prefix]bool
	bits    []int // lengths of nets

	// Filters, which most addresses that are not in the set do not pass:
	starts  bitSet // first two octets of nets
	endings bitSet // last two octets of singles
}

// A bitSet contains 16-bit numbers, modulo 1,024.
type bitSet [16]uint64

func (s *bitSet) set(n uint16)      { s[n>>6&15] |= 1 << (n & 63) }
func (s *bitSet) has(n uint16) bool { return s[n>>6&15]>>(n&63)&1 != 0 }

// ends returns the first and the last two octets of an address.
func ends(a netip.Addr) (start, ending uint16) {
	if a.Is4() {
		b := a.As4()
		return binary.BigEndian.Uint16(b[:]), binary.BigEndian.Uint16(b[2:])
	}
	b := a.As16()
	return binary.BigEndian.Uint16(b[:]), binary.BigEndian.Uint16(b[14:])
}

func (s *prefixes) family(a netip.Addr) *family {
	if a.Is4() {
		return &s.v4
	}
	return &s.v6
}

// add adds a prefix, of full length for a single address.
func (s *prefixes) add(p netip.Prefix) {
	p = p.Masked()
	f := s.family(p.Addr())
	if f.singles[p.Addr()] && p.IsSingleIP() || f.nets[p] {
		return
	}
	f.all = append(f.all, p)
	start, ending := ends(p.Addr())
	if p.IsSingleIP() {
		if f.singles == nil {
			f.singles = map[netip.Addr]bool{}
		}
		f.singles[p.Addr()] = true
		f.endings.set(ending)
		return
	}
	if f.nets == nil {
		f.nets = map[netip.Prefix]bool{}
	}
	f.nets[p] = true
	if p.Bits() < 16 {
		f.starts = bitSet(slices.Repeat([]uint64{math.MaxUint64}, len(f.starts)))
	}
	f.starts.set(start)
	if !slices.Contains(f.bits, p.Bits()) {
		f.bits = append(f.bits, p.Bits())
	}
}

func (s *prefixes) empty() bool { return len(s.v4.all)+len(s.v6.all) == 0 }

func (f *family) single(a netip.Addr) bool {
	_, ending := ends(a)
	return f.endings.has(ending) && f.singles[a]
}

// containing returns an entry of at least this many bits that contains p.
func (f *family) containing(p netip.Prefix, bits int) (netip.Prefix, bool) {
	start, ending := ends(p.Addr())
	if p.IsSingleIP() && f.endings.has(ending) && f.singles[p.Addr()] {
		return p, true
	}
	if !f.starts.has(start) {
		return netip.Prefix{}, false
	}
	for _, n := range f.bits {
		if n < bits || n > p.Bits() {
			continue
		}
		if net, err := p.Addr().Prefix(n); err == nil && f.nets[net] {
			return net, true
		}
	}
	return netip.Prefix{}, false
}

// A minBits is the least length of an entry, in bits, for which a form counts.
type minBits struct{ v4, v6 int }

// of4 returns an entry of at least min bits that contains an IPv4 address.
func (s *prefixes) of4(a [4]byte, min minBits) (netip.Prefix, bool) {
	return s.v4.containing(netip.PrefixFrom(netip.AddrFrom4(a), 32), min.v4)
}

// of16 returns an entry of at least min bits that contains an IPv6 address, or an IPv4 address
// that it embeds.
func (s *prefixes) of16(b [16]byte, min minBits) (found netip.Prefix, ok bool) {
	if len(s.v6.all) > 0 {
		if p, ok := s.v6.containing(netip.PrefixFrom(netip.AddrFrom16(b), 128), min.v6); ok {
			return p, true
		}
	}
	if len(s.v4.all) == 0 {
		return found, false
	}
	embedded(&b, func(a [4]byte, singleOnly bool) {
		switch addr := netip.AddrFrom4(a); {
		case ok:
		case !singleOnly:
			found, ok = s.of4(a, min)
		case s.v4.single(addr):
			found, ok = netip.PrefixFrom(addr, 32), true
		}
	})
	return found, ok
}

// embedded calls found for each IPv4 address that an IPv6 address may embed. If singleOnly is
// true, the form is too common to count for networks.
func embedded(b *[16]byte, found func(a [4]byte, singleOnly bool)) {
	at := func(n ...int) (a [4]byte) {
		for i, n := range n {
			a[i] = b[n]
		}
		return a
	}
	prefix := netip.AddrFrom16(*b)
	switch {
	case mapped.Contains(prefix), nat64.Contains(prefix):
		found(at(12, 13, 14, 15), false)
	case localNAT64.Contains(prefix): // RFC 8215, with a prefix of any length (RFC 6052)
		found(at(6, 7, 9, 10), false)
		found(at(7, 9, 10, 11), false)
		found(at(9, 10, 11, 12), false)
		found(at(12, 13, 14, 15), false)
	case sixToFour.Contains(prefix):
		found(at(2, 3, 4, 5), false)
	case teredo.Contains(prefix): // server, and client with every bit inverted
		found(at(4, 5, 6, 7), true)
		client := at(12, 13, 14, 15)
		for i := range client {
			client[i] ^= 0xff
		}
		found(client, true)
	}
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe { // ISATAP, RFC 5214
		found(at(12, 13, 14, 15), true)
	}
	if b[8] != 0 {
		return
	}
	found(at(12, 13, 14, 15), true) // RFC 6052 with 96 bits; IPv4-compatible
	if b[13]|b[14]|b[15] != 0 {
		return
	}
	found(at(9, 10, 11, 12), true) // 64
	for _, other := range []struct {
		at   [4]int
		zero int // the suffix begins here
	}{{[4]int{7, 9, 10, 11}, 12}, {[4]int{6, 7, 9, 10}, 11}, {[4]int{5, 6, 7, 9}, 10}, {[4]int{4, 5, 6, 7}, 9}} {
		if len(bytes.Trim(b[other.zero:], "\x00")) > 0 {
			return
		}
		found(at(other.at[:]...), true)
	}
}

// Prefixes under which IPv6 addresses embed IPv4 addresses.
var (
	mapped     = netip.MustParsePrefix("::ffff:0:0/96")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)
