package transform

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

const (
	memoryPlaces = 2048                               // of two answers each: 96 KiB
	memoryTime   = Time(2 * time.Second)              // the copies of a mirror are not later
	longestKey   = 2*(16+2) + 1 + 6 + dnswire.MaxName // see keyOf
)

// A memory knows which queries packets brought lately with their answers, so that
// copies that come after these are known for what they are: a mirror that copies
// both directions shows each packet twice. Each query has one place, which holds
// the two newest. The zero value is empty and has no room yet.
type memory struct {
	seed    maphash.Seed
	answers [][2]remembered // by place, newest first
	scratch [longestKey]byte
}

type remembered struct {
	key, response uint64 // hashes
	at            Time   // of the response
}

// keyOf hashes what makes a query packet the same as another, whatever the letter
// case of its name: five-tuple, ID and question.
func (y *memory) keyOf(m *Message, id, qtype, qclass uint16, name []byte) uint64 {
	if y.answers == nil {
		y.seed, y.answers = maphash.MakeSeed(), make([][2]remembered, memoryPlaces)
	}
	server, resolver := m.Server.Addr().As16(), m.Resolver.Addr().As16()
	b := append(append(y.scratch[:0], server[:]...), resolver[:]...)
	b = binary.LittleEndian.AppendUint16(b, m.Server.Port())
	b = binary.LittleEndian.AppendUint16(b, m.Resolver.Port())
	b = append(b, byte(m.Transport))
	b = binary.LittleEndian.AppendUint16(b, id)
	b = binary.LittleEndian.AppendUint16(b, qtype)
	b = binary.LittleEndian.AppendUint16(b, qclass)
	fixed := len(b)
	b = append(b, name...)
	dnswire.Lower(b[fixed:])
	return maphash.Bytes(y.seed, b)
}

// note remembers the answer to a query. Times are the packets' own: after a lull the
// lane's clock stays behind, and then jumps between a packet and its copy.
func (y *memory) note(key uint64, response []byte, at Time) {
	place := &y.answers[key%memoryPlaces]
	place[1] = place[0]
	place[0] = remembered{key, maphash.Bytes(y.seed, response), at}
}

// recall returns what is remembered of a query's answer about that time, or nil.
func (y *memory) recall(key uint64, at Time) *remembered {
	place := &y.answers[key%memoryPlaces]
	for i := range place {
		if r := &place[i]; r.key == key && distance(max(at, r.at), min(at, r.at)) <= uint64(memoryTime) {
			return r
		}
	}
	return nil
}

// asked reports whether a query packet was answered lately.
func (y *memory) asked(m *Message, w *dnswire.Walker) bool {
	return y.recall(y.keyOf(m, w.ID, w.Qtype, w.Qclass, w.Qname()), m.time()) != nil
}

// answered reports whether a response packet is a copy of what answered its query
// lately, and not another answer.
func (y *memory) answered(m *Message, w *dnswire.Walker) bool {
	r := y.recall(y.keyOf(m, w.ID, w.Qtype, w.Qclass, w.Qname()), m.time())
	return r != nil && r.response == maphash.Bytes(y.seed, m.Wire)
}
