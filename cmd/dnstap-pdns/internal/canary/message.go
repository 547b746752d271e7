package canary

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// message searches a DNS message. If it is malformed, the rest is searched as rdata of an unknown
// type.
func (s *recordSearch) message(wire []byte) {
	if len(wire) == 0 {
		return
	}
	s.inRecord, s.where = false, "message"
	const header = 12
	if len(wire) < header {
		s.unknown(wire)
		return
	}
	at := header
	count := func(i int) int { return int(binary.BigEndian.Uint16(wire[4+2*i:])) }
	for range count(0) {
		labels, end, ok := readName(wire, at)
		if !ok || end+4 > len(wire) {
			s.unknown(wire[at:])
			return
		}
		s.place, s.where = InQuestion, "question"
		s.name(labels)
		at = end + 4
	}
	for range count(1) + count(2) + count(3) {
		end, ok := s.record(wire, at)
		if !ok {
			s.inRecord, s.where = false, "message"
			s.unknown(wire[at:])
			return
		}
		at = end
	}
	s.inRecord, s.where = false, "octets after the last record"
	if at < len(wire) {
		s.unknown(wire[at:])
	}
}

// record searches a resource record and returns its end.
func (s *recordSearch) record(wire []byte, at int) (end int, ok bool) {
	owner, fixed, ok := readName(wire, at)
	if !ok || fixed+fixedFields > len(wire) {
		return 0, false
	}
	from := fixed + fixedFields
	end = from + int(binary.BigEndian.Uint16(wire[from-2:]))
	if end > len(wire) {
		return 0, false
	}
	s.rtype = binary.BigEndian.Uint16(wire[fixed:])
	s.inRecord, s.owner = true, owner
	s.place = InOwner
	s.name(owner)
	s.rdata(wire, s.rtype, from, end)
	return end, true
}

// readName returns the labels of the name at an offset, following compression pointers, and the
// offset after the name or its first pointer.
func readName(wire []byte, at int) (labels [][]byte, end int, ok bool) {
	const longest, compressed = 255, 0xc0
	size, pointers := 1, 0
	for at < len(wire) {
		n := int(wire[at])
		switch {
		case n == 0:
			if pointers == 0 {
				end = at + 1
			}
			return labels, end, true
		case n >= compressed:
			if pointers++; pointers > longest || at+1 >= len(wire) {
				return nil, 0, false
			}
			if pointers == 1 {
				end = at + 2
			}
			at = (n-compressed)<<8 | int(wire[at+1])
		case n > longestLabel || at+1+n > len(wire) || size+1+n > longest:
			return nil, 0, false
		default:
			labels = append(labels, wire[at+1:at+1+n])
			size += 1 + n
			at += 1 + n
		}
	}
	return nil, 0, false
}

// opaque searches octets of unknown meaning for labels and addresses. random is true for keys,
// digests and signatures, in which four octets equal an IPv4 address by chance.
func (s *recordSearch) opaque(b []byte, random bool) {
	s.place = InOpaque
	s.f.names.inOctets(b, func(i int) { s.hit(LocalName, s.f.names.written[i], formWire) })
	if len(s.sets) == 0 || len(b) == 0 {
		return
	}
	s.reverseNamesInOctets(b)
	for i := range b {
		for _, set := range s.sets {
			if set.rule == Resolver {
				s.octets(set.prefixes, b[i:], random)
			}
		}
	}
}

// octets adds a Hit if b begins with the octets of an address or a prefix of the resolver. If
// random is true, IPv4 addresses do not count.
func (s *recordSearch) octets(set *prefixes, b []byte, random bool) {
	if len(b) >= 4 && !random {
		if a := netip.AddrFrom4([4]byte(b)); set.v4.single(a) {
			s.hit(Resolver, a.String(), formOctets)
		}
	}
	if len(b) >= 16 {
		if p, ok := set.v6.containing(netip.PrefixFrom(netip.AddrFrom16([16]byte(b)), 128), 0); ok {
			s.hitPrefix(Resolver, p, formOctets)
		}
		return
	}
	for _, n := range set.v6.bits {
		if len(b) < n/8 {
			continue
		}
		for p := range set.v6.nets {
			a := p.Addr().As16()
			if p.Bits() == n && bytes.Equal(a[:n/8], b[:n/8]) {
				s.hitPrefix(Resolver, p, formOctets)
			}
		}
	}
}
