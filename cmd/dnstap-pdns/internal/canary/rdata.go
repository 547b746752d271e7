package canary

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"
)

// A field is a kind of part of rdata. A positive field is that number of octets without names,
// texts or addresses.
type field int

const (
	nameField   field = -1 - iota
	namesField        // names to the end
	stringField       // a character-string
	stringsField
	textField   // text to the end
	randomField // keys, digests and other random octets to the end
	ipv4Field
	ipv6Field
	paramsField // SvcParams to the end (RFC 9460)
	hipField    // header, identity and key of HIP (RFC 8005)
)

// fieldsByType has the fields of each type whose rdata is known. It does not depend on
// transform/dnswire, because this package checks that package's work.
var fieldsByType = map[uint16][]field{
	dns.TypeA:    {ipv4Field},
	dns.TypeAAAA: {ipv6Field},

	dns.TypeNS:      {nameField},
	dns.TypeMD:      {nameField},
	dns.TypeMF:      {nameField},
	dns.TypeCNAME:   {nameField},
	dns.TypeMB:      {nameField},
	dns.TypeMG:      {nameField},
	dns.TypeMR:      {nameField},
	dns.TypePTR:     {nameField},
	dns.TypeDNAME:   {nameField},
	dns.TypeNSAPPTR: {nameField},
	dns.TypeMINFO:   {nameField, nameField},
	dns.TypeRP:      {nameField, nameField},
	dns.TypeTALINK:  {nameField, nameField},
	dns.TypeSOA:     {nameField, nameField, 20},
	dns.TypeMX:      {2, nameField},
	dns.TypeAFSDB:   {2, nameField},
	dns.TypeRT:      {2, nameField},
	dns.TypeKX:      {2, nameField},
	dns.TypeLP:      {2, nameField},
	dns.TypePX:      {2, nameField, nameField},
	dns.TypeSRV:     {6, nameField},
	dns.TypeNAPTR:   {4, stringField, stringField, stringField, nameField},
	dns.TypeSIG:     {18, nameField, randomField},
	dns.TypeRRSIG:   {18, nameField, randomField},
	dns.TypeNXT:     {nameField, randomField},
	dns.TypeNSEC:    {nameField, randomField},
	dns.TypeSVCB:    {2, nameField, paramsField},
	dns.TypeHTTPS:   {2, nameField, paramsField},
	dns.TypeHIP:     {hipField, namesField},

	dns.TypeTXT:     {stringsField},
	dns.TypeSPF:     {stringsField},
	dns.TypeAVC:     {stringsField},
	dns.TypeNINFO:   {stringsField},
	dns.TypeRESINFO: {stringsField},
	dns.TypeISDN:    {stringsField},
	dns.TypeHINFO:   {stringField, stringField},
	dns.TypeGPOS:    {stringField, stringField, stringField},
	dns.TypeX25:     {stringField},
	dns.TypeUINFO:   {stringField},
	dns.TypeCAA:     {1, stringField, textField},
	dns.TypeURI:     {4, textField},

	dns.TypeKEY:        {randomField},
	dns.TypeCERT:       {randomField},
	dns.TypeDS:         {randomField},
	dns.TypeSSHFP:      {randomField},
	dns.TypeDNSKEY:     {randomField},
	dns.TypeDHCID:      {randomField},
	dns.TypeNSEC3:      {randomField},
	dns.TypeNSEC3PARAM: {randomField},
	dns.TypeTLSA:       {randomField},
	dns.TypeSMIMEA:     {randomField},
	dns.TypeRKEY:       {randomField},
	dns.TypeCDS:        {randomField},
	dns.TypeCDNSKEY:    {randomField},
	dns.TypeOPENPGPKEY: {randomField},
	dns.TypeCSYNC:      {randomField},
	dns.TypeZONEMD:     {randomField},
	dns.TypeEUI48:      {randomField},
	dns.TypeEUI64:      {randomField},
	dns.TypeLOC:        {randomField},
}

// typeA6 is historic (RFC 2874) and missing in miekg/dns.
const typeA6 = 38

// fieldsOf returns the fields of rdata; nil if the type is unknown, or the octets of the rdata
// that determine its fields are invalid.
func fieldsOf(rtype uint16, rdata []byte) []field {
	second := 0
	if len(rdata) > 1 {
		second = int(rdata[1])
	}
	switch rtype {
	case typeA6: // prefix length, the rest of the address, the name of the prefix
		switch {
		case len(rdata) == 0 || rdata[0] > 128:
			return nil
		case rdata[0] == 0:
			return []field{1, ipv6Field}
		}
		return []field{field(1 + (128-int(rdata[0])+7)/8), nameField}
	case dns.TypeIPSECKEY: // the type of the gateway is the second octet (RFC 4025)
		switch second {
		case 0:
			return []field{3, textField}
		case 1:
			return []field{3, ipv4Field, textField}
		case 2:
			return []field{3, ipv6Field, textField}
		case 3:
			return []field{3, nameField, textField}
		}
		return nil
	case dns.TypeAMTRELAY: // the type of the relay is in the second octet, after a flag (RFC 8777)
		switch second & 0x7f {
		case 0:
			return []field{2}
		case 1:
			return []field{2, ipv4Field}
		case 2:
			return []field{2, ipv6Field}
		case 3:
			return []field{2, nameField}
		}
		return nil
	}
	return fieldsByType[rtype]
}

// A piece is one field as it occurs in rdata.
type piece struct {
	field
	octets []byte   // nil for a name; without the length of a character-string
	labels [][]byte // of a name
	from   int      // offsets in the message
	to     int
}

// split reads the fields of rdata; ok is false if the type is unknown or the rdata does not match it.
func split(wire []byte, rtype uint16, from, to int) (all []piece, ok bool) {
	for fields := fieldsOf(rtype, wire[from:to]); len(fields) > 0; {
		f := fields[0]
		repeats := f == namesField || f == stringsField
		if repeats && from == to {
			return all, true
		}
		p, ok := readPiece(wire, f, from, to)
		if !ok {
			return nil, false
		}
		all = append(all, p)
		from = p.to
		if !repeats {
			fields = fields[1:]
		}
		if len(fields) == 0 {
			return all, from == to
		}
	}
	return nil, false
}

func readPiece(wire []byte, f field, from, to int) (piece, bool) {
	p := piece{field: f, from: from, to: to}
	size := to - from
	switch f {
	case nameField, namesField:
		var ok bool
		p.labels, p.to, ok = readName(wire, from)
		return p, ok && p.to <= to
	case stringField, stringsField:
		if size == 0 || from+1+int(wire[from]) > to {
			return p, false
		}
		p.to = from + 1 + int(wire[from])
		p.octets = wire[from+1 : p.to]
		return p, true
	case ipv4Field:
		size = 4
	case ipv6Field:
		size = 16
	case hipField:
		if size < 4 {
			return p, false
		}
		size = 4 + int(wire[from]) + int(binary.BigEndian.Uint16(wire[from+2:]))
	case textField, randomField, paramsField:
	default:
		size = int(f)
	}
	if from+size > to {
		return p, false
	}
	p.to = from + size
	p.octets = wire[from:p.to]
	return p, true
}

// rdata searches rdata: each field by its kind, and the octets before, between and after names
// also as opaque octets. It does not search the numbers of SOA and SRV, because usual ones, such
// as dates as serial numbers, equal addresses.
func (s *recordSearch) rdata(wire []byte, rtype uint16, from, to int) {
	all, ok := split(wire, rtype, from, to)
	switch {
	case !ok:
		s.unknown(wire[from:to])
		if rtype == dns.TypeAPL {
			s.addressPrefixes(wire[from:to])
		}
		return
	case rtype == dns.TypeA || rtype == dns.TypeAAAA:
		s.addresses(all[0].octets, len(all[0].octets))
		return
	}
	var strings [][]byte
	run, random := from, false // the octets since the latest name; whether they are random
	numeric := rtype == dns.TypeSOA || rtype == dns.TypeSRV
	octets := func(b []byte) {
		if !numeric {
			s.opaque(b, random)
		}
	}
	for _, p := range all {
		if p.field != stringField && p.field != stringsField {
			s.joined(strings)
			strings = nil
		}
		switch p.field {
		case nameField, namesField:
			octets(wire[run:p.from])
			run, random = p.to, false
			s.place = InRdata
			s.name(p.labels)
		case stringField, stringsField:
			strings = append(strings, p.octets)
		case textField, hipField:
			s.text(p.octets)
		case randomField:
			random = true
			s.text(p.octets)
		case ipv4Field, ipv6Field:
			s.addresses(p.octets, len(p.octets))
		case paramsField:
			s.parameters(p.octets)
		}
	}
	s.joined(strings)
	octets(wire[run:to])
}

// joined searches each character-string, and all of them joined.
func (s *recordSearch) joined(all [][]byte) {
	var text []byte
	for _, b := range all {
		s.text(b)
		text = append(text, b...)
	}
	if len(all) > 1 {
		s.text(text)
	}
}

// unknown searches octets of unknown structure.
func (s *recordSearch) unknown(b []byte) {
	s.textOrStrings(b)
	s.opaque(b, false)
}

// textOrStrings searches octets as one text, and, if they can be read so, as character-strings.
func (s *recordSearch) textOrStrings(b []byte) {
	s.text(b)
	var all [][]byte
	for rest := b; len(rest) > 0; {
		end := 1 + int(rest[0])
		if end > len(rest) {
			return
		}
		all = append(all, rest[1:end])
		rest = rest[end:]
	}
	s.joined(all)
}

// parameters searches the values of SvcParams, and addresses in hints.
func (s *recordSearch) parameters(b []byte) {
	for len(b) >= 4 {
		end := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if end > len(b) {
			break
		}
		value := b[4:end]
		switch dns.SVCBKey(binary.BigEndian.Uint16(b)) {
		case dns.SVCB_IPV4HINT:
			s.addresses(value, 4)
		case dns.SVCB_IPV6HINT:
			s.addresses(value, 16)
		}
		s.textOrStrings(value)
		b = b[end:]
	}
	if len(b) > 0 {
		s.text(b)
	}
}

// addresses judges consecutive addresses of this size in octets.
func (s *recordSearch) addresses(b []byte, size int) {
	s.place = InAddress
	for ; len(b) >= size; b = b[size:] {
		if a, ok := netip.AddrFromSlice(b[:size]); ok {
			s.address(a)
		}
	}
}

// addressPrefixes judges the items of an APL record (RFC 3123). Octets that are missing at the
// end of an address are zero.
func (s *recordSearch) addressPrefixes(b []byte) {
	for len(b) >= 4 {
		n := int(b[3] & 0x7f)
		if 4+n > len(b) {
			return
		}
		var a [16]byte
		copy(a[:], b[4:4+n])
		switch family := binary.BigEndian.Uint16(b); {
		case family == 1 && n <= 4:
			s.addresses(a[:4], 4)
		case family == 2 && n <= 16:
			s.addresses(a[:], 16)
		}
		b = b[4+n:]
	}
}
