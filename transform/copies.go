package transform

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

const (
	memoryCells = 2048                  // of two answers each: 96 KiB
	memoryTime  = Time(2 * time.Second) // copies of a mirror arrive earlier
)

// A memory remembers recently answered queries, to recognise late copies of mirrored
// packets: a mirror of both directions shows each packet twice. Each query has one cell, which
// holds the two newest answers. The zero value is empty; it allocates its cells at first use.
type memory struct {
	seed    maphash.Seed    // of responses
	secret  uint64          // of keys
	answers [][2]remembered // by cell, newest first
}

type remembered struct {
	key, response uint64 // hashes
	at            Time   // of the response
}

// keyOf hashes five-tuple, ID and question, which are the same in copies of a query packet.
// The letter case of the name is ignored: the bit of each octet in which letters differ.
func (y *memory) keyOf(m *Message, id, qtype, qclass uint16, name []byte) uint64 {
	if y.answers == nil {
		y.seed, y.answers = maphash.MakeSeed(), make([][2]remembered, memoryCells)
		y.secret = maphash.String(y.seed, "")
	}
	server, resolver := m.Server.Addr().As16(), m.Resolver.Addr().As16()
	flow := mix(y.secret, uint64(m.Server.Port())<<32|uint64(m.Resolver.Port())<<16|uint64(m.Transport))
	for _, half := range [...][]byte{server[:8], server[8:], resolver[:8], resolver[8:]} {
		flow = mix(flow, binary.LittleEndian.Uint64(half))
	}
	const anyCase = 0x2020202020202020
	question := mix(y.secret, uint64(len(name))<<48|uint64(id)<<32|uint64(qtype)<<16|uint64(qclass))
	for ; len(name) > 8; name = name[8:] {
		question = mix(question, binary.LittleEndian.Uint64(name)|anyCase)
	}
	var rest [8]byte
	copy(rest[:], name)
	question = mix(question, binary.LittleEndian.Uint64(rest[:])|anyCase)
	return mix(flow, question)
}

// note remembers the answer to a query. Times are the packets' own: after a lull the lane's
// clock is late, and may jump between a packet and its copy.
func (y *memory) note(key uint64, response []byte, at Time) {
	cell := &y.answers[key%memoryCells]
	cell[1] = cell[0]
	cell[0] = remembered{key, maphash.Bytes(y.seed, response), at}
}

// recall returns what is remembered of an answer to the query about that time, or nil.
func (y *memory) recall(key uint64, at Time) *remembered {
	cell := &y.answers[key%memoryCells]
	for i := range cell {
		if r := &cell[i]; r.key == key && distance(max(at, r.at), min(at, r.at)) <= uint64(memoryTime) {
			return r
		}
	}
	return nil
}

// asked reports whether the query of a packet, or a copy of the query, was answered recently.
func (y *memory) asked(m *Message, w *dnswire.Walker) bool {
	return y.recall(y.keyOf(m, w.ID, w.Qtype, w.Qclass, w.Qname()), m.time()) != nil
}

// answered reports whether a response packet is a copy of the recent answer to its query, and
// not another answer.
func (y *memory) answered(m *Message, w *dnswire.Walker) bool {
	r := y.recall(y.keyOf(m, w.ID, w.Qtype, w.Qclass, w.Qname()), m.time())
	return r != nil && r.response == maphash.Bytes(y.seed, m.Wire)
}
