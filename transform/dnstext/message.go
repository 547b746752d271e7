package dnstext

import (
	"encoding/binary"
	"iter"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// Sections names Message.Sections.
var Sections = [3]string{"answer", "authority", "additional"}

// A Message is a DNS message, parsed as leniently as wdns does: unlike a dnswire.Walker, it
// accepts a message with fewer records than its header states. The zero value is ready for Parse,
// which may be called repeatedly and reuses the memory. A Message is valid until the next Parse
// and borrows its argument.
type Message struct {
	ID, Flags uint16
	Rcode     uint16 // extended
	Questions []Question
	Sections  [3][]RRset // answer, authority, additional; without OPT
	EDNS      EDNS

	wire   []byte
	names  []byte // uncompressed
	rdatas []rdata
}

// A Question is an entry of the question section. The name is in uncompressed wire form.
type Question struct {
	Name        []byte
	Type, Class uint16
}

// An RRset is the records of a section with the same owner (regardless of letter case), type and
// class, as wdns groups them: RRsets are in the order of their first records; owner is that of
// the first record, TTL the lowest. The owner is in uncompressed wire form.
type RRset struct {
	Owner       []byte
	Type, Class uint16
	TTL         uint32

	first, last int // in Message.rdatas
}

// rdata is the rdata of one record.
type rdata struct {
	Rdata
	next int // of the same RRset, in Message.rdatas; -1: none
}

// Rdata is the position of a record's rdata in its message.
type Rdata struct{ start, end int }

// Records yields the rdata of each record of one of m's RRsets.
func (m *Message) Records(set *RRset) iter.Seq[Rdata] {
	return func(yield func(Rdata) bool) {
		for i := set.first; i >= 0 && yield(m.rdatas[i].Rdata); i = m.rdatas[i].next {
		}
	}
}

// headerFlags are the header flags in the order of nmsgtool (RFC 1035 section 4.1.1, RFC 4035 section 3).
var headerFlags = [...]struct {
	bit  uint16
	name string
}{
	{1 << 15, "qr"}, {1 << 10, "aa"}, {1 << 9, "tc"}, {1 << 8, "rd"}, {1 << 7, "ra"}, {1 << 5, "ad"}, {1 << 4, "cd"},
}

// AppendFlags appends the names of the flags that are set in the header.
func (m *Message) AppendFlags(names []string) []string {
	for _, f := range headerFlags {
		if m.Flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

// Opcode returns the opcode of the header.
func (m *Message) Opcode() uint16 { return m.Flags >> 11 & 0xf }

// Parse parses a message, except the rdata. It returns false if the message is malformed.
func (m *Message) Parse(wire []byte) bool {
	m.reset(wire)
	if len(wire) < dnswire.HeaderLen {
		return false
	}
	m.ID = binary.BigEndian.Uint16(wire)
	m.Flags = binary.BigEndian.Uint16(wire[2:])
	m.Rcode = m.Flags & dnswire.MaskRcode
	off, ok := dnswire.HeaderLen, true
	for section := range 1 + len(m.Sections) {
		for range binary.BigEndian.Uint16(wire[4+2*section:]) {
			if off == len(wire) {
				return true
			}
			if section == 0 {
				off, ok = m.parseQuestion(off)
			} else {
				off, ok = m.parseRecord(section-1, off)
			}
			if !ok {
				return false
			}
		}
	}
	return true
}

func (m *Message) reset(wire []byte) {
	m.wire = wire
	m.Questions = m.Questions[:0]
	for i := range m.Sections {
		m.Sections[i] = m.Sections[i][:0]
	}
	m.EDNS = EDNS{}
	m.names = m.names[:0]
	m.rdatas = m.rdatas[:0]
}

// parseName expands the name at off into m.names, which may be reallocated. Names that were
// returned before remain valid.
func (m *Message) parseName(off int) (name []byte, end int, ok bool) {
	start := len(m.names)
	m.names, end, ok = dnswire.ExpandName(m.names, m.wire, off)
	return m.names[start:], end, ok
}

func (m *Message) parseQuestion(off int) (end int, ok bool) {
	name, off, ok := m.parseName(off)
	if !ok || off+4 > len(m.wire) {
		return 0, false
	}
	m.Questions = append(m.Questions, Question{name, binary.BigEndian.Uint16(m.wire[off:]), binary.BigEndian.Uint16(m.wire[off+2:])})
	return off + 4, true
}

func (m *Message) parseRecord(section, off int) (end int, ok bool) {
	owner, off, ok := m.parseName(off)
	if !ok || off+dnswire.FixedLen > len(m.wire) {
		return 0, false
	}
	fixed := m.wire[off : off+dnswire.FixedLen]
	set := RRset{
		Owner: owner,
		Type:  binary.BigEndian.Uint16(fixed),
		Class: binary.BigEndian.Uint16(fixed[2:]),
		TTL:   binary.BigEndian.Uint32(fixed[4:]),
	}
	off += dnswire.FixedLen
	data := Rdata{off, off + int(binary.BigEndian.Uint16(fixed[8:]))}
	switch {
	case data.end > len(m.wire):
		return 0, false
	case set.Type == dns.TypeOPT:
		m.EDNS = EDNS{true, set.Class, uint8(set.TTL >> 16), set.TTL&(1<<15) != 0, m.wire[data.start:data.end]}
		m.Rcode = m.Flags&dnswire.MaskRcode | uint16(set.TTL>>24)<<4
	default:
		m.addRecord(section, set, data)
	}
	return data.end, true
}

// addRecord adds a record to its RRset in the section, or to a new one, for which set has the
// fields.
func (m *Message) addRecord(section int, set RRset, data Rdata) {
	at := len(m.rdatas)
	m.rdatas = append(m.rdatas, rdata{data, -1})
	sets := m.Sections[section]
	for i := len(sets) - 1; i >= 0; i-- {
		s := &sets[i]
		if s.Type == set.Type && s.Class == set.Class && dnswire.EqualFold(s.Owner, set.Owner) {
			s.TTL = min(s.TTL, set.TTL)
			m.rdatas[s.last].next = at
			s.last = at
			return
		}
	}
	set.first, set.last = at, at
	m.Sections[section] = append(sets, set)
}
