package transform

import "net/netip"

// An addrSet is a small set of addresses that is asked about nearly every
// address that an answer holds. The zero value is empty.
type addrSet struct {
	last    [4]uint64    // which last octets there are: most questions end here
	addrs   []netip.Addr // in order of arrival
	members map[netip.Addr]struct{}
}

func (s *addrSet) add(a netip.Addr) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsUnspecified() || s.has(a) {
		return
	}
	if s.members == nil {
		s.members = map[netip.Addr]struct{}{}
	}
	s.addrs = append(s.addrs, a)
	s.members[a] = struct{}{}
	s.note(a)
}

func (s *addrSet) note(a netip.Addr) {
	b := a.As16()[15]
	s.last[b>>6] |= 1 << (b & 63)
}

// remember adds an address to a set that holds n at most: the eldest goes.
func (s *addrSet) remember(a netip.Addr, n int) {
	if len(s.addrs) == n && !s.has(a) {
		delete(s.members, s.addrs[0])
		s.addrs = s.addrs[:copy(s.addrs, s.addrs[1:])]
		s.last = [4]uint64{}
		for _, old := range s.addrs {
			s.note(old)
		}
	}
	s.add(a)
}

// has takes addresses as they are: IPv4-mapped ones are not the IPv4 ones.
func (s *addrSet) has(a netip.Addr) bool {
	b := a.As16()[15]
	if s.last[b>>6]&(1<<(b&63)) == 0 {
		return false
	}
	_, ok := s.members[a]
	return ok
}

// has4 and has16 ask for an address as it stands in rdata.
func (s *addrSet) has4(b []byte) bool {
	if s.last[b[3]>>6]&(1<<(b[3]&63)) == 0 {
		return false
	}
	return s.has(netip.AddrFrom4([4]byte(b)))
}

const (
	mappedPrefix = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"
	nat64Prefix  = "\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00"
)

// has16 sees through IPv4-mapped (RFC 4291 section 2.5.5.2), NAT64 (RFC 6052
// section 2.1) and 6to4 addresses (RFC 3056 section 2).
func (s *addrSet) has16(b []byte) bool {
	switch {
	case b[0] == 0 && (string(b[:12]) == mappedPrefix || string(b[:12]) == nat64Prefix):
		return s.has4(b[12:16])
	case b[0] == 0x20 && b[1] == 0x02 && s.has4(b[2:6]):
		return true
	}
	if s.last[b[15]>>6]&(1<<(b[15]&63)) == 0 {
		return false
	}
	return s.has(netip.AddrFrom16([16]byte(b)))
}
