package transform

import (
	"net/netip"
	"slices"
)

// Networks is a set of networks: sorted, and none inside another, so that one look
// tells whether an address is in any. The zero value is empty.
type Networks []netip.Prefix

// NewNetworks returns the set of all addresses that are in one of the prefixes.
func NewNetworks(prefixes []netip.Prefix) Networks {
	var nets Networks
	for _, p := range prefixes {
		nets = append(nets, p.Masked())
	}
	slices.SortFunc(nets, netip.Prefix.Compare) // a network comes before what is inside it
	kept := nets[:0]
	for _, p := range nets {
		if len(kept) == 0 || !kept[len(kept)-1].Overlaps(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// Has takes addresses as they are: IPv4-mapped ones are not the IPv4 ones.
func (s Networks) Has(a netip.Addr) bool {
	from, to := 0, len(s) // from will be the first that begins behind a
	for from < to {
		if mid := (from + to) / 2; a.Less(s[mid].Addr()) {
			to = mid
		} else {
			from = mid + 1
		}
	}
	return from > 0 && s[from-1].Contains(a)
}

// has4 and has16 ask for an address as it stands in rdata; has16 sees through what
// addrSet.has16 does.
func (s Networks) has4(b []byte) bool { return len(s) > 0 && s.Has(netip.AddrFrom4([4]byte(b))) }

func (s Networks) has16(b []byte) bool {
	if len(s) == 0 {
		return false
	}
	inner := embedded4(b)
	return inner != nil && s.has4(inner) || s.Has(netip.AddrFrom16([16]byte(b)))
}

// embedded4 returns the IPv4 address inside an IPv6 address that is IPv4-mapped (RFC
// 4291 section 2.5.5.2), NAT64 (RFC 6052 section 2.1) or 6to4 (RFC 3056 section 2);
// nil if it is none of them.
func embedded4(b []byte) []byte {
	switch {
	case b[0] == 0 && (string(b[:12]) == mappedPrefix || string(b[:12]) == nat64Prefix):
		return b[12:16]
	case b[0] == 0x20 && b[1] == 0x02:
		return b[2:6]
	}
	return nil
}
