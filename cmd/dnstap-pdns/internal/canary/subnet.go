package canary

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"
)

// ClientSubnets returns the client subnets of a message's OPT records (RFC 7871), with the
// source prefix length.
func ClientSubnets(wire []byte) []netip.Prefix {
	var all []netip.Prefix
	eachRecord(wire, func(rtype uint16, rdata []byte) {
		if rtype != dns.TypeOPT {
			return
		}
		for len(rdata) >= 4 {
			end := 4 + int(binary.BigEndian.Uint16(rdata[2:]))
			if end > len(rdata) {
				return
			}
			if binary.BigEndian.Uint16(rdata) == dns.EDNS0SUBNET {
				if p, ok := clientSubnet(rdata[4:end]); ok {
					all = append(all, p)
				}
			}
			rdata = rdata[end:]
		}
	})
	return all
}

// clientSubnet reads the data of a client subnet option: family, source and scope prefix length,
// and the first octets of the address (RFC 7871 section 6).
func clientSubnet(b []byte) (netip.Prefix, bool) {
	if len(b) < 4 {
		return netip.Prefix{}, false
	}
	var octets [16]byte
	a, bits := netip.Addr{}, int(b[2])
	copy(octets[:], b[4:])
	switch binary.BigEndian.Uint16(b) {
	case 1:
		a = netip.AddrFrom4([4]byte(octets[:4]))
	case 2:
		a = netip.AddrFrom16(octets)
	}
	p, err := a.Prefix(bits)
	return p, err == nil && p.IsValid()
}

// eachRecord calls found for each resource record, up to the first malformed one.
func eachRecord(wire []byte, found func(rtype uint16, rdata []byte)) {
	for at := firstRecord(wire); at < len(wire); {
		_, fixed, ok := readName(wire, at)
		from := fixed + fixedFields
		if !ok || from > len(wire) {
			return
		}
		end := from + int(binary.BigEndian.Uint16(wire[from-2:]))
		if end > len(wire) {
			return
		}
		found(binary.BigEndian.Uint16(wire[fixed:]), wire[from:end])
		at = end
	}
}
