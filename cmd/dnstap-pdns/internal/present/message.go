package present

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const headerLen = 12 // RFC 1035 section 4.1.1

// span is a stretch of a buffer.
type span struct{ start, end int }

func (s span) of(b []byte) []byte { return b[s.start:s.end] }

// question is one entry of the question section. Its name is in message.names.
type question struct {
	name       span
	typ, class uint16
}

// rrset is the records of one section that share owner, type and class, letter
// case aside, as wdns gathers them. Its owner is that of the first, in
// message.names; its TTL the lowest.
type rrset struct {
	owner       span
	typ, class  uint16
	ttl         uint32
	first, last int // in message.rdatas
}

// rdata is where one record's data lies in the message.
type rdata struct {
	span
	next int // of the same RRset, in message.rdatas, or -1
}

// edns is the OPT record (RFC 6891 section 6.1).
type edns struct {
	present bool
	udpSize uint16
	version uint8
	flags   uint16
	options span
}

// message is a DNS message, read as leniently as wdns does: sections that end
// early are taken as they are. It is reused from message to message and borrows
// the one that it read last.
type message struct {
	wire      []byte
	id, flags uint16
	rcode     uint16 // extended
	questions []question
	sections  [3][]rrset // answer, authority, additional
	edns      edns

	names  []byte // uncompressed
	rdatas []rdata
}

// parse reads a message and reports whether it is one, its records' data aside.
func (m *message) parse(wire []byte) bool {
	m.reset(wire)
	if len(wire) < headerLen {
		return false
	}
	m.id = binary.BigEndian.Uint16(wire)
	m.flags = binary.BigEndian.Uint16(wire[2:])
	m.rcode = m.flags & 0xf
	off, ok := headerLen, true
	for range binary.BigEndian.Uint16(wire[4:]) {
		if off == len(wire) {
			return true
		}
		if off, ok = m.parseQuestion(off); !ok {
			return false
		}
	}
	for section := range m.sections {
		for range binary.BigEndian.Uint16(wire[6+2*section:]) {
			if off == len(wire) {
				return true
			}
			if off, ok = m.parseRecord(section, off); !ok {
				return false
			}
		}
	}
	return true
}

func (m *message) reset(wire []byte) {
	m.wire = wire
	m.questions = m.questions[:0]
	for i := range m.sections {
		m.sections[i] = m.sections[i][:0]
	}
	m.edns = edns{}
	m.names = m.names[:0]
	m.rdatas = m.rdatas[:0]
}

func (m *message) parseName(off int) (name span, end int, ok bool) {
	name.start = len(m.names)
	m.names, end, ok = expandName(m.names, m.wire, off)
	name.end = len(m.names)
	return name, end, ok
}

func (m *message) parseQuestion(off int) (end int, ok bool) {
	name, off, ok := m.parseName(off)
	if !ok || off+4 > len(m.wire) {
		return 0, false
	}
	m.questions = append(m.questions, question{
		name:  name,
		typ:   binary.BigEndian.Uint16(m.wire[off:]),
		class: binary.BigEndian.Uint16(m.wire[off+2:]),
	})
	return off + 4, true
}

func (m *message) parseRecord(section, off int) (end int, ok bool) {
	owner, off, ok := m.parseName(off)
	if !ok || off+10 > len(m.wire) {
		return 0, false
	}
	fixed := m.wire[off : off+10]
	set := rrset{
		owner: owner,
		typ:   binary.BigEndian.Uint16(fixed),
		class: binary.BigEndian.Uint16(fixed[2:]),
		ttl:   binary.BigEndian.Uint32(fixed[4:]),
	}
	data := span{off + 10, off + 10 + int(binary.BigEndian.Uint16(fixed[8:]))}
	if data.end > len(m.wire) {
		return 0, false
	}
	if set.typ == dns.TypeOPT {
		m.setEDNS(&set, data)
	} else {
		m.gather(section, set, data)
	}
	return data.end, true
}

func (m *message) setEDNS(opt *rrset, options span) {
	m.edns = edns{
		present: true,
		udpSize: opt.class,
		version: uint8(opt.ttl >> 16),
		flags:   uint16(opt.ttl),
		options: options,
	}
	m.rcode = m.flags&0xf | uint16(opt.ttl>>24)<<4
	m.names = m.names[:opt.owner.start]
}

// gather adds a record to its RRset, or begins one.
func (m *message) gather(section int, set rrset, data span) {
	at := len(m.rdatas)
	m.rdatas = append(m.rdatas, rdata{data, -1})
	sets := m.sections[section]
	for i := len(sets) - 1; i >= 0; i-- {
		s := &sets[i]
		if s.typ != set.typ || s.class != set.class || !equalFold(s.owner.of(m.names), set.owner.of(m.names)) {
			continue
		}
		s.ttl = min(s.ttl, set.ttl)
		m.rdatas[s.last].next = at
		s.last = at
		m.names = m.names[:set.owner.start]
		return
	}
	set.first, set.last = at, at
	m.sections[section] = append(sets, set)
}
