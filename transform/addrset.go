package transform

import "net/netip"

// An octetSet is a set of values of an octet.
type octetSet [4]uint64

func (s *octetSet) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *octetSet) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }

// An addrSet is a set of single addresses. It is asked about nearly every address in
// an answer. The zero value is empty.
type addrSet struct {
	last    octetSet // in which an address may end; most questions end here
	members map[netip.Addr]struct{}
}

// add adds an address, an IPv4-mapped one as IPv4.
func (s *addrSet) add(a netip.Addr) {
	if s.members == nil {
		s.members = map[netip.Addr]struct{}{}
	}
	a = a.Unmap().WithZone("")
	s.members[a] = struct{}{}
	s.last.add(a.As16()[15])
}

// has reports whether the set holds the address. An IPv4-mapped address is not taken
// for the IPv4 address.
func (s *addrSet) has(a netip.Addr) bool {
	if !s.last.has(a.As16()[15]) {
		return false
	}
	_, ok := s.members[a]
	return ok
}

const (
	mappedPrefix     = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff" // RFC 4291 section 2.5.5.2
	nat64Prefix      = "\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00" // RFC 6052 section 2.1
	nat64LocalPrefix = "\x00\x64\xff\x9b\x00\x01"                         // RFC 8215
	zeros            = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

// maxEmbedded is how many IPv4 addresses one IPv6 address can embed.
const maxEmbedded = 10

// embedded are the IPv4 addresses that an IPv6 address embeds. The first known of
// them are in a form that only translation and tunnels use. The others are in a form
// that an ordinary address may have by chance, so only single addresses are looked
// for there.
type embedded struct {
	addrs    [maxEmbedded][4]byte
	known, n int
}

func (e *embedded) add(a, b, c, d byte) {
	e.addrs[e.n] = [4]byte{a, b, c, d}
	e.n++
}

// find finds the embedded addresses: IPv4-mapped, NAT64 (RFC 6052, RFC 8215), 6to4
// (RFC 3056 section 2); and, for single addresses, RFC 6052 with any prefix
// (section 2.2), compatible (RFC 4291 section 2.5.5.1), ISATAP (RFC 5214 section
// 6.1) and Teredo (RFC 4380 section 4).
func (e *embedded) find(b *[16]byte) {
	e.findKnown(b)
	switch {
	case b[8] == 0:
		e.add(b[12], b[13], b[14], b[15]) // with a prefix of 96 bits; compatible
		e.findShort(b)
	case b[8] == 2 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP; with 0 in octet 8, above
		e.add(b[12], b[13], b[14], b[15])
	}
	if string(b[:4]) == "\x20\x01\x00\x00" {
		e.add(b[4], b[5], b[6], b[7])
		e.add(^b[12], ^b[13], ^b[14], ^b[15])
	}
}

// findKnown finds the addresses in forms that only translation and tunnels use.
func (e *embedded) findKnown(b *[16]byte) {
	e.n = 0
	switch {
	case b[0] == 0 && (string(b[:12]) == mappedPrefix || string(b[:12]) == nat64Prefix):
		e.add(b[12], b[13], b[14], b[15])
	case b[0] == 0 && string(b[:6]) == nat64LocalPrefix:
		e.add(b[6], b[7], b[9], b[10])
		e.add(b[7], b[9], b[10], b[11])
		e.add(b[9], b[10], b[11], b[12])
		e.add(b[12], b[13], b[14], b[15])
	case b[0] == 0x20 && b[1] == 0x02:
		e.add(b[2], b[3], b[4], b[5])
	}
	e.known = e.n
}

// findShort finds RFC 6052's forms with prefixes under 96 bits: octet 8 and the
// suffix are zero.
func (e *embedded) findShort(b *[16]byte) {
	if b[13] != 0 || b[14] != 0 || b[15] != 0 {
		return
	}
	suffix := func(from int) bool { return string(b[from:]) == zeros[:16-from] }
	if suffix(8) {
		e.add(b[4], b[5], b[6], b[7])
	}
	if suffix(10) {
		e.add(b[5], b[6], b[7], b[9])
	}
	if suffix(11) {
		e.add(b[6], b[7], b[9], b[10])
	}
	if suffix(12) {
		e.add(b[7], b[9], b[10], b[11])
	}
	e.add(b[9], b[10], b[11], b[12])
}
