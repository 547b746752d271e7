package rrset

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

const (
	maxRdata = 65535 // octets of uncompressed rdata that a record can have

	// maxOctets bounds the uncompressed names and rdata of one response: 16 times the longest
	// message. Only names that were built for the purpose expand to more.
	maxOctets = 1 << 20
)

// A Response is a response that was split. It is borrowed from its Splitter until the next Split.
type Response struct {
	Name        []byte // query name, lowercase
	Type, Class uint16 // of the question
	Rcode       uint8
	Sections    [3][]RRset // by dnswire.Answer, dnswire.Authority and dnswire.Additional
}

// Len returns the number of RRsets.
func (r *Response) Len() int {
	return len(r.Sections[dnswire.Answer]) + len(r.Sections[dnswire.Authority]) + len(r.Sections[dnswire.Additional])
}

// A Splitter splits responses into RRsets. Records belong to one RRset if section, owner, type and
// class are equal. So the signatures at an owner are one RRset of type RRSIG, for all types that they
// cover. wdns, the library of nmsgtool and dnstable, collects them in the same way. OPT records are
// left out.
//
// A Splitter reuses its memory, which grows with the largest response to a few MiB at most.
type Splitter struct {
	walker   dnswire.Walker
	response Response

	octets []byte  // names and rdata
	groups []group // RRsets, in the order of their first records
	items  []item  // rdata, in the order of the records
	rrsets []RRset
	rdata  [][]byte

	seed     maphash.Seed
	key      [maxKey]byte
	byKey    index // of groups
	distinct index // of items
}

// A group is an RRset whose records are still being collected. name is its owner.
type group struct {
	name       span
	section    uint8
	typ, class uint16
	ttl        uint32
	items      int
}

// An item is the rdata of a group.
type item struct {
	group int
	data  span
}

// A span is a part of Splitter.octets.
type span struct{ start, end int }

// maxKey is the length of the longest key of a group: owner, section, type and class.
const maxKey = dnswire.MaxName + 5

// NewSplitter returns an empty Splitter.
func NewSplitter() *Splitter { return &Splitter{seed: maphash.MakeSeed()} }

// Split splits a DNS message. It reports false if the message is malformed, does not have exactly
// one question, or has names that expand to more than maxOctets.
func (s *Splitter) Split(msg []byte) (*Response, bool) {
	w := &s.walker
	ok := w.Walk(msg) && w.Questions == 1 && s.collect()
	if ok {
		s.assemble()
	}
	w.Msg = nil // the caller lent it
	return &s.response, ok
}

func (s *Splitter) collect() bool {
	w := &s.walker
	s.octets, s.groups, s.items = s.octets[:0], s.groups[:0], s.items[:0]
	s.byKey.reset(len(w.Records))
	s.distinct.reset(len(w.Records))
	s.octets = append(s.octets, w.Qname()...)
	dnswire.Lower(s.octets)
	for i := range w.Records {
		r := &w.Records[i]
		if r.Type == dns.TypeOPT {
			continue
		}
		if !s.addRdata(s.groupOf(r), r) || len(s.octets) > maxOctets {
			return false
		}
	}
	return true
}

// groupOf returns the number of a record's group, which it adds if it is new.
func (s *Splitter) groupOf(r *dnswire.Record) int {
	start := len(s.octets)
	s.octets = s.walker.Expand(s.octets, int(r.Owner))
	name := s.octets[start:]
	dnswire.Lower(name)
	ttl := binary.BigEndian.Uint32(s.walker.Msg[r.Rdata-6:])
	slot := s.slot(name, r.Section, r.Type, r.Class)
	if *slot == 0 {
		s.groups = append(s.groups, group{
			name: span{start, len(s.octets)}, section: r.Section, typ: r.Type, class: r.Class, ttl: ttl,
		})
		*slot = int32(len(s.groups))
		return len(s.groups) - 1
	}
	s.octets = s.octets[:start]
	g := &s.groups[*slot-1]
	g.ttl = min(g.ttl, ttl)
	return int(*slot - 1)
}

// slot returns the slot of a group in the index.
func (s *Splitter) slot(name []byte, section uint8, typ, class uint16) *int32 {
	key := append(append(s.key[:0], name...), section, byte(typ>>8), byte(typ), byte(class>>8), byte(class))
	return s.byKey.find(maphash.Bytes(s.seed, key), func(n int) bool {
		g := &s.groups[n]
		return g.section == section && g.typ == typ && g.class == class && string(s.of(g.name)) == string(name)
	})
}

func (s *Splitter) of(x span) []byte { return s.octets[x.start:x.end:x.end] }

// addRdata adds a record's rdata to its group, unless the group has it. It reports false if the
// rdata is longer than a record can be.
func (s *Splitter) addRdata(n int, r *dnswire.Record) bool {
	w, start := &s.walker, len(s.octets)
	for f := w.Fields(r); f.Next(); {
		at := len(s.octets)
		if !f.IsName() {
			s.octets = append(s.octets, w.Msg[f.Start:f.End]...)
		} else if s.octets = w.Expand(s.octets, f.Start); f.Kind == dnswire.Name {
			dnswire.Lower(s.octets[at:])
		}
		if len(s.octets)-start > maxRdata {
			return false
		}
	}
	data := s.octets[start:]
	slot := s.distinct.find(maphash.Bytes(s.seed, data)+uint64(n), func(i int) bool {
		return s.items[i].group == n && string(s.of(s.items[i].data)) == string(data)
	})
	if *slot != 0 {
		s.octets = s.octets[:start]
		return true
	}
	s.items = append(s.items, item{n, span{start, len(s.octets)}})
	*slot = int32(len(s.items))
	s.groups[n].items++
	return true
}

// assemble makes the response of what was collected. Groups are in the order of sections.
func (s *Splitter) assemble() {
	w := &s.walker
	s.rdata = slices.Grow(s.rdata[:0], len(s.items))
	s.rrsets = s.rrsets[:0]
	s.response = Response{
		Name: s.of(span{0, w.QnameEnd - dnswire.HeaderLen}), Type: w.Qtype, Class: w.Qclass, Rcode: uint8(w.Flags & dnswire.MaskRcode),
	}
	end := 0
	for _, g := range s.groups {
		begin := end
		end += g.items
		s.rrsets = append(s.rrsets, RRset{
			Name: s.of(g.name), Type: g.typ, Class: g.class, TTL: g.ttl, Rdata: s.rdata[begin:begin:end],
		})
	}
	for _, i := range s.items {
		r := &s.rrsets[i.group]
		r.Rdata = append(r.Rdata, s.of(i.data))
	}
	first := 0
	for section := range s.response.Sections {
		last := first
		for last < len(s.groups) && int(s.groups[last].section) == section {
			last++
		}
		s.response.Sections[section] = s.rrsets[first:last:last]
		first = last
	}
}

// answer returns the number of an RRset in the answer section of the response that was split last,
// or -1 if the section has no such RRset.
func (s *Splitter) answer(name []byte, typ uint16) int {
	return int(*s.slot(name, dnswire.Answer, typ, s.response.Class)) - 1
}
